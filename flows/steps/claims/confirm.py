"""Second opinions: other oracles relax a round's finds and what those rest on, once for a whole database."""

from __future__ import annotations

from niobe.config.spec import CampaignSpec
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import Oracle, UnknownFingerprintError
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.claims.finds import discoveries, found_so_far, spent_on_all_else
from niobe.flows.steps.validate import work_folder
from niobe.loop.campaign.confirming import SecondOracle, opinions, rests_on
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
    """Ask every ``slots``-th of the other oracles, from ``slot`` on, about the finds of the campaign that
    were not found to be known before.

    Nearest the hull first, ``confirm.most`` of them, until ``confirm.share`` is used up; what is stored is
    not asked again, and what failed for no reason of the crystal once in a round.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    finds, known = found_so_far(database, spec, number)
    allowed = spec.confirm.share * spent_on_all_else(database, spec)
    tried: set[str] = set()
    for find in discoveries(finds)[: spec.confirm.most]:
        for name in spec.confirm.oracles[slot::slots]:
            if _spent(database, spec) >= allowed:
                return
            for record in rests_on(find, known):
                identifier = _answer_id(spec, name, record)
                if identifier not in tried:
                    tried.add(identifier)
                    _ask(database, spec, name, record)


def weigh_opinions(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Store what the other oracles think of the finds that they were asked about.

    An opinion is read off the newest hull of what its oracle answered, so all are made again each round.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    finds, known = found_so_far(database, spec, round_record.number)
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
    database.records.update_many({find: {"opinions": made} for find, made in said.items()})
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
    if before is not None and before.final:
        return
    asking = spec.model_copy(update={"oracle": _oracle_spec(spec, name)})
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


def _spent(database: Database, spec: CampaignSpec) -> float:
    return sum(answer.seconds for answer in database.answers.of_campaign(spec.id))


def _answer_id(spec: CampaignSpec, name: str, record: StructureRecord) -> str:
    fingerprint = _fingerprint(_oracle(spec, name), name)
    return answer_id(
        fingerprint, spec.oracle.fmax, spec.oracle.max_steps, content_hash(relaxed_structure(record))
    )


def _oracle(spec: CampaignSpec, name: str) -> Oracle:
    return make_oracle(_oracle_spec(spec, name), spec.conditions.pressure)


def _oracle_spec(spec: CampaignSpec, name: str) -> OracleSpec:
    """Asked as the campaign's oracle is, in its own time and on its own scale."""
    asked = spec.oracle.model_dump(include={"fmax", "max_steps"})
    return OracleSpec.model_validate(asked | {"name": name})


def _fingerprint(oracle: Oracle, name: str) -> str:
    """Of what answers; the name of a program that says what it is only when it does."""
    try:
        return oracle.fingerprint
    except UnknownFingerprintError:
        return name
