"""Second opinions: other oracles relax a round's finds and what those rest on, once for a whole database."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count, product

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import Oracle, UnknownFingerprintError
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.claims.finds import Known, discoveries, found_so_far, spent_on_all_else
from niobe.flows.steps.validate import work_folder
from niobe.loop.campaign.confirming import SecondOracle, least_work_first, opinions, rests_on
from niobe.loop.crystals.similarity import content_hash
from niobe.loop.documents.answers import SecondAnswer, answer_id
from niobe.loop.documents.claims import Opinion
from niobe.loop.documents.records import Failure, StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.store.database import Database

_NOT_ASKED = "not asked: the share of the time was used up"
"""Of an oracle that counts among those who might have agreed all the same."""


def confirm_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Ask the other oracles about one of ``slots`` parts of the structures that finds rest on: of those finds
    of the campaign that were not found to be known before.

    ``confirm.most`` of them, the nearest to the hull, until the time is used up: the nearest first, by DFT
    those of the least work. Of a share of the campaign's time, what was begun for a find is finished. What is
    stored is not asked again, and what failed for no reason of the crystal once in a round.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    finds, known = found_so_far(database, spec, number)
    chosen = discoveries(finds)[: spec.confirm.most]
    if spec.confirm.by_dft:
        chosen = least_work_first(chosen, known)
    due = _due(spec, chosen, known)
    turns, every = count(), sum(len(records) for _, records in due)
    for name, records in due:
        own = [record for record in records if _slot(spec, next(turns), every, slots) == slot]
        if own and _seconds_left(database, spec) <= 0:
            return
        for record in own:
            _ask(database, spec, name, record)


def _slot(spec: CampaignSpec, turn: int, every: int, slots: int) -> int:
    """Whose is what has turn ``turn`` of ``every`` one.

    What takes a potential as long as any other is dealt out. By DFT each slot has what follows the slot
    before: one worker that goes through several ends the least work before it begins more, and of many the
    one with the least ends first.
    """
    return turn * slots // every if spec.confirm.by_dft else turn % slots


def _due(
    spec: CampaignSpec, finds: Sequence[StructureRecord], known: Known
) -> list[tuple[str, list[StructureRecord]]]:
    """For each find and oracle the structures to ask about that none before rests on."""
    found, seen = [], set[str]()
    for find, name in product(finds, spec.confirm.oracles):
        needed = {_answer_id(spec, name, record): record for record in rests_on(find, known)}
        found.append((name, [needed[identifier] for identifier in needed if identifier not in seen]))
        seen |= needed.keys()
    return found


def weigh_opinions(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Store what the other oracles think of the finds that they were asked about.

    An opinion is read off the newest hull of what its oracle answered, so all are made again each round.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    finds, known = found_so_far(database, spec, round_record.number)
    before = database.fields.read([find.id for find in finds], ["opinions"])
    said: dict[str, list[Opinion]] = {find.id: [] for find in finds}
    for name in spec.confirm.oracles if finds else ():
        asked = {r.id: _answer_id(spec, name, r) for find in finds for r in rests_on(find, known)}
        stored = database.answers.find(asked.values())
        answers = {record: stored[identifier] for record, identifier in asked.items() if identifier in stored}
        for find, opinion in opinions(_second(spec, name), finds, known, answers).items():
            said[find].append(opinion)
    for made in said.values():
        missing = set(spec.confirm.oracles) - {opinion.oracle for opinion in made} if made else ()
        made += [Opinion(oracle=name, fingerprint="", reason=_NOT_ASKED) for name in sorted(missing)]
    database.fields.replace(before, {find: {"opinions": made} for find, made in said.items()})
    seconds = round(_spent(database, spec), 3)
    database.rounds.update(spec.id, round_record.number, metrics__confirm_seconds=seconds)


def _second(spec: CampaignSpec, name: str) -> SecondOracle:
    oracle = _oracle(spec, name)
    agree = spec.hull_tolerance if spec.confirm.agree is None else spec.confirm.agree
    return SecondOracle(name, _fingerprint(oracle, name), agree, is_dft=getattr(oracle, "is_dft", False))


def _ask(database: Database, spec: CampaignSpec, name: str, record: StructureRecord) -> None:
    """Have an oracle relax what the campaign's relaxed, unless its answer is stored; a failure is one."""
    identifier = _answer_id(spec, name, record)
    before = database.answers.find([identifier]).get(identifier)
    left = _seconds_left(database, spec)
    if (before is not None and before.final) or (spec.confirm.seconds and left <= 0):
        return
    asked = spec.confirm.asked(name, spec.oracle)
    wall_time = min(asked.wall_time, left) if spec.confirm.seconds else asked.wall_time
    asking = spec.model_copy(update={"oracle": asked.model_copy(update={"wall_time": wall_time})})
    structure = relaxed_structure(record)
    with work_folder(spec, record, f"confirm-{name}") as folder:
        outcome = validate_structure(asking, _oracle(spec, name), structure, folder)
    answer = SecondAnswer(
        id=identifier,
        campaign=spec.id,
        content=content_hash(structure),
        validation=None if isinstance(outcome, Failure) else outcome,
        failure=outcome if isinstance(outcome, Failure) else None,
        earlier_seconds=before.seconds if before else 0.0,
    )
    database.answers.store(answer)


def _seconds_left(database: Database, spec: CampaignSpec) -> float:
    """Of ``confirm.seconds``, or of the share of what all else took."""
    allowed = spec.confirm.seconds or spec.confirm.share * spent_on_all_else(database, spec)
    return allowed - _spent(database, spec)


def _spent(database: Database, spec: CampaignSpec) -> float:
    return sum(answer.seconds for answer in database.answers.of_campaign(spec.id))


def _answer_id(spec: CampaignSpec, name: str, record: StructureRecord) -> str:
    asked, fingerprint = spec.confirm.asked(name, spec.oracle), _fingerprint(_oracle(spec, name), name)
    return answer_id(fingerprint, asked.fmax, asked.max_steps, content_hash(relaxed_structure(record)))


def _oracle(spec: CampaignSpec, name: str) -> Oracle:
    return make_oracle(spec.confirm.asked(name, spec.oracle), spec.conditions.pressure)


def _fingerprint(oracle: Oracle, name: str) -> str:
    """Of what answers; the name of a program that says what it is only when it does."""
    try:
        return oracle.fingerprint
    except UnknownFingerprintError:
        return name
