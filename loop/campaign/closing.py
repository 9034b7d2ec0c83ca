"""Closing a round: hull, discoveries, displaced discoveries and metrics. Pure: records in, records out."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from niobe.config.spec import CampaignSpec
from niobe.loop.campaign.confirming import agreements, spread
from niobe.loop.campaign.duplicates import Comparisons, duplicates
from niobe.loop.documents.claims import k_of_n
from niobe.loop.documents.novelty import Novelty
from niobe.loop.documents.properties import OUT_OF_RANGE
from niobe.loop.documents.records import ON_HULL, Failure, Product, Status, StructureRecord, Verdict
from niobe.loop.documents.rounds import HullRecord, RoundMetrics, RoundRecord, SearchedSystem
from niobe.loop.goals.pareto import dominated, fixed_reference, highest_above, reference_point
from niobe.loop.stability.hull import Competitors, build_hull
from niobe.surrogates.calibration import coverage, miscalibration_area
from niobe.surrogates.protocols import FloatArray

_COMPARED = ("acquired", "control")  # what chose, and what drew at random beside it
_LEAST_PAIRS = 3  # crystals relaxed twice, below which nothing is said of how well energies repeat


def close_round(
    spec: CampaignSpec,
    round_number: int,
    records: Sequence[StructureRecord],
    elsewhere: Sequence[StructureRecord] = (),
    novelty: Callable[[StructureRecord], Novelty] | None = None,
    comparisons: Comparisons | None = None,
) -> tuple[HullRecord, dict[str, Verdict]]:
    """The hull of the round and the verdict of every validated record of the campaign, by record id.

    elsewhere: what other campaigns validated with the same oracle; it competes, and is known. novelty: asked
    of each find, what it is beside everything known; without it a find is what it was before, or
    new.

    spec: the campaign. round_number: of the round. records: structure records; their crystals are looked at
    by ``comparisons`` alone.
    """
    validated = in_order(record for record in records if record.status is Status.VALIDATED)
    hull = build_hull(spec.id, round_number, spec.elements, [*validated, *elsewhere])
    hull.searched = searched_systems(spec, [*records, *elsewhere])
    hull.excluded = list(spec.seeds.exclude)
    asked = Counter(record.formula for record in [*records, *elsewhere] if record.asked)
    same_as = duplicates(validated, elsewhere, comparisons)
    copies: dict[str, set[str]] = defaultdict(set)
    for name, first in same_as.items():
        copies[first or ""].add(name)
    competitors = Competitors(hull)
    heights = _heights(hull, competitors, validated, copies)
    verdicts = {
        record.id: _verdict(
            spec,
            record,
            round_number,
            heights[record.id],
            entry.formation_energy_per_atom,
            same_as[record.id],
        )
        for record, entry in zip(validated, hull.entries, strict=False)
    }
    for record in validated:
        verdicts[record.id] = _with_novelty(verdicts[record.id], record, novelty)
    hull.noise = _noise(hull, verdicts)
    for record in validated:
        if heights[record.id] <= spec.hull_tolerance and not is_reference(spec, record):
            verdict = verdicts[record.id]
            verdicts[record.id] = _against_products(
                competitors, hull.noise, record, verdict, asked, copies[record.id]
            )
    return hull, verdicts


def _heights(
    hull: HullRecord,
    competitors: Competitors,
    validated: Sequence[StructureRecord],
    copies: Mapping[str, set[str]],
) -> dict[str, float]:
    """e_above_hull (eV/atom) by id; of what represents a crystal without its duplicates.

    A duplicate may be lower by what relaxations of one crystal differ by: a crystal is not measured against
    itself.
    """
    energies = {entry.record_id: entry.energy_per_atom for entry in hull.entries}
    heights = {}
    for record, entry in zip(validated, hull.entries, strict=False):
        same = copies.get(record.id, set())
        lower = record.nelements > 1 and any(energies[name] < energies[record.id] for name in same)
        above = competitors.of(record.id, same)[1] if lower else entry.e_above_hull
        heights[record.id] = max(0.0, above)
    return heights


def _with_novelty(
    verdict: Verdict, record: StructureRecord, novelty: Callable[[StructureRecord], Novelty] | None
) -> Verdict:
    """The verdict, of a find with what it is beside everything known."""
    if not verdict.discovery:
        return verdict
    found = novelty(record) if novelty else verdict.novelty
    return verdict.given(found) if found else verdict


def _noise(hull: HullRecord, verdicts: Mapping[str, Verdict]) -> float | None:
    """Median difference (eV/atom) between energies of one crystal, relaxed from two starts."""
    energies = {entry.record_id: entry.energy_per_atom for entry in hull.entries}
    twice = [(name, found.duplicate_of) for name, found in verdicts.items() if found.duplicate_of in energies]
    apart = [abs(energies[name] - energies[str(other)]) for name, other in twice]
    return float(np.median(apart)) if len(apart) >= _LEAST_PAIRS else None


def _against_products(
    competitors: Competitors,
    noise: float | None,
    record: StructureRecord,
    verdict: Verdict,
    asked: Counter[str],
    same: Collection[str],
) -> Verdict:
    """The verdict of a claim with what it competes with, and with what other oracles think of that.

    Its error is that of a difference of energies. noise: between energies of one crystal, eV/atom.
    """
    found, above = competitors.of(record.id, same)
    error = noise and noise * math.sqrt(1 + sum(share**2 for _, share in found))
    products = [
        Product(
            record_id=entry.record_id,
            campaign=entry.campaign,
            formula=entry.formula,
            share=round(share, 6),
            asked=asked[entry.formula],
        )
        for entry, share in found
    ]
    judged = verdict.model_copy(update={"products": products, "above_products": above, "error": error})
    agreeing, others = k_of_n(record.opinions)
    apart = spread(judged, record.opinions)
    return judged.model_copy(
        update={"opinions_agreeing": agreeing, "opinions_asked": others, "spread": apart}
    )


def searched_systems(spec: CampaignSpec, records: Sequence[StructureRecord]) -> list[SearchedSystem]:
    """How well the system and each of its subsystems was searched."""
    by_system: dict[str, list[StructureRecord]] = defaultdict(list)
    for record in records:
        by_system[record.chemsys].append(record)
    return [
        SearchedSystem(
            chemsys=system,
            ranked=sum(record.prerelaxed is not None for record in by_system[system]),
            asked=sum(record.asked for record in by_system[system]),
            failed=sum(record.status is Status.FAILED for record in by_system[system]),
        )
        for system in spec.subsystems()
    ]


def in_order(records: Iterable[StructureRecord]) -> list[StructureRecord]:
    """What was judged before first, then by the round they were acquired in and their place in its batch.

    Of two that relaxed into one crystal at one energy the later one is the duplicate.
    """
    return sorted(records, key=_turn)


def _turn(record: StructureRecord) -> tuple[bool, int, int, int, int]:
    rank = record.choice.rank if record.choice else 0
    return record.verdict is None, record.acquired_round or 0, rank, record.round, record.index


def _verdict(
    spec: CampaignSpec,
    record: StructureRecord,
    round_number: int,
    above: float,
    formation: float,
    duplicate_of: str | None,
) -> Verdict:
    before = record.verdict
    found = before.e_above_hull_found if before else above
    discovered = is_discovery(spec, record, above, duplicate_of)
    discovery_round = before.discovery_round if before else None
    if discovered and discovery_round is None:
        discovery_round = round_number
    displaced = None
    if discovery_round is not None and not discovered:
        displaced = (before.displaced_round if before else None) or round_number
    return Verdict(
        formation_energy_per_atom=formation,
        e_above_hull_found=found,
        e_above_hull_now=above,
        hull_round=round_number,
        duplicate_of=duplicate_of,
        discovery=discovered,
        discovery_round=discovery_round,
        displaced_round=displaced,
        novelty=before.novelty if before else None,
    )


def is_discovery(spec: CampaignSpec, record: StructureRecord, above: float, duplicate_of: str | None) -> bool:
    """Stable (within ``hull_tolerance``), unique, novel against seeds, relaxed as tightly as a find has to
    be, dynamically stable if asked, and no challenge took it away.

    spec: the campaign. record: the structure record. above: e_above_hull, eV/atom. duplicate_of: what it is
    a duplicate of, if anything.
    """
    validation = record.validation
    return (
        may_be_find(spec, record, above)
        and validation is not None
        and duplicate_of is None
        and not record.phonons_pending
        and (validation.refined is None or validation.refined.converged)
        and (record.dynamically_stable or not spec.phonons.enabled)
        and (record.challenge is None or record.challenge.survived)
    )


def may_be_find(spec: CampaignSpec, record: StructureRecord, above: float) -> bool:
    """Whether a result lies within ``hull_tolerance`` and is no competing phase nor an element of a compound.

    spec: the campaign. record: the structure record. above: e_above_hull, eV/atom.
    """
    return not record.competing and not is_reference(spec, record) and above <= spec.hull_tolerance


def is_reference(spec: CampaignSpec, record: StructureRecord) -> bool:
    """Whether it is a crystal of one element in a campaign of several: never a discovery."""
    return record.nelements == 1 < len(spec.elements)


def round_metrics(
    spec: CampaignSpec,
    round_record: RoundRecord,
    records: Sequence[StructureRecord],
    before: Sequence[RoundRecord] = (),
    drawn: Mapping[Status, int] | None = None,
) -> RoundMetrics:
    """Metrics of one round from all records of the campaign, verdicts included.

    spec: the campaign. round_record: the round. before: those before it, in order. drawn: how many records
    of the round have each status, where not all of them are among the records.
    """
    status = Counter(drawn or (record.status for record in records if record.round == round_record.number))
    batch = [r for r in records if r.acquired_round == round_record.number and not r.challenges]
    validated = [record for record in batch if record.status is Status.VALIDATED and record.verdict]
    above = [r.verdict.e_above_hull_found for r in validated if r.verdict]
    failures = Counter(_cause(record.failure) for record in batch if record.failure)
    return RoundMetrics(
        generated=status.total(),
        invalid=status[Status.INVALID],
        duplicates=status[Status.DUPLICATE],
        screened=status.total() - status[Status.INVALID] - status[Status.DUPLICATE],
        validated=len(validated),
        failed=sum(record.status is Status.FAILED for record in batch),
        stable=sum(height <= ON_HULL for height in above),
        metastable=sum(ON_HULL < height <= spec.hull_tolerance for height in above),
        dynamically_stable=sum(record.dynamically_stable for record in validated),
        discoveries=sum(_discovered_in(record, round_record.number) for record in records),
        displaced=sum(_displaced_in(record, round_record.number) for record in records),
        hit_rate=_hit_rate(batch, "acquired"),
        control_hit_rate=_hit_rate(batch, "control"),
        **_of_predictions(validated),
        failures_by_cause=dict(failures),
        rejected_by_generator=round_record.rejected,
        diversity=round_record.metrics.diversity,
        seconds=round_record.steps,
        best_e_above_hull=min(above, default=None),
        **_of_challenges(records),
        agreements=agreements([r for r in records if r.verdict and r.verdict.is_find]),
        confirm_seconds=round_record.metrics.confirm_seconds,
        answered={kind: found for kind in _COMPARED if (found := hits_of(records, kind))[1]},
        **_of_goals(spec, records, before),
    )


def _of_predictions(validated: Sequence[StructureRecord]) -> dict[str, Any]:
    """How well a batch was predicted; nothing where nothing was."""
    errors, stds = _prediction_errors(validated)
    if not len(errors):
        return {}
    return {
        "mae": float(np.mean(np.abs(errors))),
        "coverage": coverage(errors, stds),
        "miscalibration": miscalibration_area(errors, stds),
    }


def _of_challenges(records: Sequence[StructureRecord]) -> dict[str, Any]:
    """The metrics of all finds so far that were challenged."""
    challenges = [record.challenge for record in records if record.challenge]
    return {
        "challenged": len(challenges),
        "survived": sum(challenge.survived for challenge in challenges),
        "challenge_seconds": sum(challenge.seconds for challenge in challenges),
    }


def _of_goals(
    spec: CampaignSpec, records: Sequence[StructureRecord], before: Sequence[RoundRecord]
) -> dict[str, Any]:
    """The metrics of a campaign's goals so far."""
    missed = Counter(filter(None, map(_goal_missed, records)))
    point = reference_point(spec, records, fixed_reference(before))
    volume = dominated(spec, records, point)
    above = None if volume is None else highest_above(spec)
    return {
        "out_of_range": dict(missed),
        "hypervolume": volume,
        "highest_above": above,
        "reference": point,
    }


