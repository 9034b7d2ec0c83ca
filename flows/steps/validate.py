"""Validation steps: ask the oracle, store what it answered, close the round."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niobe.config.home import home, kept_files, work
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import AsksTogether, Oracle
from niobe.flows.oracles.batched.asking import parts
from niobe.flows.oracles.calculation import in_motion, phonons, validate_structure
from niobe.flows.oracles.refinement import refine, tight, unrefined
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.claims.finds import seconds_for_challenges
from niobe.flows.steps.known import competitors_elsewhere, kept_comparisons
from niobe.loop.campaign import closing
from niobe.loop.campaign.closing import in_order, may_be_find, round_metrics
from niobe.loop.campaign.duplicates import Crystals, lowest_first
from niobe.loop.campaign.seeds import COMPETING, excluded_structures
from niobe.loop.crystals.symmetry import point_group_order
from niobe.loop.documents.dynamics import PhononVerdict, Stability
from niobe.loop.documents.records import Failure, Status, StructureRecord, Validation, Verdict
from niobe.loop.documents.rounds import HullRecord, RoundRecord, RoundState, SearchedSystem
from niobe.loop.documents.structures import candidate_structure, generated_structure, relaxed_structure
from niobe.loop.novelty.catalogue import Catalogue
from niobe.loop.novelty.judging import find_of, judge
from niobe.loop.stability.at_temperature import at_temperature
from niobe.loop.stability.hull import build_hull, elemental_energies
from niobe.loop.stability.phonons import undecided
from niobe.loop.store.claims import SupersededError
from niobe.loop.store.database import Database
from niobe.loop.store.shared import count_prerelaxed

if TYPE_CHECKING:
    from pymatgen.core import Structure


_PHONONS_OFF = "phonons are off"


class QuorumError(RuntimeError):
    """Too few validations of the round have finished for it to close."""


def validate_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Relax every ``slots``-th candidate of the batch from ``slot`` on, unless its outcome is stored.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    validate_records(database, spec, database.rounds.get(spec.id, number).batch[slot::slots])


def validate_records(database: Database, spec: CampaignSpec, identifiers: Sequence[str]) -> None:
    """Have the oracle relax those records that wait for it, and store each outcome.

    database: the campaign database. spec: the campaign. identifiers: of records.
    """
    oracle = make_oracle(spec.oracle, spec.conditions.pressure)
    elements = database.records.find(spec.id, round=0, nelements=1)
    references = elemental_energies([*elements, *competitors_elsewhere(database, spec, spec.elements)])
    for record, start, asked in _with_starts(database, spec, oracle, identifiers):
        with work_folder(spec, record, "validate") as folder:
            outcome = validate_structure(spec, asked, start, folder, references)
            if isinstance(outcome, Failure):
                outcome = _with_files(outcome, spec, record, folder)
        if isinstance(outcome, Failure):
            database.records.finish_validation(record.id, status=Status.FAILED, failure=outcome)
        else:
            database.records.finish_validation(record.id, status=Status.VALIDATED, validation=outcome)


def _with_starts(
    database: Database, spec: CampaignSpec, oracle: Oracle, identifiers: Sequence[str]
) -> Iterator[tuple[StructureRecord, Structure, Oracle]]:
    """Records that wait when their turn comes, where the oracle starts, and the oracle: on a GPU it has
    relaxed many by then."""
    at_once = oracle.at_once if isinstance(oracle, AsksTogether) else 0
    for some in parts(
        identifiers, at_once, lambda name: database.records.get(name).n_atoms if at_once else 1
    ):
        own = [record for record in map(database.records.get, some) if record.status is Status.ACQUIRED]
        starts, asked = list(map(_start, own)), oracle
        if isinstance(oracle, AsksTogether) and len(own) > 1:
            asked = oracle.having_relaxed(starts, spec.oracle.wall_time)
        yield from ((record, start, asked) for record, start in zip(own, starts, strict=True))


def _start(record: StructureRecord) -> Structure:
    """Where the oracle starts: as pre-relaxed; files and entries as they came."""
    given = record.round == 0 and record.lineage.generator not in COMPETING
    return generated_structure(record) if given else candidate_structure(record)


def choose_phonons(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Set aside, with the reason, what waits for phonons that would not pay; the rest is the round's to run.

    They pay within ``phonons.window`` of the hull of all that is validated by now, and not for what relaxed
    into the crystal of another result that lies as low. Results that came after their own round closed are
    chosen from too.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    if not database.records.exists(spec.id, validation__phonon__outcome=Stability.PENDING.value):
        return
    validated = database.results.validated(spec.id)
    above = above_hull(database, spec, round_record.number, validated)
    comparisons = kept_comparisons(database, spec)
    chosen, finds, seen = list[StructureRecord](), list[str](), Crystals(comparisons)
    formulas = {record.formula for record in validated if record.phonons_pending}
    for record in lowest_first(in_order(r for r in validated if r.formula in formulas)):
        pending = record.phonons_pending
        reason = _why_no_phonons(spec, record, above[record.id], seen) if pending else ""
        seen.add(record)
        if reason:
            _store_verdict(database, record, undecided(spec.phonons.tolerance, reason))
        elif pending:
            chosen.append(record)
            finds += [record.id] if may_be_find(spec, record, above[record.id]) else []
    database.shapes.remember(spec.id, comparisons.new)
    longest = [record.id for record in sorted(chosen, key=partial(_ease, finds=finds))]
    database.rounds.update(spec.id, round_record.number, phonons=longest, candidate_finds=finds)


def _ease(record: StructureRecord, finds: Sequence[str]) -> tuple[bool, float]:
    """The longest first: two supercells for a find, many displaced cells of many atoms with few rotations."""
    return record.id not in finds, -record.n_atoms / point_group_order(record.group)


def above_hull(
    database: Database, spec: CampaignSpec, number: int, validated: Sequence[StructureRecord]
) -> dict[str, float]:
    """eV/atom above the hull of all that is validated, here and elsewhere, by record.

    database: the campaign database. spec: the campaign. number: of the round. validated: of the campaign.
    """
    known = [*validated, *competitors_elsewhere(database, spec)]
    hull = build_hull(spec.id, number, spec.elements, known)
    return {entry.record_id: entry.e_above_hull for entry in hull.entries}


def phonon_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Phonons of every ``slots``-th structure from ``slot`` on that the round chose, unless stored.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    chosen = database.rounds.get(spec.id, number)
    settle(database, spec, chosen.phonons[slot::slots], chosen.candidate_finds)


def settle(database: Database, spec: CampaignSpec, identifiers: Sequence[str], finds: Sequence[str]) -> None:
    """Phonons of those records that wait for them, stored.

    What may be a find is relaxed tightly and symmetrised before; without phonons that is all.

    database: the campaign database. spec: the campaign. identifiers: of records. finds: of those among them
    that may be one.
    """
    waiting = [record for record in map(database.records.get, identifiers) if record.phonons_pending]
    if not waiting:
        return
    judge = make_oracle(spec.phonon_oracle, spec.conditions.pressure) if spec.phonons.enabled else None
    for record in waiting:
        find = record.id in finds
        if find and not _refine(database, spec, record):
            continue
        if judge is None:
            _store_verdict(database, record, undecided(spec.phonons.tolerance, _PHONONS_OFF))
        else:
            _run_phonons(database, spec, judge, database.records.get(record.id), find)


def _refine(database: Database, spec: CampaignSpec, record: StructureRecord) -> bool:
    """Whether a candidate find could be relaxed as tightly as a find has to be; stored either way."""
    validation = record.validation
    if validation is None or validation.refined is not None:
        return True
    with work_folder(spec, record, "refine") as folder:
        outcome = refine(spec, make_oracle(tight(spec), spec.conditions.pressure), validation, folder)
        if isinstance(outcome, Failure):
            outcome = _with_files(outcome, spec, record, folder)
    if isinstance(outcome, Validation):
        open_ = {"validation__phonon__outcome": Stability.PENDING, "validation__refined": None}
        return database.records.update_if(record.id, open_, validation=outcome)
    verdict = undecided(spec.phonons.tolerance, f"not relaxed as a find has to be: {outcome.message}")
    loose = unrefined(validation, outcome).model_copy(update={"phonon": verdict})
    database.records.finish_phonons(record.id, validation=loose, failure=outcome)
    return False


def give_up_on(database: Database, spec: CampaignSpec, identifier: str, step: str, failure: Failure) -> None:
    """Store that a relaxation or the phonons of a record (``step``) were tried often enough in vain.

    database: the campaign database. spec: the campaign. identifier: id of the record. failure: what is
    stored instead of a result.
    """
    if step == "validate":
        database.records.finish_validation(identifier, status=Status.FAILED, failure=failure)
        return
    record = database.records.get(identifier)
    if record.phonons_pending:
        reason = f"phonons failed: {failure.cause}"
        _store_verdict(database, record, undecided(spec.phonons.tolerance, reason), failure=failure)


def _why_no_phonons(spec: CampaignSpec, record: StructureRecord, above: float, seen: Crystals) -> str:
    """Why a record ``above`` the hull (eV/atom) is not looked at more closely, or "".

    It is not worth phonons after what was ``seen`` of the same crystal. Without phonons what may be a find
    is looked at all the same: it is relaxed tightly.
    """
    if not spec.phonons.enabled and not may_be_find(spec, record, above):
        return _PHONONS_OFF
    if record.competing and record.lineage.generator not in {"file", "source"}:
        return "a competing phase: only its energy counts"
    if spec.phonons.enabled and above > spec.phonons.window:
        return f"{above:.3f} eV/atom above the hull; phonons.window {spec.phonons.window}"
    duplicate = seen.find(record)
    return f"relaxed into {duplicate}" if duplicate else ""


def _run_phonons(
    database: Database, spec: CampaignSpec, judge: Oracle, record: StructureRecord, find: bool
) -> None:
    with work_folder(spec, record, "phonons") as folder:
        outcome = phonons(
            spec, judge, relaxed_structure(record), folder, find, settled=_settled(spec, record)
        )
        if isinstance(outcome, Failure):
            outcome = _with_files(outcome, spec, record, folder)
    if isinstance(outcome, Failure):
        verdict = undecided(spec.phonons.tolerance, f"phonons failed: {outcome.cause}")
        _store_verdict(database, record, verdict, {"phonons": outcome.seconds}, failure=outcome)
        return
    (result, seconds), moved = outcome, 0.0
    if find and spec.challenge.enabled:
        with work_folder(spec, record, "motion") as folder:
            result, moved = in_motion(spec, judge, result, folder, seconds_for_challenges(database, spec))
    if result.bands:
        database.phonons.store(result.stored(record.id, record.campaign))
    in_all = {"phonons": seconds} | ({"motion": moved} if moved else {})
    _store_verdict(database, record, result.verdict, in_all)


def _settled(spec: CampaignSpec, record: StructureRecord) -> bool:
    """Whether what judges phonons has relaxed the structure already, to forces as small as it would."""
    refined = record.validation.refined if record.validation else None
    return refined is not None and refined.converged and spec.phonon_oracle.name == spec.oracle.name


def _store_verdict(
    database: Database,
    record: StructureRecord,
    verdict: PhononVerdict,
    seconds: Mapping[str, float] | None = None,
    **fields: Any,
) -> None:
    """Unless the record has one already. seconds: by what took them. fields: stored with it."""
    fields["validation.phonon"] = verdict
    fields |= {f"validation.seconds.{step}": took for step, took in (seconds or {}).items() if took}
    database.records.finish_phonons(record.id, **fields)


@contextmanager
def work_folder(spec: CampaignSpec, record: StructureRecord, step: str) -> Iterator[Path]:
    """Where the files of one calculation lie while it runs, no other's.

    Prerelaxation and oracle may ask about a seed at once, and a worker may outlive a launcher that was
    killed.

    spec: the campaign. record: the structure record. step: of the calculation.
    """
    folder = work(spec.id) / f"{record.id}-{step}-{os.getpid()}"
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _with_files(failure: Failure, spec: CampaignSpec, record: StructureRecord, folder: Path) -> Failure:
    """The failure, what the oracle had written moved to where it stays; as it is where that is nothing."""
    if not any(path.is_file() for path in folder.rglob("*")):
        return failure
    kept = kept_files(spec.id, record.id, failure.step)
    place = home() / kept
    shutil.rmtree(place, ignore_errors=True)
    place.parent.mkdir(parents=True, exist_ok=True)
    folder.rename(place)
    return failure.model_copy(update={"files": str(kept)})


def close_round(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Store the hull, verdicts and metrics of a round.

    database: the campaign database. spec: the campaign. round_record: the round.
    Raises QuorumError where too few validations have finished, or no batch was ever chosen, SupersededError
    where a later round has closed.
    """
    if not {"seed", "acquire"} & set(round_record.steps):
        raise QuorumError("no batch was chosen: an earlier step of the round failed")
    if round_record.number > 0 and "generate" not in round_record.steps:
        raise QuorumError("no candidates were drawn: an earlier step of the round failed")
    number = round_record.number
    _require_quorum(spec, round_record, database.records.light(spec.id, acquired_round=number))
    records, elsewhere = database.results.finished(spec.id), competitors_elsewhere(database, spec)
    catalogue = Catalogue(database, spec.id, excluded_structures(spec))
    comparisons = kept_comparisons(database, spec)
    hull, verdicts = closing.close_round(
        spec,
        number,
        records,
        elsewhere,
        lambda record: judge(find_of(database.records.get(record.id)), catalogue),
        comparisons,
    )
    database.shapes.remember(spec.id, comparisons.new)
    hull.searched = _with_waiting(database, spec, hull, [*records, *elsewhere])
    if spec.conditions.temperature:
        verdicts = _at_temperature(database, spec, hull, verdicts)
    _require_newest(database, spec, number)
    database.shapes.keep_orders(spec.id, comparisons.orders)
    changes = {r.id: {"verdict": verdicts[r.id]} for r in records if _is_changed(r, verdicts.get(r.id))}
    database.records.update_until(number, "verdict.hull_round", changes)
    database.results.complete(spec.id)
    database.hulls.store(hull)
    judged = [r.model_copy(update=changes[r.id]) if r.id in changes else r for r in records]
    _store_metrics(database, spec, number, judged)


