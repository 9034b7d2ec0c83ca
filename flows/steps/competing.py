"""Competing phases: what the oracle is asked for so that a hull can be signed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from niobe.config.spec import CampaignSpec
from niobe.flows.steps.batches import make_batch
from niobe.flows.steps.known import asked_before, competitors_elsewhere, known_elsewhere
from niobe.flows.steps.requests import COMPETING_SHARE
from niobe.flows.steps.seed import as_asked
from niobe.loop.campaign.competition import competition, deeper, further
from niobe.loop.campaign.seeds import COMPETING, DISPLACED, excluded_structures, new_record
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Choice, Lineage, Status, StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.documents.structures import candidate_structure, generated_structure, relaxed_structure
from niobe.loop.generators.elements import off_its_symmetry
from niobe.loop.store.database import Database


def compete(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Choose the competing phases that the oracle is asked for, after the seeds of the batch.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    if "seed" not in round_record.steps:
        raise RuntimeError("no seeds are stored: an earlier step of the round failed")
    records = database.records.find(spec.id, round=0)
    given, chosen = _first_choice(database, spec, records, SeenStructures(excluded_structures(spec)))
    _ask_for(database, spec, [r.id for r in given if r.status is not Status.DUPLICATE], chosen)


def compete_further(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Choose further competing phases by what the oracle answered to the first ones, and the lowest crystal
    of each element once more, displaced off its symmetry.

    Answers to anything else take no part, so that the choice is the same whatever the database knows by then.
    What is like a crystal that failed is new: it starts elsewhere. Where seeds were added since, what the
    first choice would be now is asked too.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    if "compete" not in round_record.steps:
        raise RuntimeError("no competing phases were chosen: an earlier step of the round failed")
    records = [r for r in database.records.find(spec.id, round=0) if r.lineage.generator != DISPLACED]
    excluded = SeenStructures(excluded_structures(spec))
    given, chosen = _first_choice(database, spec, records, excluded)
    first = {record.id for record in [*given, *chosen]}
    answered = [found for record in records if record.id in first and (found := _answered(database, record))]
    seen = _asked_about(database, spec, given)
    for record in answered:
        seen.add(record.id, candidate_structure(record))
        seen.add(record.id, relaxed_structure(record))
    waiting = [
        record.model_copy(update={"status": Status.SCREENED}) for record in records if record.id not in first
    ]
    ids = {record.id for record in further(spec, answered, waiting, seen, excluded)}
    more = [
        *(record for record in chosen if record.id not in round_record.batch),
        *_displaced(database, spec, answered, len(records)),
        *(record for record in records if record.id in ids),
    ]
    _ask_for(database, spec, [name for name in round_record.batch if name in first], more)


def _first_choice(
    database: Database, spec: CampaignSpec, records: Sequence[StructureRecord], excluded: SeenStructures
) -> tuple[list[StructureRecord], list[StructureRecord]]:
    """Of the records of round 0 those that were given and those chosen first."""
    given = [record for record in records if record.lineage.generator not in COMPETING]
    return given, competition(spec, records, _asked_about(database, spec, given), excluded)


def _asked_about(database: Database, spec: CampaignSpec, given: Sequence[StructureRecord]) -> SeenStructures:
    """What the oracle is asked about whatever competes: seeds that were given, here and elsewhere."""
    seen = SeenStructures((record.id, generated_structure(record)) for record in given)
    for record in competitors_elsewhere(database, spec):
        if record.lineage.generator not in COMPETING:
            seen.add(record.id, relaxed_structure(record))
    return seen


def _answered(database: Database, record: StructureRecord) -> StructureRecord | None:
    """The record with the answer to it, or to the one of another campaign that began as it did."""
    if record.validation or record.duplicate_of is None:
        return record if record.validation else None
    answer = database.records.get(record.duplicate_of).validation
    return record.model_copy(update={"validation": answer}) if answer else None


def _displaced(
    database: Database, spec: CampaignSpec, answered: Sequence[StructureRecord], index: int
) -> list[StructureRecord]:
    """The lowest crystal of each element off its symmetry, stored as a record; ``index``: of the first."""
    lowest: dict[str, StructureRecord] = {}
    for record in sorted((r for r in answered if r.nelements == 1), key=_energy, reverse=True):
        lowest[record.chemsys] = record
    asked, made = asked_before(database, spec), []
    for place, (element, record) in enumerate(sorted(lowest.items()), index):
        structure = off_its_symmetry(relaxed_structure(record))
        lineage = Lineage(generator=DISPLACED, parents=[record.id], origin={"element": element})
        new = new_record(spec, 0, place, structure, lineage).model_copy(update={"status": Status.SCREENED})
        made.append(as_asked(new, asked[new.fingerprint]) if new.fingerprint in asked else new)
    database.records.insert(made)
    return [database.records.get(record.id) for record in made]


def _energy(record: StructureRecord) -> float:
    return record.validation.energy_per_atom if record.validation else math.inf


def _ask_for(
    database: Database, spec: CampaignSpec, before: Sequence[str], chosen: Sequence[StructureRecord]
) -> None:
    """Make a batch of what is in it already and what of the chosen was asked nowhere else; others wait
    again."""
    asking = [record for record in chosen if record.status is Status.SCREENED or record.acquired_round == 0]
    choices = {record.id: _choice(record, rank) for rank, record in enumerate(asking, len(before))}
    make_batch(database, spec, 0, choices, before)


def _choice(record: StructureRecord, rank: int) -> Choice:
    if record.nelements == 1:
        return Choice(function="seed", selection="seed", rank=rank)
    return Choice(function="competition", selection="competing", rank=rank)


def competitors_of_claims(
    database: Database, spec: CampaignSpec, number: int, left: int
) -> list[StructureRecord]:
    """The competing phases that a round asks about, of ``left`` validations; chosen before a kill first.

    One that relaxed into what is known becomes a duplicate.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    chosen = [r for r in database.records.find(spec.id, acquired_round=number) if _waits(r)]
    wanted = min(math.floor(COMPETING_SHARE * spec.acquisition.batch + 0.5), left)
    if len(chosen) >= wanted:
        return chosen
    elsewhere = known_elsewhere(database, spec)
    answers = _Answers(database, spec, [*elsewhere, *chosen])
    for light in deeper(spec, _ranked(database, spec, elsewhere)):
        record = database.records.get(light.id)
        duplicate = answers.find(record)
        if duplicate is None:
            answers.add(record)
            chosen.append(record)
        else:
            fields = {"status": Status.DUPLICATE, "reason": "duplicate", "duplicate_of": duplicate}
            database.candidates.update_screened(record.id, **fields)
        if len(chosen) == wanted:
            break
    return chosen