def _goal_missed(record: StructureRecord) -> str:
    """The goal for which a candidate was set aside, or ""."""
    told = record.status is Status.INVALID and record.reason.startswith(OUT_OF_RANGE)
    return record.reason.removeprefix(OUT_OF_RANGE).split()[0] if told else ""


def _cause(failure: Failure) -> str:
    return failure.cause if failure.step == "relax" else f"{failure.step}: {failure.cause}"


def _prediction_errors(validated: Sequence[StructureRecord]) -> tuple[FloatArray, FloatArray]:
    """Errors of predicted formation energy and the stds they came with, eV/atom, each (n,)."""
    rows = []
    for record in validated:
        predicted = record.prediction.get("formation_energy_per_atom")
        if predicted is None or predicted.mean is None or predicted.std is None or record.verdict is None:
            continue
        rows.append((predicted.mean - record.verdict.formation_energy_per_atom, predicted.std))
    table = np.array(rows, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _discovered_in(record: StructureRecord, number: int) -> bool:
    return record.verdict is not None and record.verdict.discovery_round == number


def _displaced_in(record: StructureRecord, number: int) -> bool:
    return record.verdict is not None and record.verdict.displaced_round == number


def _hit_rate(batch: Sequence[StructureRecord], setting: str) -> float | None:
    hits, calls = hits_of(batch, setting)
    return hits / calls if calls else None


def hits_of(records: Sequence[StructureRecord], setting: str) -> tuple[int, int]:
    """How many of a setting's finished validations were finds, known before or not, and how many finished.

    A crystal counts once, by the record that represents it now.
    """
    done = [r for r in records if r.choice and r.choice.selection == setting and (r.validation or r.failure)]
    verdicts = [r.verdict for r in done if r.verdict is not None]
    return sum(v.was_found and v.duplicate_of is None for v in verdicts), len(done)