def _with_waiting(
    database: Database, spec: CampaignSpec, hull: HullRecord, finished: Sequence[StructureRecord]
) -> list[SearchedSystem]:
    """How well each system was searched, what was pre-relaxed and never asked about counted too."""
    ours = [record for record in finished if record.campaign == spec.id and record.prerelaxed]
    potentials = {record.prerelaxed.potential for record in ours if record.prerelaxed}
    answered = Counter(record.chemsys for record in ours)
    if not potentials:
        return hull.searched
    return [
        system.model_copy(
            update={
                "ranked": system.ranked
                - answered[system.chemsys]
                + count_prerelaxed(database, spec.id, system.chemsys, potentials)
            }
        )
        for system in hull.searched
    ]


def _is_changed(record: StructureRecord, verdict: Verdict | None) -> bool:
    """Whether a verdict says anything else than the one that a record has."""
    if verdict is None or record.verdict is None:
        return verdict is not None
    return vars(verdict) | {"hull_round": record.verdict.hull_round} != vars(record.verdict)


def _at_temperature(
    database: Database, spec: CampaignSpec, hull: HullRecord, verdicts: dict[str, Verdict]
) -> dict[str, Verdict]:
    """The verdicts with what finds are at the campaign's temperature."""
    rounds = database.rounds.find(spec.id)
    failed = {name: asked.reason for one in rounds for name, asked in one.force_constants.items()}
    stored = database.phonons.find_one
    temperature = spec.conditions.temperature
    return at_temperature(hull, verdicts, temperature, spec.hull_tolerance, stored, failed)


