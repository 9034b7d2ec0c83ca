"""What the arms of a generative benchmark found, judged by the hull that all of them make together.

A hit is stable (within a tolerance of that hull), unique (no earlier stable one of its run matches) and novel
(no seed matches). mSUN(B) is D(B)/B.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from loop.acceleration import (
    Interval,
    acceleration_factor,
    area_under_curve,
    bootstrap,
    discovery_curve,
    enhancement_factor,
    rate_difference,
)
from loop.grouping import group
from loop.hull import build_hull
from loop.ladder import BASELINE
from loop.records import Stability, Status, StructureRecord
from loop.structures import relaxed_structure
from surrogates.protocols import FloatArray

_SHARES = (0.25, 0.5, 0.75)
Hits = dict[str, list[list[bool]]]
"""Of each arm, run by run, whether each oracle call in order was a hit."""


class Run(BaseModel):
    """One arm on one campaign seed: its seeds and its oracle calls in order, failed ones too.

    seconds: wall clock; None where the run was interrupted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arm: str
    seed: int
    seeds: tuple[StructureRecord, ...]
    calls: tuple[StructureRecord, ...]
    seconds: float | None

    @classmethod
    def of(cls, arm: str, seed: int, records: Sequence[StructureRecord], seconds: float | None) -> Run:
        """The run that a campaign's records tell."""
        done = [record for record in records if record.status in {Status.VALIDATED, Status.FAILED}]
        called = sorted(
            (record for record in done if record.round > 0),
            key=lambda r: (r.acquired_round or 0, r.choice.rank if r.choice else 0),
        )
        seeds = tuple(record for record in done if record.round == 0)
        return cls(arm=arm, seed=seed, seeds=seeds, calls=tuple(called), seconds=seconds)


def energies_above(
    runs: Sequence[Run], known: Sequence[StructureRecord], elements: Sequence[str]
) -> list[FloatArray]:
    """e_above_hull (eV/atom) of each run's calls, infinite where they failed.

    The hull is that of everything any run validated and of what is ``known`` besides.
    """
    everything = [*known, *(record for run in runs for record in (*run.seeds, *run.calls))]
    validated = [record for record in everything if record.validation is not None]
    hull = build_hull("benchmark", 0, elements, validated)
    above = {id(r): entry.e_above_hull for r, entry in zip(validated, hull.entries, strict=True)}
    return [np.array([above.get(id(record), np.inf) for record in run.calls]) for run in runs]


def hits(run: Run, above: FloatArray, tolerance: float, calls: int) -> list[bool]:
    """Whether each of ``calls`` oracle calls was a hit; calls that were never made were none."""
    stable = [(str(i), relaxed_structure(run.calls[i])) for i in np.flatnonzero(above <= tolerance)]
    groups = group([*_seeds(run), *stable])
    return [groups.get(str(i)) == str(i) for i in range(calls)]


def repeated(run: Run) -> int:
    """Calls spent on what a seed or an earlier call of the run had relaxed into."""
    calls = [(str(i), relaxed_structure(r)) for i, r in enumerate(run.calls) if r.validation]
    groups = group([*_seeds(run), *calls])
    return sum(groups[name] != name for name, _ in calls)


def _seeds(run: Run) -> list[tuple[str, Any]]:
    return [(f"seed {n}", relaxed_structure(r)) for n, r in enumerate(run.seeds) if r.validation]


def figures(
    runs: Sequence[Run], found: Mapping[str, Sequence[Sequence[bool]]], labels: Mapping[str, str], batch: int
) -> list[dict[str, Any]]:
    """One row an arm: means over its runs with 90 % bootstrap intervals; AF and EF against the first arm.

    effect: mSUN less that of the arm before, with a 90 % credible interval that counts calls as independent.
    """
    baseline = np.mean([discovery_curve(run) for run in found[BASELINE]], axis=0)
    rows: list[dict[str, Any]] = []
    before: Sequence[Sequence[bool]] | None = None
    for arm, by_run in found.items():
        own = [run for run in runs if run.arm == arm]
        curves = [discovery_curve(run) for run in by_run]
        rows.append(
            {
                "arm": labels[arm],
                "runs": len(own),
                **_against(baseline, curves),
                "effect on mSUN": "–" if before is None else _shown(_effect(by_run, before)),
                "hits a round": ", ".join(f"{rate:.2f}" for rate in _by_round(by_run, batch)),
                **_spent(own, by_run),
            }
        )
        before = by_run
    return rows


def _against(baseline: FloatArray, curves: Sequence[FloatArray]) -> dict[str, Any]:
    factors = {s: [acceleration_factor(curve, baseline, s) for curve in curves] for s in _SHARES}
    return {
        "mSUN": _mean([curve[-1] / len(curve) for curve in curves]),
        "AUDC": _mean([area_under_curve(curve) for curve in curves]),
        **{f"AF {share:.0%}": _mean(values) for share, values in factors.items()},
        "EF": _mean([enhancement_factor(curve, baseline, len(curve)) for curve in curves]),
        "censored": sum(bool(curve[-1] < 0.5 * baseline[-1]) for curve in curves),
    }


def _effect(by_run: Sequence[Sequence[bool]], before: Sequence[Sequence[bool]]) -> Interval:
    return rate_difference(
        sum(map(sum, by_run)), sum(map(len, by_run)), sum(map(sum, before)), sum(map(len, before))
    )


def _by_round(by_run: Sequence[Sequence[bool]], batch: int) -> list[float]:
    rows = np.array(by_run, dtype=float)
    return [float(rows[:, start : start + batch].mean()) for start in range(0, rows.shape[1], batch)]


def _spent(own: Sequence[Run], by_run: Sequence[Sequence[bool]]) -> dict[str, Any]:
    """Phonon-stable hits a call where phonons were run, calls wasted, and minutes of a whole run."""
    seconds = [run.seconds for run in own if run.seconds is not None]
    return {
        "phonon-stable": _phonon_yield(own, by_run),
        "repeated": float(np.mean([repeated(run) for run in own])),
        "failed": float(np.mean([sum(r.validation is None for r in run.calls) for run in own])),
        "minutes": float(np.mean(seconds)) / 60 if seconds else None,
    }


def _phonon_yield(own: Sequence[Run], by_run: Sequence[Sequence[bool]]) -> float | None:
    outcomes = [
        record.validation.phonon.outcome
        for run, found in zip(own, by_run, strict=True)
        for record, hit in zip(run.calls, found, strict=False)
        if hit and record.validation
    ]
    if all(outcome is Stability.UNDECIDED for outcome in outcomes):
        return None
    return outcomes.count(Stability.STABLE) / sum(map(len, by_run))


def _mean(values: Sequence[float]) -> str:
    """A mean, with its interval where there is more than one value.

    A dash where there is none, as against a baseline without a hit.
    """
    known = [value for value in values if not np.isnan(value)]
    if len(known) < 2:
        return f"{known[0]:.2f}" if known else "–"
    return _shown(bootstrap(known, np.mean))


def _shown(interval: Interval) -> str:
    return f"{interval.value:.2f} ({interval.low:.2f} to {interval.high:.2f})"
