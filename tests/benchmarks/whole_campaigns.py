"""``python -m tests.benchmarks.whole_campaigns --former COMMAND --named TEXT``: campaigns by two codes.

A campaign of two lines is launched by the ``niobe`` of this environment and by another one (COMMAND: that
``niobe``, or what stands for it), one after the other on each seed, as a user launches it. Published are the
seconds from the command to its end, and what each had found by then, judged by the hull of all of them. What
is finished is not run again; ``--finished`` runs nothing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from niobe.loop.crystals.formulas import amounts_of
from niobe.loop.stability.convex_hull import Hull
from niobe.loop.stability.hull import formation_energy
from tests.benchmarks.publish import publish

FOLDER = Path(".niobe/benchmarks/whole_campaigns")
ELEMENTS = ("Al", "Ni")
TOLERANCES = (0.1, 0.02)
"""eV/atom."""
_SAME = 2e-3  # eV/atom
_NOW = "now"


class Crystal(NamedTuple):
    """A validated crystal of a campaign. energy: eV/atom."""

    formula: str
    group: int
    energy: float
    round: int

    @property
    def fractions(self) -> dict[str, float]:
        amounts = amounts_of(self.formula)
        return {symbol: count / sum(amounts.values()) for symbol, count in amounts.items()}

    def is_like(self, other: Crystal) -> bool:
        """Whether it counts as the same."""
        alike = (self.formula, self.group) == (other.formula, other.group)
        return alike and abs(self.energy - other.energy) < _SAME


class Ran(NamedTuple):
    """A finished campaign: seconds by the clock, and all that it validated."""

    seconds: float
    crystals: list[Crystal]


def main() -> None:
    """Run what is missing, judge, publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.whole_campaigns")
    parser.add_argument("--former", required=True, help="the other code's niobe, as a command")
    parser.add_argument("--named", required=True, help="what that code is, for the table")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=Path, default=FOLDER)
    parser.add_argument("--finished", action="store_true", help="run nothing")
    asked = parser.parse_args()
    if asked.named == _NOW:
        parser.error(f"--named {_NOW}: that is this code")
    here = [sys.executable, "-c", "from niobe.launchers.cli import main; main()"]
    commands = {_NOW: here, asked.named: shlex.split(asked.former)}
    seeds, runs = range(asked.seeds), dict[str, list[Ran]]()
    for seed in seeds:
        for place, (name, command) in enumerate(commands.items()):
            home = (asked.folder / f"{'former' if place else 'now'}-{seed}").resolve()
            if not asked.finished:
                run(command, home, seed)
            runs.setdefault(name, []).append(read(home))
    publish_runs(runs, list(seeds))


def run(command: Sequence[str], home: Path, seed: int) -> None:
    """Launch a campaign in a home of its own and export what it validated; nothing where that was done.

    command: that is ``niobe``. home: of the campaign. seed: of the campaign.
    """
    if (home / "took.json").exists():
        by = json.loads((home / "took.json").read_text(encoding="utf-8"))["command"]
        if by != list(command):
            raise SystemExit(f"{home}: run by {shlex.join(by)}; name another --folder")
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    file = home / "campaign.yaml"
    file.write_text(f"id: al-ni\nelements: [{', '.join(ELEMENTS)}]\nseed: {seed}\n", encoding="utf-8")
    environment = os.environ | {"NIOBE_HOME": str(home / "home")}
    started = time.monotonic()
    subprocess.run([*command, "launch", str(file)], env=environment, check=True, cwd=home)
    took = {"seconds": time.monotonic() - started, "command": list(command)}
    exported = ["export", "csv", str(home / "all.csv"), "--all"]
    subprocess.run([*command, *exported], env=environment, check=True, cwd=home)
    (home / "took.json.part").write_text(json.dumps(took), encoding="utf-8")
    (home / "took.json.part").replace(home / "took.json")


