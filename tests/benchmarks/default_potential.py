"""``python -m tests.benchmarks.default_potential``: which potential is the default oracle, and why.

What was measured of each candidate elsewhere, from the stored figures, and how often it fails on random
cells, which is measured here. Resumed where it was stopped.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Mapping
from typing import Any

from pymatgen.core import Structure

from niobe.config.spec import Oracle
from niobe.loop.generators import RandomSymmetric
from niobe.surrogates.protocols import SampleRequest
from tests.benchmarks.publish import FOLDER, publish
from tests.benchmarks.relaxations import is_kept, relaxed

NAME = "tests.benchmarks.default_potential"
CANDIDATES = ("7net-0", "7net-l3i5", "chgnet")
SHIPPED = (*CANDIDATES, "7net-mf-0-pbe", "7net-mf-0-r2scan", "chgnet-r2scan")
CAUSES = ("not_converged", "unphysical", "wall_time")
SYSTEMS, EACH = (("Nb", "O"), ("N", "Ti"), ("Al", "Ni")), 6
DEFAULT = Oracle().name
TIME = f"time of relaxation and phonons, {DEFAULT} = 1"
SPEED = {"7net-0": ("potential-speed", "fused, ms"), "chgnet": ("potential-speed-chgnet", "lean, ms")}
Row = dict[str, Any]


def main() -> None:
    """Relax what is missing, collect and publish."""
    parser = argparse.ArgumentParser(prog=f"python -m {NAME}")
    parser.add_argument("--minutes", type=float, default=1e6, help="relax nothing further afterwards")
    started, end = time.monotonic(), time.monotonic() + 60 * parser.parse_args().minutes
    warnings.simplefilter("ignore")
    cells = random_cells()
    failures: dict[str, list[str]] = {name: [] for name in SHIPPED}
    for key, cell in cells.items():
        for name in SHIPPED:
            if time.monotonic() < end or is_kept(f"relaxed-{name}", key):
                failures[name].append(relaxed(name, key, cell).get("failure", ""))
                print(key, name, failures[name][-1], flush=True)
    seconds = time.monotonic() - started
    report([_row(name, failures[name]) for name in CANDIDATES], seconds)
    report_failures(failures, seconds)


def random_cells() -> dict[str, Structure]:
    """Crystals as a campaign draws them at random, of at most 8 atoms."""
    found: dict[str, Structure] = {}
    for elements in SYSTEMS:
        request = SampleRequest(elements=elements, min_atoms=2, max_atoms=8)
        drawn = RandomSymmetric().sample(request, EACH, seed=30).samples
        found |= {f"random {'-'.join(elements)} {n}": sample.structure for n, sample in enumerate(drawn)}
    return found


def figures(name: str) -> list[Row]:
    """The rows of a stored table."""
    rows: list[Row] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["rows"]
    return rows


def _row(name: str, failures: list[str]) -> Row:
    energies = next(row for row in figures("formation_energies") if row["potential"] == name)
    phonons = {row["potential"]: row for row in figures("phonons-textbook")}
    same = phonons.get(f"{DEFAULT}, of those of {name}", phonons[DEFAULT])
    return {
        "potential": name,
        "default": "yes" if name == DEFAULT else "",
        "formation energy, MAE, eV/atom": energies["formation energy, MAE, eV/atom"],
        "e_above_hull, MAE, eV/atom": energies["e_above_hull, MAE, eV/atom"],
        "compounds": energies["compounds"],
        "phonon verdicts, balanced accuracy": round(phonons[name]["balanced accuracy"], 3),
        f"{DEFAULT}'s, same crystals": round(same["balanced accuracy"], 3),
        "crystals": phonons[name]["crystals"],
        TIME: round(phonons[name]["seconds"] / same["seconds"], 2),
        "ms an evaluation, 48 atoms": _milliseconds(name),
        "failed on random cells": _share(failures) if failures else "not measured",
    }


def _share(failures: list[str]) -> str:
    return f"{sum(map(bool, failures))} of {len(failures)}"


def _milliseconds(name: str) -> float | None:
    if name not in SPEED:
        return None
    table, column = SPEED[name]
    return round(float(figures(table)[-1][column]), 1)


def report(rows: list[Row], seconds: float) -> None:
    """Publish the table."""
    publish(
        "default-potential",
        page="potentials",
        title="Which potential is the default oracle",
        headline="; ".join(
            f"{row['potential']}: formation energy {row['formation energy, MAE, eV/atom']} eV/atom, time "
            f"{row[TIME]}, failed {row['failed on random cells']}"
            for row in rows
        ),
        command=f"python -m {NAME}",
        rows=rows,
        seconds=seconds,
        seeds=[30],
        order=10,
        notes=[
            f"{DEFAULT} is the default: of these three it has the lowest error of "
            "formation energies, is within 0.001 eV/atom of the best in e_above_hull, has phonon verdicts "
            "about as good as the others' on the same crystals, and takes the least time for relaxation and "
            "phonons",
            "energies, phonons and evaluations from the tables further down, by their commands; potentials "
            "beyond the wheels need weights from elsewhere, are no candidates here, and run as `oracle: "
            "{name: ase}`; of 7net-mf-0 and the r2SCAN models of the wheels failures alone were measured",
            f"random cells: {EACH} each of {', '.join('-'.join(e) for e in SYSTEMS)}, at most 8 atoms, "
            "validated as a campaign does; a failure is what is not converged, unphysical or late",
            "chgnet pre-relaxes where 7net-0 judges: an evaluation is the cheapest, and what ranks may not "
            "judge",
        ],
    )


def report_failures(failures: Mapping[str, list[str]], seconds: float) -> None:
    """Publish how often each potential that ships fails on random cells, by cause; "" is no failure."""
    asked = {name: causes for name, causes in failures.items() if causes}
    publish(
        "random-cells",
        page="potentials",
        title="How often potentials fail on random cells",
        headline="; ".join(f"{name}: {_share(causes)}" for name, causes in asked.items()),
        command=f"python -m {NAME}",
        rows=[
            {
                "potential": name,
                "cells": len(causes),
                "failed": sum(map(bool, causes)),
                "failed, %": round(100 * sum(map(bool, causes)) / len(causes), 1),
                **{cause: causes.count(cause) for cause in CAUSES},
                "otherwise": sum(bool(cause) and cause not in CAUSES for cause in causes),
            }
            for name, causes in asked.items()
        ],
        seconds=seconds,
        seeds=[30],
        order=11,
        notes=[
            f"the same cells for all: {EACH} each of {', '.join('-'.join(e) for e in SYSTEMS)}, at most 8 "
            "atoms, drawn as a campaign draws them at random and relaxed as a campaign relaxes what it "
            "validates, without pre-relaxation before",
            "r2SCAN models are on a scale of their own, which says nothing of how often they fail",
            "the seconds are of the last call; what was answered in calls before was kept",
        ],
    )


if __name__ == "__main__":
    main()
