"""What the settings of a generative benchmark found, judged by the hull that all of them make together.

A hit is stable (within a tolerance of that hull), unique (no earlier stable one of its run matches) and novel
(no seed matches). mSUN(B) is D(B)/B.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from niobe.loop.benchmark.ablation import BASELINE
from niobe.loop.campaign.acceleration import (
    Interval,
    acceleration_factor,
    area_under_curve,
    bootstrap,
    discovery_curve,
    enhancement_factor,
    rate_difference,
)
from niobe.loop.crystals.grouping import group
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.stability.hull import (
    LOWEST_FORMATION_ENERGY,
    atomic_fractions,
    build_hull,
    elemental_energies,
    formation_energy,
)
from niobe.surrogates.protocols import FloatArray

_SHARES = (0.25, 0.5, 0.75)


class Run(BaseModel):
    """One setting on one campaign seed: its seeds and its oracle calls in order, failed ones too.

    seconds: wall clock; None where the run was interrupted. ended: by when each call was over, in seconds
    from the start (of a campaign: by when its round was closed); empty where that is not known. evaluated:
    how many geometries the oracle was asked about by the end of each call; empty where that is not known.
    later: dynamical verdicts that the run had not asked for, by record id.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    setting: str
    seed: int
    seeds: tuple[StructureRecord, ...]
    calls: tuple[StructureRecord, ...]
    seconds: float | None
    ended: tuple[float, ...] = ()
    evaluated: tuple[int, ...] = ()
    later: dict[str, Stability] = {}

    @classmethod
    def of(
        cls,
        setting: str,
        seed: int,
        records: Sequence[StructureRecord],
        seconds: float | None,
        closed: Mapping[int, float] | None = None,
    ) -> Run:
        """The run that a campaign's records tell.

        setting: how it was set, as the comparison names it. seed: of the campaign. seconds: it took,
        where known. closed: when each round was closed, by its number, in seconds from the start.
        """
        done = [record for record in records if record.status in {Status.VALIDATED, Status.FAILED}]
        called = sorted(
            (record for record in done if record.round > 0),
            key=lambda r: (r.acquired_round or 0, r.choice.rank if r.choice else 0),
        )
        seeds = tuple(record for record in done if record.round == 0)
        over = [(closed or {}).get(record.acquired_round or 0) for record in called]
        ended = () if None in over else tuple(when for when in over if when is not None)
        return cls(
            setting=setting,
            seed=seed,
            seeds=seeds,
            calls=tuple(called),
            seconds=seconds,
            ended=ended,
            evaluated=_evaluated(called),
        )

    def dynamics(self) -> list[Stability]:
        """The dynamical verdict of each call, undecided where it has none."""
        own = [r.validation.phonon.outcome if r.validation else Stability.UNDECIDED for r in self.calls]
        return [
            self.later.get(record.id, outcome) if outcome is Stability.UNDECIDED else outcome
            for record, outcome in zip(self.calls, own, strict=True)
        ]


def _evaluated(calls: Sequence[StructureRecord]) -> tuple[int, ...]:
    """Geometries asked about by the end of each call: of its relaxation, and the symmetrised end. One that
    failed counts as the longest of the others."""
    steps = [call.validation.steps + 1 if call.validation else 0 for call in calls]
    longest = max(steps, default=0)
    return tuple(accumulate(own or longest for own in steps))


def energies_above(
    runs: Sequence[Run], known: Sequence[StructureRecord], elements: Sequence[str]
) -> list[FloatArray]:
    """e_above_hull (eV/atom) of each run's calls, infinite where they failed.

    The hull is that of everything any run validated and of what is ``known`` besides. What lies deeper than
    any solid counts as failed, as it does in campaigns.

    runs: runs of the settings. elements: symbols.
    """
    given = [*known, *(seed for run in runs for seed in run.seeds)]
    references = elemental_energies(given)
    everything = [*given, *(call for run in runs for call in run.calls)]
    validated = [record for record in everything if record.validation and _is_solid(record, references)]
    hull = build_hull("benchmark", 0, elements, validated)
    above = {id(r): entry.e_above_hull for r, entry in zip(validated, hull.entries, strict=True)}
    return [np.array([above.get(id(record), np.inf) for record in run.calls]) for run in runs]


def _is_solid(record: StructureRecord, references: Mapping[str, float]) -> bool:
    """Whether a result lies no deeper than any solid; where an element has no energy nothing is known.

    references: of the elements, eV/atom.
    """
    energy = record.validation.energy_per_atom if record.validation else float("nan")
    return not formation_energy(atomic_fractions(record), energy, references) < LOWEST_FORMATION_ENERGY


def hits(run: Run, above: FloatArray, tolerance: float, calls: int) -> list[bool]:
    """Whether each of ``calls`` oracle calls was a hit; calls that were never made were none.

    run: one setting on one seed. above: e_above_hull, eV/atom. tolerance: e_above_hull of a hit, at most,
    eV/atom.
    """
    stable = [(str(i), relaxed_structure(run.calls[i])) for i in np.flatnonzero(above <= tolerance)]
    groups = group([*_seeds(run), *stable])
    return [groups.get(str(i)) == str(i) for i in range(calls)]


