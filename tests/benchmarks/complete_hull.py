"""``python -m tests.benchmarks.complete_hull``: the generative benchmark once more, on a complete hull.

The finished runs of ``tests.benchmarks.generative`` began with a few prototypes, on energies as the
potential gives them. Here they are judged once more, on MP2020's scale, by the hull of all of them, and by
one that also has the competing phases that campaigns ask about now, and Materials Project's ground states.
Beside them stand runs of today's loop, which begin on that hull: nothing of it counts as found. It goes on
where it was.
"""

from __future__ import annotations

import argparse
import gzip
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from rich.console import Console

from niobe.config.loading import campaign_of
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import Answer, Oracle, correction_of
from niobe.flows.oracles.registry import make_oracle
from niobe.launchers.benchmarking import kept_at, run_setting
from niobe.loop.benchmark.ablation import Setting
from niobe.loop.benchmark.generative import Run, energies_above, hits
from niobe.loop.campaign.acceleration import bootstrap
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.store.upgrade import upgraded
from tests.benchmarks.generative import RUNS, SYSTEMS
from tests.benchmarks.generative import campaign_of as file_of
from tests.benchmarks.known_phases import known_phases
from tests.benchmarks.publish import publish

FOLDER = Path(".niobe/benchmarks/complete_hull")
CALLS, BATCH, CANDIDATES = 50, 10, 250
TOLERANCES = (0.0, 0.01, 0.1)
_ROUNDOFF = 1e-6  # eV/atom
_ARMS = {"random": "random, of that time", "offspring": "the loop, of that time", "today": "the loop, today"}


