"""``python -m tests.benchmarks.phonons SET --oracle NAME``: verdicts of a set of crystals, one file each.

It goes on where it was stopped. ``--publish`` writes the figures of all oracles that the folder holds.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from niobe.config.spec import CampaignSpec, Oracle, Phonons
from niobe.flows.oracles.calculation import phonons
from niobe.flows.oracles.calculators import trust
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.records import Failure
from tests.benchmarks.phonons.crystals import (
    Labelled,
    balanced,
    described,
    layered,
    phonondb,
    skewed,
    textbook,
)
from tests.benchmarks.phonons.scores import publish_scores

SETS = {
    "textbook": textbook,
    "layered": layered,
    "phonondb": lambda: phonondb(300),
    "balanced": lambda: balanced(45)[:65],
    "afterwards": lambda: balanced(45)[65:],
    "skewed": lambda: skewed(30),
    "descriptions": lambda: described(20),
}
_WALL_TIME = 900.0


def main() -> None:
    options = _options()
    started = time.monotonic()
    for crystal in SETS[options.set]():
        for name, settings in _ways(options).items():
            file = options.folder / options.set / name / f"{_plain(crystal.name)}.json"
            if file.is_file() or time.monotonic() - started > options.seconds:
                continue
            answer = judged(crystal, _oracle(options), settings, options.folder / f"work-{name}")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(json.dumps(answer), encoding="utf-8")
            Console().print(name, crystal.name, crystal.label, answer["outcome"], answer["lowest_frequency"])
    if options.publish:
        publish_scores(options.folder, options.set)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.phonons")
    parser.add_argument("set", choices=list(SETS))
    parser.add_argument("--oracle", default="7net-0")
    parser.add_argument("--calculator", default="", help="package.module:Class, which --oracle then names")
    parser.add_argument("--kwargs", type=json.loads, default={}, help="of the calculator, as JSON")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing after this long")
    parser.add_argument("--folder", type=Path, default=Path("benchmark-phonons"), help="where it goes on")
    parser.add_argument("--publish", action="store_true", help="write figures and docs")
    return parser.parse_args()


def _oracle(options: argparse.Namespace) -> Oracle:
    if not options.calculator:
        return Oracle(name=options.oracle, wall_time=_WALL_TIME)
    given = {"calculator": options.calculator, "kwargs": options.kwargs, "wall_time": _WALL_TIME}
    oracle = Oracle.model_validate({"name": "ase"} | given)
    trust(oracle)
    return oracle


def _ways(options: argparse.Namespace) -> dict[str, Phonons]:
    """Names and settings: the defaults; skewed cells with images 12 Å apart too."""
    ways = {options.oracle: Phonons()}
    if options.set in {"skewed", "layered"}:
        ways[f"{options.oracle}, 12 Å"] = Phonons(min_length=12.0, max_supercell_atoms=512)
    return ways


def judged(crystal: Labelled, oracle: Oracle, settings: Phonons, work: Path) -> dict[str, Any]:
    """The verdict of one crystal, not as a find: second cells only where interpolation asks for them."""
    elements = tuple(sorted({site.specie.symbol for site in crystal.structure}))
    spec = CampaignSpec(
        id="phonons",
        elements=elements[:5],
        oracle=oracle,
        prerelax=None,
        phonons=settings,
    )
    found = phonons(spec, make_oracle(spec.phonon_oracle), crystal.structure, work)
    shutil.rmtree(work, ignore_errors=True)
    known = {"name": crystal.name, "label": crystal.label, "atoms": len(crystal.structure)}
    if isinstance(found, Failure):
        said = {"outcome": "undecided", "lowest_frequency": None, "reason": f"{found.cause}: {found.message}"}
        return known | said | {"seconds": found.seconds}
    return known | found[0].verdict.model_dump(mode="json") | {"seconds": found[1]}


def _plain(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)


if __name__ == "__main__":
    main()