def stable_hits(run: Run, above: FloatArray, tolerance: float, calls: int) -> list[bool] | None:
    """Hits among what phonons call stable, so that no unstable duplicate comes first.

    None where nothing is known of what lies within the tolerance.

    run: one setting on one seed. above: e_above_hull, eV/atom. calls: oracle calls.
    """
    dynamics = np.array(run.dynamics())
    if (above <= tolerance).any() and (dynamics[above <= tolerance] == Stability.UNDECIDED).all():
        return None
    return hits(run, np.where(dynamics == Stability.STABLE, above, np.inf), tolerance, calls)


def repeated(run: Run) -> int:
    """Calls spent on what a seed or an earlier call of the run had relaxed into."""
    calls = [(str(i), relaxed_structure(r)) for i, r in enumerate(run.calls) if r.validation]
    groups = group([*_seeds(run), *calls])
    return sum(groups[name] != name for name, _ in calls)


def _seeds(run: Run) -> list[tuple[str, Any]]:
    return [(f"seed {n}", relaxed_structure(r)) for n, r in enumerate(run.seeds) if r.validation]


@dataclass(frozen=True)
class ScoredRun:
    """A run, whether each of its calls was a hit, and a hit among what phonons call stable."""

    run: Run
    hits: list[bool]
    stable: list[bool] | None

    @classmethod
    def of(cls, run: Run, above: FloatArray, tolerance: float, calls: int) -> ScoredRun:
        """above: e_above_hull of the run's calls (eV/atom), as ``energies_above`` says.

        tolerance: e_above_hull of a hit, at most, eV/atom.
        """
        return cls(run, hits(run, above, tolerance, calls), stable_hits(run, above, tolerance, calls))


def figures(
    judged: Mapping[str, Sequence[ScoredRun]], labels: Mapping[str, str], batch: int
) -> list[dict[str, Any]]:
    """One row a setting: means over its runs with 90 % bootstrap intervals; AF and EF against the first
    setting.

    effect: mSUN less that of the setting before, with a 90 % credible interval that counts calls as
    independent.

    judged: scored runs by setting. labels: what each setting is called. batch: calls in a round.
    """
    baseline = np.mean([discovery_curve(one.hits) for one in judged[BASELINE]], axis=0)
    rows: list[dict[str, Any]] = []
    before: Sequence[ScoredRun] = ()
    for setting, runs in judged.items():
        rows.append(
            {
                "setting": labels[setting],
                "runs": len(runs),
                **_against(baseline, [discovery_curve(one.hits) for one in runs]),
                "effect on mSUN": _shown(_effect(runs, before)) if before else "–",
                "hits a round": ", ".join(f"{rate:.2f}" for rate in _by_round(runs, batch)),
                **_spent(runs),
            }
        )
        before = runs
    return rows


def by_generator(
    judged: Mapping[str, Sequence[ScoredRun]], labels: Mapping[str, str]
) -> list[dict[str, Any]]:
    """What the calls of each setting's generators were: one row a generator, over all runs of the setting.

    hits and phonon-stable: shares of the calls, the latter over runs whose phonons are known.
    """
    rows: list[dict[str, Any]] = []
    for setting, runs in judged.items():
        hit: dict[str, list[bool]] = defaultdict(list)
        stable: dict[str, list[bool]] = defaultdict(list)
        for one in runs:
            for call, record in enumerate(one.run.calls[: len(one.hits)]):
                hit[record.lineage.generator].append(one.hits[call])
                stable[record.lineage.generator] += [] if one.stable is None else [one.stable[call]]
        for name in sorted(hit):
            shares = {"hits": _share(hit[name]), "phonon-stable": _share(stable[name])}
            rows.append({"setting": labels[setting], "generator": name, "calls": len(hit[name]), **shares})
    return rows


def _share(found: Sequence[bool]) -> float | None:
    return round(float(np.mean(found)), 2) if found else None


def _against(baseline: FloatArray, curves: Sequence[FloatArray]) -> dict[str, Any]:
    factors = {s: [acceleration_factor(curve, baseline, s) for curve in curves] for s in _SHARES}
    return {
        "mSUN": _mean([curve[-1] / len(curve) for curve in curves]),
        "AUDC": _mean([area_under_curve(curve) for curve in curves]),
        **{f"AF {share:.0%}": _mean(values) for share, values in factors.items()},
        "EF": _mean([enhancement_factor(curve, baseline, len(curve)) for curve in curves]),
        "censored": sum(bool(curve[-1] < 0.5 * baseline[-1]) for curve in curves),
    }


def _effect(runs: Sequence[ScoredRun], before: Sequence[ScoredRun]) -> Interval:
    own, other = ([one.hits for one in setting] for setting in (runs, before))
    return rate_difference(sum(map(sum, own)), sum(map(len, own)), sum(map(sum, other)), sum(map(len, other)))


def _by_round(runs: Sequence[ScoredRun], batch: int) -> list[float]:
    rows = np.array([one.hits for one in runs], dtype=float)
    return [float(rows[:, start : start + batch].mean()) for start in range(0, rows.shape[1], batch)]


def _spent(runs: Sequence[ScoredRun]) -> dict[str, Any]:
    """Phonon-stable hits a call where phonons are known, calls wasted, and minutes of a whole run."""
    seconds = [one.run.seconds for one in runs if one.run.seconds is not None]
    stable = [one.stable for one in runs if one.stable is not None]
    failed = [sum(record.validation is None for record in one.run.calls) for one in runs]
    return {
        "phonon-stable": _mean([sum(found) / len(found) for found in stable]),
        "repeated": float(np.mean([repeated(one.run) for one in runs])),
        "failed": float(np.mean(failed)),
        "minutes": float(np.mean(seconds)) / 60 if seconds else None,
    }


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
