"""``python -m tests.benchmarks.phonons.before``: verdicts of archived runs beside those of the code as it is.

The runs of tests/benchmarks/runs (the loop as campaigns run it) had their verdicts by the former rule: one
supercell by the edges of the primitive cell, zone-boundary points judged whether it held them or not. It goes
on where it was stopped; ``--publish`` writes figures and docs.
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure
from rich.console import Console

from niobe.config.spec import Oracle, Phonons
from niobe.loop.crystals.similarity import SeenStructures
from tests.benchmarks.phonons.__main__ import judged
from tests.benchmarks.phonons.crystals import SEED, Labelled
from tests.benchmarks.publish import publish

RUNS = Path(__file__).parents[1] / "runs"
SYSTEMS = ("Nb-O", "Ti-N")
_MOST_ATOMS, _DRAWN = 12, 20


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.phonons.before")
    parser.add_argument("--folder", type=Path, default=Path("benchmark-phonons"), help="where it goes on")
    parser.add_argument("--most", type=int, default=1000, help="crystals of this run")
    parser.add_argument("--publish", action="store_true", help="write figures and docs")
    options = parser.parse_args()
    asked, oracle = 0, Oracle(wall_time=900.0)
    found: dict[str, list[dict[str, Any]]] = {system: [] for system in SYSTEMS}
    for system in SYSTEMS:
        for crystal in drawn(system):
            file = options.folder / "before" / system / f"{crystal.name}.json"
            if not file.is_file() and asked < options.most:
                asked += 1
                answer = judged(crystal, oracle, Phonons(), options.folder / "work-before")
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(json.dumps(answer), encoding="utf-8")
                Console().print(system, crystal.name, crystal.label, answer["outcome"])
            if file.is_file():
                found[system].append(json.loads(file.read_text(encoding="utf-8")))
    if options.publish:
        _publish(found)


def drawn(system: str) -> list[Labelled]:
    """Twenty different crystals of at most 12 atoms by chance, each labelled with its former verdict."""
    crystals = list(_archived(system))
    order = np.random.default_rng(SEED).permutation(len(crystals))
    return [crystals[index] for index in order[:_DRAWN]]


def _archived(system: str) -> Iterator[Labelled]:
    seen = SeenStructures([])
    for file in sorted((RUNS / system).glob("offspring-*.json.gz")):
        run = json.loads(gzip.decompress(file.read_bytes()))
        for call in run["calls"]:
            if call["id"] not in run["later"]:
                continue
            structure = Structure.from_dict(call["validation"]["structure"])
            if len(structure) <= _MOST_ATOMS and seen.find(structure) is None:
                seen.add(call["id"], structure)
                yield Labelled(call["id"], structure, run["later"][call["id"]])


def _publish(found: dict[str, list[dict[str, Any]]]) -> None:
    rows = [_row(system, answers) for system, answers in found.items() if answers]
    publish(
        "phonons-before",
        page="potentials",
        title="Verdicts of archived runs, by the former rule and now",
        command="python -m tests.benchmarks.phonons.before --publish",
        rows=rows,
        seconds=sum(answer["seconds"] for answers in found.values() for answer in answers),
        headline="; ".join(
            f"{row['changed']} of {row['crystals']} of {row['system']} changed" for row in rows
        ),
        notes=[
            "twenty crystals of at most 12 atoms by chance of the runs '+ offspring' in "
            "tests/benchmarks/runs that phonons were asked about; both by 7net-0",
            "before: one supercell by the edges of the primitive cell; now relaxed to 0.005 eV/Å first, "
            "what is soft anywhere in the zone asked about (decision 155), forces of the relaxed crystal "
            "subtracted (158)",
        ],
    )


def _row(system: str, answers: list[dict[str, Any]]) -> dict[str, Any]:
    ways = Counter(f"{answer['label']} → {answer['outcome']}" for answer in answers)
    changed = [answer for answer in answers if answer["label"] != answer["outcome"]]
    return {
        "system": system,
        "crystals": len(answers),
        "stable before": sum(answer["label"] == "stable" for answer in answers),
        "stable now": sum(answer["outcome"] == "stable" for answer in answers),
        "changed": len(changed),
        "how": ", ".join(f"{count} × {way}" for way, count in sorted(ways.items())),
        "which": ", ".join(f"{a['name']} ({_thz(a)})" for a in changed),
    }


def _thz(answer: dict[str, Any]) -> str:
    undecided = answer["outcome"] == "undecided"
    return answer["reason"] if undecided else f"{answer['lowest_frequency']:.2f} THz now"


if __name__ == "__main__":
    main()