def _ranked(
    database: Database, spec: CampaignSpec, elsewhere: Sequence[StructureRecord]
) -> list[StructureRecord]:
    """What makes the hull that waiting competing phases are measured by, and those; none where none waits.

    Of candidates that may still be acquired, and what was validated; crystals of round 0 only, whose two
    relaxations are compared.
    """
    if not database.records.has_prerelaxed(spec.id):
        return []
    recent = [0, *database.records.open_rounds(spec.id)]
    waiting = database.records.light(spec.id, prerelaxed__potential={"$gt": ""}, round={"$in": recent})
    if not any(record.unasked for record in waiting):
        return []
    answered = [
        *database.records.find(spec.id, status=Status.VALIDATED.value, round=0),
        *(record for record in database.results.validated(spec.id) if record.round >= 1),
    ]
    own = {record.id: record for record in [*waiting, *answered]}.values()
    return [*sorted(own, key=lambda r: (r.round, r.index)), *elsewhere]


class _Answers:
    """Crystals that were asked about, as relaxed where there is an answer; read by composition.

    known: besides what the campaign's oracle answered for.
    """

    def __init__(self, database: Database, spec: CampaignSpec, known: Sequence[StructureRecord]) -> None:
        self._database, self._campaign, self._known = database, spec.id, known
        self._seen, self._read = SeenStructures(excluded_structures(spec)), set[str]()

    def add(self, record: StructureRecord) -> None:
        """Remember one more."""
        crystal = relaxed_structure(record) if record.validation else candidate_structure(record)
        self._seen.add(record.id, crystal)

    def find(self, record: StructureRecord) -> str | None:
        """The id of the first that is the same crystal, or None."""
        if record.formula not in self._read:
            self._read.add(record.formula)
            alike: dict[str, Any] = {"formula_reduced": record.formula_reduced, "status": Status.VALIDATED}
            own = self._database.records.find(self._campaign, **alike)
            for other in [*own, *(one for one in self._known if one.formula == record.formula)]:
                self.add(other)
        return self._seen.find(candidate_structure(record))


def _waits(record: StructureRecord) -> bool:
    """Whether it was chosen as a competing phase and has no answer so far."""
    competing = record.choice is not None and record.choice.selection == "competing"
    return competing and record.status is Status.ACQUIRED