def read(home: Path) -> Ran:
    """What a finished campaign left. home: of the campaign."""
    took = json.loads((home / "took.json").read_text(encoding="utf-8"))
    with (home / "all.csv").open(encoding="utf-8", newline="") as file:
        crystals = [
            Crystal(row["formula"], int(row["spacegroup"]), float(row["energy_per_atom"]), int(row["round"]))
            for row in csv.DictReader(file)
            if row["status"] == "validated"
        ]
    return Ran(took["seconds"], crystals)


def heights(crystals: Sequence[Crystal]) -> list[float]:
    """How far each lies above the hull of all of them, eV/atom."""
    fractions = [crystal.fractions for crystal in crystals]
    lowest = {
        symbol: min(c.energy for c, f in zip(crystals, fractions, strict=True) if f == {symbol: 1.0})
        for symbol in ELEMENTS
    }
    energies = np.array(
        [formation_energy(f, c.energy, lowest) for c, f in zip(crystals, fractions, strict=True)]
    )
    return list(map(float, energies - Hull(fractions, ELEMENTS).level(energies)))


def near(run: Ran, above: Mapping[Crystal, float], begun_with: Sequence[Crystal], tolerance: float) -> int:
    """How many different compounds that it chose, and no campaign began with, lie within a tolerance
    (eV/atom) of the hull.

    above: eV/atom, by crystal. begun_with: crystals of rounds 0.
    """
    seen = list(begun_with)
    for crystal in run.crystals:
        chosen = crystal.round > 0 and len(crystal.fractions) > 1 and above[crystal] <= tolerance
        if chosen and not any(crystal.is_like(other) for other in seen):
            seen.append(crystal)
    return len(seen) - len(begun_with)


def publish_runs(runs: Mapping[str, Sequence[Ran]], seeds: Sequence[int]) -> None:
    """One row for each code, the former one last."""
    everything = [crystal for those in runs.values() for run in those for crystal in run.crystals]
    above = dict(zip(everything, heights(everything), strict=True))
    begun_with = [crystal for crystal in everything if not crystal.round]
    rows = [_row(name, those, above, begun_with) for name, those in runs.items()]
    now, former = rows
    publish(
        "whole-campaigns",
        page="campaign",
        title=f"Whole campaigns of two lines, before and now: {'-'.join(ELEMENTS)}",
        command="python -m tests.benchmarks.whole_campaigns --former COMMAND --named TEXT",
        rows=rows,
        seconds=sum(run.seconds for those in runs.values() for run in those),
        seeds=seeds,
        headline=f"{former['seconds'] / now['seconds']:.2f} times as long before (bar: 2); a find within "
        f"{TOLERANCES[-1]} eV/atom of the hull of all took "
        f"{former[_per_find(TOLERANCES[-1])] / now[_per_find(TOLERANCES[-1])]:.2f} times as long",
        notes=[
            "seconds: medians, from the command to its end, one campaign at a time, in turns",
            "finds: different compounds, by formula, space group and 2 meV/atom, that the campaign chose in "
            "rounds from 1 on and no campaign's round 0 had, within so much of the hull of all that any of "
            "them validated, by 7net-0; challenges and other potentials' opinions take part of the time now, "
            "before there were none",
        ],
        order=19,
    )


def _row(
    name: str, runs: Sequence[Ran], above: Mapping[Crystal, float], begun_with: Sequence[Crystal]
) -> dict[str, Any]:
    seconds = sum(run.seconds for run in runs)
    row: dict[str, Any] = {
        "code": name,
        "seconds": round(median(run.seconds for run in runs)),
        "validated in rounds": sum(1 for run in runs for crystal in run.crystals if crystal.round),
        "in round 0": sum(1 for run in runs for crystal in run.crystals if not crystal.round),
    }
    for tolerance in TOLERANCES:
        found = sum(near(run, above, begun_with, tolerance) for run in runs)
        row[f"finds, {tolerance} eV/atom"] = found
        row[_per_find(tolerance)] = round(seconds / found, 1) if found else float("inf")
    return row


def _per_find(tolerance: float) -> str:
    return f"s a find, {tolerance}"


if __name__ == "__main__":
    main()