def main() -> None:
    """Run what is missing, judge all, publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("systems", nargs="*", default=list(SYSTEMS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--finished", action="store_true", help="run nothing, publish what there is")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    rows: list[dict[str, Any]] = []
    for system in asked.systems:
        rows += compared(system, asked.seeds, finished=asked.finished)
    _publish(rows)


def compared(system: str, seeds: int, *, finished: bool) -> list[dict[str, Any]]:
    """A row for each hull that judges and each arm.

    system: symbols. seeds: of today's loop. finished: only those whose run is.
    """
    spec, folder = _campaign(system), FOLDER / system
    setting = Setting("today", _ARMS["today"], spec)
    asked = [n for n in range(1, seeds + 1) if not finished or kept_at(setting, n, folder).is_file()]
    today = [run_setting(setting, seed, folder, Console()) for seed in asked]
    oracle = make_oracle(spec.oracle)
    former = [_on_this_scale(oracle, read(file)) for file in sorted((RUNS / system).glob("*.json.gz"))]
    known = known_phases(spec, folder)
    competing = [*known, *(seed for run in today for seed in run.seeds)]
    given = [run.model_copy(update={"seeds": (*run.seeds, *competing)}) for run in former]
    return [
        *_rows(f"{system}, hull of that time", former, [], spec),
        *_rows(f"{system}, complete hull", [*former, *today], known, spec),
        *_rows(f"{system}, complete hull, its phases no finds", [*given, *today], known, spec),
    ]


def _campaign(system: str) -> CampaignSpec:
    """As a user would write it, with the limits of the benchmark's file and without what only judges."""
    file = yaml.safe_load(file_of(system).read_text(encoding="utf-8"))
    content = {
        "id": f"{system.lower()}-complete",
        "elements": file["elements"],
        "sources": [],
        "limits": file["limits"],
        "budget": {"rounds": CALLS // BATCH, "validations": CALLS},
        "acquisition": {"batch": BATCH, "control_share": 0.0},
        "generation": {"candidates": CANDIDATES},
        "policy": {"patience": None},
        "phonons": {"enabled": False},
        "challenge": {"enabled": False},
        "confirm": {"enabled": False},
    }
    return campaign_of(content, system, Path())


def read(file: Path) -> Run:
    """A finished run, of the layout that records had by then."""
    content = json.loads(gzip.decompress(file.read_bytes()))
    content["setting"] = content.pop("arm", content.get("setting"))
    for part in ("seeds", "calls"):
        content[part] = [upgraded("structures", record).model_dump(mode="json") for record in content[part]]
    return Run.model_validate(content)


def _on_this_scale(oracle: Oracle, run: Run) -> Run:
    """A run whose energies are as the potential gave them, corrected as campaigns correct them now."""
    seeds = [_corrected(oracle, record) for record in run.seeds]
    return run.model_copy(update={"seeds": seeds, "calls": [_corrected(oracle, one) for one in run.calls]})


def _corrected(oracle: Oracle, record: StructureRecord) -> StructureRecord:
    if record.validation is None:
        return record
    if not oracle.fingerprint.startswith(record.validation.oracle):
        raise ValueError(f"{record.id}: of another potential, {record.validation.oracle}")
    structure, raw = relaxed_structure(record), record.validation.energy_per_atom
    answer = Answer(structure, raw * len(structure), np.zeros((len(structure), 3)), steps=0)
    correction = correction_of(oracle, answer)
    energy = {"oracle": oracle.fingerprint, "energy_per_atom": raw + correction, "correction": correction}
    return record.model_copy(update={"validation": record.validation.model_copy(update=energy)})


def _rows(
    table: str, runs: Sequence[Run], known: Sequence[StructureRecord], spec: CampaignSpec
) -> list[dict[str, Any]]:
    above = energies_above(runs, known, spec.elements)
    rows = []
    for arm, label in _ARMS.items():
        own = [(run, energies) for run, energies in zip(runs, above, strict=True) if run.setting == arm]
        if own:
            seconds = [run.seconds for run, _ in own if run.seconds]
            rows.append(
                {"table": table, "arm": label, "runs": len(own)}
                | {_column(tolerance): _share(own, tolerance) for tolerance in TOLERANCES}
                | {"minutes": round(float(np.mean(seconds)) / 60, 1) if seconds else None}
            )
    return rows


def _column(tolerance: float) -> str:
    return f"mSUN, ε {tolerance:g}" if tolerance else "SUN, ε 0"


def _share(own: Sequence[tuple[Run, Any]], tolerance: float) -> str:
    """Finds over calls: the mean over runs, with its 90 % interval."""
    shares = [sum(hits(run, above, tolerance + _ROUNDOFF, CALLS)) / CALLS for run, above in own]
    found = bootstrap(shares, np.mean)
    return f"{found.value:.3f} ({found.low:.2f} to {found.high:.2f})"


def _publish(rows: list[dict[str, Any]]) -> None:
    today = [row for row in rows if row["arm"] == _ARMS["today"] and row["table"].endswith("complete hull")]
    shares = "; ".join(f"{row['table'].split(',')[0]}: {row['mSUN, ε 0.01']}" for row in today)
    publish(
        "complete-hull",
        page="discovery",
        title="Generative: niobium oxides and titanium nitrides on a complete hull",
        headline=f"{shares} within 0.01 eV/atom of the complete hull by the loop of today",
        command="python -m tests.benchmarks.complete_hull",
        rows=rows,
        seconds=60 * sum(row["runs"] * (row["minutes"] or 0.0) for row in today),
        notes=[
            f"every run: {CALLS} calls of 7net-0 in rounds of {BATCH}; today's draw {CANDIDATES} candidates "
            "a round, those of that time 500",
            "finds over calls: within ε of the hull, unique in the run, like none of the run's own seeds. "
            "Runs of that time had a few prototypes as seeds, so that what is a competing phase now counts "
            "as found there, but in the last table; today's have all competing phases as seeds, at no "
            "call's cost",
            "hull of that time: of all runs of that time, with MP2020; complete: with today's runs, their "
            "competing phases and Materials Project's ground states of at most 12 atoms",
            "some of today's calls go to competing phases, which are no finds; the GAN of that time had "
            "learned from the shared corpus, today's from prototypes",
            "means over runs with 90 % bootstrap intervals, none for one run",
        ],
        order=43,
    )


if __name__ == "__main__":
    main()
