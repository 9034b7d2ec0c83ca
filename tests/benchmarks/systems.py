"""``python -m tests.benchmarks.systems [SYSTEM …]``: `niobe bench systems` beside what is known, published.

Known phases are the development rows on Materials Project's hull, of at most 12 atoms, of each system and
its subsystems. All other options are those of `niobe bench systems`; ``--peers F`` puts beside what other
programs found (``python -m tests.benchmarks.peers.cryspy``). Runs stay below ``.niobe``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from niobe.config.spec import Oracle
from niobe.loop.benchmark.systems import IN_EQUAL, PROTOCOLS, SHORT
from tests.benchmarks.known_phases import ground_states
from tests.benchmarks.publish import publish

NAME = "python -m tests.benchmarks.systems"
ORACLE = Oracle().name
KEPT = Path(".niobe/benchmarks/systems")
NIOBE = [sys.executable, "-c", "from niobe.launchers.cli import main; main()"]


def main() -> None:
    """Write what is known, run what is missing, publish."""
    parser = argparse.ArgumentParser(prog=NAME)
    parser.add_argument("systems", nargs="*", default=SHORT)
    parser.add_argument("--folder", type=Path, default=KEPT)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--busy", action="store_true", help="other work ran beside: minutes are left out")
    how.add_argument("--clock", action="store_true", help="little else ran: a table of finds in equal time")
    asked, options = parser.parse_known_args()
    for system in asked.systems:
        write_known(asked.folder / "known" / system, system)
    command = ["bench", "systems", *asked.systems, "--known", str(asked.folder / "known")]
    subprocess.run([*NIOBE, *command, *options, "--to", str(asked.folder)], check=True)
    file = asked.folder / "systems.json"
    if asked.clock:
        publish_clock(file, asked.systems, options)
    else:
        publish_systems(file, asked.systems, options, busy=asked.busy)


def write_known(folder: Path, system: str) -> None:
    """A CIF file of each known ground state of a system and its subsystems, unless the folder is there."""
    if folder.is_dir():
        return
    folder.mkdir(parents=True)
    for label, structure in ground_states(system):
        structure.to(filename=str(folder / f"{label}.cif"))


def _anywhere(options: Sequence[str]) -> list[str]:
    """Options as anyone would give them: folders without their place here."""
    named = [one for one in options if one != "--finished"]
    return ["F" if before == "--peers" else one for before, one in zip(["", *named], named, strict=False)]


def publish_clock(file: Path, systems: Sequence[str], options: Sequence[str]) -> None:
    """Finds of each arm and of Niobe by when the first was over, by the clock and by evaluations."""
    content = json.loads(file.read_text(encoding="utf-8"))
    shown = (
        "system",
        "arm",
        "runs",
        "calls",
        "finds, ε 0.1",
        "minutes",
        *itertools.chain(*IN_EQUAL.values()),
    )
    beside = [
        f"Niobe's finds ÷ those of {other}, in equal {unit}: {texts[f'in equal {unit}']}"
        for other, texts in content["beside Niobe"].items()
        for unit in IN_EQUAL
        if f"in equal {unit}" in texts
    ]
    publish(
        "systems-clock",
        page="discovery",
        title="Chemical systems in equal time, and in equal evaluations of the oracle",
        command=" ".join([NAME, *systems, *_anywhere(options), "--clock"]),
        rows=[{key: row[key] for key in shown} for row in content["rows"]],
        seconds=60 * sum(row["runs"] * (row["minutes"] or 0.0) for row in content["rows"]),
        headline="; ".join(beside) or "one arm only",
        notes=[
            f"finds at most 0.1 eV/atom above the hull of all that ran here and is known, by {ORACLE}",
            "one arm after another, and the load says what else ran; Niobe on 2 workers, CrySPY in one "
            "process of one thread, as it is run interactively",
            "in equal time: by when the arm or Niobe was over, whichever was first; Niobe's calls are over "
            "with their round, CrySPY's five at a time",
            "in equal evaluations: likewise by geometries that the oracle was asked about; pre-relaxations "
            "by the cheap potential are not among them",
            *beside,
        ],
        order=4,
    )


def publish_systems(file: Path, systems: Sequence[str], options: Sequence[str], *, busy: bool) -> None:
    """All rows, Niobe beside the others, and by what rules. busy: minutes would compare nothing."""
    content = json.loads(file.read_text(encoding="utf-8"))
    untold = {*itertools.chain(*IN_EQUAL.values()), *(("minutes", "finds an hour") if busy else ())}
    rows = [{key: row[key] for key in row if key not in untold} for row in content["rows"]]
    made = {row["protocol"] for row in rows} == {"made"}
    beside = [
        f"Niobe's finds ÷ those of {other}, {kind}: {text}"
        for other, texts in content["beside Niobe"].items()
        for kind, text in texts.items()
        if not kind.startswith("in equal")
    ]
    publish(
        "systems-made" if made else "systems",
        page="discovery",
        title="Chemical systems by MADE's protocol" if made else "Chemical systems, side by side",
        command=" ".join([NAME, *systems, *_anywhere(options), *(["--busy"] if busy else [])]),
        rows=rows,
        seconds=60 * sum(row["runs"] * (row.get("minutes") or 0.0) for row in rows),
        headline="; ".join(beside) or "one arm only",
        notes=[
            *(f"{name}: {PROTOCOLS[name]}" for name in dict.fromkeys(row["protocol"] for row in rows)),
            "one judge for all: the hull of everything that any arm of a system validated and of what is "
            f"known, by {ORACLE}; a find is at most ε eV/atom above it, unique in its run and no seed; means "
            "over seeds",
            "mSUN, AUDC: finds within 0.1 eV/atom, a call; AF 50%: calls that the search at random needs for "
            "half of what it finds, over the arm's",
            "no arm runs phonons, challenge or second opinions; round 0 asks about elements and what is "
            "given, at no call's cost; peers are given nothing, and their calls count from the first",
            "minutes are left out: arms ran beside each other and other work, on unequal parts of the machine"
            if busy
            else "minutes of the wall clock beside whatever else ran on the machine: see the load above",
            *beside,
        ],
        order=5 if made else 3,
    )


if __name__ == "__main__":
    main()