def _require_quorum(
    spec: CampaignSpec, round_record: RoundRecord, records: Sequence[StructureRecord]
) -> None:
    batch = [r for r in records if r.acquired_round == round_record.number and not r.challenges]
    done = sum(record.status in {Status.VALIDATED, Status.FAILED} for record in batch)
    if done < spec.quorum * len(batch):
        raise QuorumError(f"{done} of {len(batch)} validations finished; quorum {spec.quorum}")


def _require_newest(database: Database, spec: CampaignSpec, number: int) -> None:
    later = [record.number for record in database.rounds.find(spec.id)[number + 1 :] if record.closed]
    if later:
        raise SupersededError(f"{spec.id} r{number} close: round {later[0]} has closed since")


def _store_metrics(
    database: Database, spec: CampaignSpec, number: int, judged: Sequence[StructureRecord]
) -> None:
    """judged: what is finished, as the round's hull judges it."""
    before, round_record = database.rounds.find(spec.id)[:number], database.rounds.get(spec.id, number)
    aside = database.records.light(spec.id, status=Status.INVALID.value) if spec.goals else []
    drawn = database.records.statuses(spec.id, number)
    metrics = round_metrics(spec, round_record, [*judged, *aside], before, drawn)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    database.rounds.update(spec.id, number, metrics=metrics, state=RoundState.CLOSED, closed_at=now)
