"""Finds are challenged before they are shown: what falls says why, and what is lower is kept."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.errors import ConfigError
from niobe.config.loading import campaign_of, with_changes
from niobe.config.spec import CampaignSpec
from niobe.flows.steps.claims import challenge as challenge_module
from niobe.flows.steps.claims.challenge import challenge_slot
from niobe.flows.steps.claims.finds import choose_finds
from niobe.flows.steps.validate import choose_phonons, close_round, phonon_slot, validate_records
from niobe.loop.campaign.closing import in_order
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.claims import Challenge
from niobe.loop.documents.records import Choice, Lineage, Status, StructureRecord
from niobe.loop.documents.structures import generated_structure, relaxed_structure
from niobe.loop.store.database import Database

pytestmark = pytest.mark.filterwarnings("ignore")  # of atomate2, about its own arguments

SPEC = CampaignSpec.model_validate(
    {
        "id": "t",
        "elements": ["Cu"],
        "limits": {"min_atoms": 1, "max_atoms": 4},
        "oracle": {"name": "emt", "fmax": 0.05},
        "prerelax": {"potential": "lj"},
        "phonons": {"enabled": False},
        "hull_tolerance": 1.0,
        "challenge": {"draws": 2, "share": 1.0},
    }
)


def fcc(a: float = 3.6) -> Structure:
    return Structure.from_spacegroup(225, Lattice.cubic(a), ["Cu"], [[0, 0, 0]]).get_primitive_structure()


def simple_cubic() -> Structure:
    """A saddle of any pair potential, which a relaxation that keeps its symmetry does not leave."""
    return Structure(Lattice.cubic(2.4), ["Cu"], np.zeros((1, 3)))


def diamond() -> Structure:
    return Structure.from_spacegroup(227, Lattice.cubic(5.4), ["Cu"], [[0, 0, 0]]).get_primitive_structure()


def acquired(structure: Structure, number: int, index: int = 0) -> StructureRecord:
    record = new_record(SPEC, number, index, structure, Lineage(generator="random"))
    choice = Choice(function="greedy", selection="acquired", rank=index)
    update = {"status": Status.ACQUIRED, "acquired_round": number, "choice": choice}
    return record.model_copy(update=update)


def campaign(
    database: Database, find: Structure, reference: Structure, spec: CampaignSpec = SPEC
) -> StructureRecord:
    """One with a reference and a find, both relaxed by the oracle, and a round that took a minute."""
    database.campaigns.create(spec)
    records = [acquired(reference, 0), acquired(find, 1)]
    database.records.insert(records)
    database.rounds.open("t", 1)
    database.rounds.update("t", 1, steps={"generate": 60.0, "acquire": 1.0})
    validate_records(database, spec, [record.id for record in records])
    choose_phonons(database, spec, database.rounds.get("t", 1))
    phonon_slot(database, spec, 1, 0, 1)
    choose_finds(database, spec, database.rounds.get("t", 1))
    return records[1]


def challenged(database: Database, find: StructureRecord) -> Challenge:
    challenge_slot(database, SPEC, 1, 0, 1)
    challenge = database.records.get(find.id).challenge
    assert challenge is not None
    return challenge


def test_a_saddle_is_left_downhill_and_falls(database: Database) -> None:
    find = campaign(database, simple_cubic(), fcc())
    assert database.rounds.get("t", 1).finds == [find.id]
    challenge = challenged(database, find)
    assert not challenge.survived
    assert challenge.reason.startswith("no minimum: displaced off its symmetry it relaxes to ")
    saddle = challenge.attempts[0]
    assert (saddle.attack, saddle.tried) == ("saddle", 1)
    assert saddle.lowest is not None and saddle.lowest < -0.1
    close_round(database, SPEC, database.rounds.get("t", 1))
    verdict = database.records.get(find.id).verdict
    assert verdict is not None and not verdict.discovery and verdict.discovery_round is None


def test_the_oracle_leaves_a_saddle_from_where_the_potential_began(database: Database) -> None:
    """Else it would begin where another potential slid to, over what may be a barrier of its own."""
    find = campaign(database, simple_cubic(), fcc())
    challenge = challenged(database, find)
    rival = database.records.get(challenge.attempts[0].records[0])
    assert rival.prerelaxed is None
    start, there = generated_structure(rival), relaxed_structure(database.records.get(find.id))
    assert len(start) % len(there) == 0
    assert start.volume / len(start) == pytest.approx(there.volume / len(there), rel=0.05)


def test_what_the_oracle_was_not_asked_for_is_not_outlived(database: Database) -> None:
    """Simple cubic is a saddle, and the potential says so."""
    asked = {"asks": 0, "draws": 2, "share": 1.0}
    spec = CampaignSpec.model_validate(SPEC.model_dump() | {"challenge": asked})
    find = campaign(database, simple_cubic(), fcc(), spec)
    challenge_slot(database, spec, 1, 0, 1)
    challenge = database.records.get(find.id).challenge
    assert challenge is not None and challenge.survived and challenge.cut_short
    assert "without an answer of the oracle" in challenge.reason


def test_a_saddle_falls_though_the_potential_has_no_answer_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = campaign(database, simple_cubic(), fcc())
    monkeypatch.setattr(challenge_module, "_relaxed", lambda *given: None)
    challenge = challenged(database, find)
    assert not challenge.survived and challenge.reason.startswith("no minimum")


def test_a_minimum_without_an_answer_of_the_potential_is_challenged_in_part(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And once: else it would take the place of another find in each round to come."""
    find = campaign(database, fcc(), simple_cubic())
    monkeypatch.setattr(challenge_module, "_relaxed", lambda *given: None)
    challenge = challenged(database, find)
    assert challenge.survived and challenge.cut_short
    assert challenge.reason == "cut short: the potential has no answer for Cu"
    assert [attempt.asked for attempt in challenge.attempts] == [1, 0, 0, 0]


def test_what_is_lower_is_a_record_of_the_campaign_and_on_its_hull(database: Database) -> None:
    find = campaign(database, simple_cubic(), diamond())
    challenge = challenged(database, find)
    (lower,) = (database.records.get(name) for name in challenge.by)
    assert lower.status is Status.VALIDATED
    assert lower.lineage.generator == "challenge" and lower.lineage.parents == [find.id]
    assert lower.choice is not None and lower.choice.selection == "challenge"
    assert in_order([lower, database.records.get(find.id)])[0].id == find.id, "of one crystal it is the find"
    close_round(database, SPEC, database.rounds.get("t", 1))
    hull = database.hulls.find("t")[-1]
    assert lower.id in {entry.record_id for entry in hull.entries}


def test_a_minimum_survives_and_says_what_was_tried(database: Database) -> None:
    find = campaign(database, fcc(), simple_cubic())
    challenge = challenged(database, find)
    assert challenge.survived, challenge.reason
    tried = {attempt.attack: attempt.tried for attempt in challenge.attempts}
    assert tried["saddle"] == 1
    assert 0 < tried["polymorphs"] <= 2
    assert tried["larger_cell"] == 0, "no phonons were run"
    assert challenge.seconds > 0


def test_who_resumes_asks_the_oracle_nothing_twice(database: Database) -> None:
    """Killed after the oracle had answered and before the find was told."""
    find = campaign(database, simple_cubic(), diamond())
    first = challenged(database, find)
    database.records.update(find.id, challenge=None)
    before = {r.id: r.validation for r in database.records.find("t", status=Status.VALIDATED.value)}
    again = challenged(database, find)
    after = {r.id: r.validation for r in database.records.find("t", status=Status.VALIDATED.value)}
    assert after == before
    assert (again.survived, again.by) == (first.survived, first.by)


def test_a_find_that_its_own_rival_took_away_falls_by_it_after_a_kill(database: Database) -> None:
    """The rival is on the hull already when the search is taken up again; the find would be none any more."""
    spec = SPEC.model_copy(update={"hull_tolerance": 0.05})
    find = campaign(database, simple_cubic(), diamond(), spec)
    challenge_slot(database, spec, 1, 0, 1)
    first = database.records.get(find.id).challenge
    assert first is not None and not first.survived and first.by
    database.records.update(find.id, challenge=None)
    challenge_slot(database, spec, 1, 0, 1)
    again = database.records.get(find.id).challenge
    assert again is not None and (again.reason, again.by) == (first.reason, first.by)


def test_a_challenge_that_is_stored_is_not_made_again(database: Database) -> None:
    find = campaign(database, simple_cubic(), fcc())
    told = Challenge(survived=True, reason="told")
    database.records.update(find.id, challenge=told)
    assert challenged(database, find) == told


def test_no_find_is_challenged_once_the_share_is_spent(database: Database) -> None:
    find = campaign(database, simple_cubic(), fcc())
    spec = SPEC.model_copy(update={"challenge": SPEC.challenge.model_copy(update={"share": 1e-9})})
    attempts = [{"attack": "saddle", "seconds": 60.0}]
    other = {"survived": True, "attempts": attempts}
    first = database.records.find("t", round=0)[0]
    database.records.update(first.id, challenge=Challenge.model_validate(other))
    challenge_slot(database, spec, 1, 0, 1)
    assert database.records.get(find.id).challenge is None


def test_a_search_goes_no_further_than_its_part_of_the_time(database: Database) -> None:
    """A millionth of the minute that learning took is less than any relaxation takes."""
    find = campaign(database, fcc(), simple_cubic())
    spec = SPEC.model_copy(update={"challenge": SPEC.challenge.model_copy(update={"share": 1e-6})})
    challenge_slot(database, spec, 1, 0, 1)
    assert database.records.get(find.id).challenge is None, "what nothing challenged has not been challenged"


def test_a_search_that_was_cut_short_says_so(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock jumps by an hour once the first crystal was relaxed."""
    find = campaign(database, fcc(), simple_cubic())
    relaxed, jumped = challenge_module._relaxed, [0.0]

    def relax(*given: object) -> object:
        jumped[0] += 1800.0
        return relaxed(*given)  # type: ignore[arg-type]

    clock = time.monotonic
    monkeypatch.setattr(challenge_module, "_relaxed", relax)
    monkeypatch.setattr(challenge_module.time, "monotonic", lambda: clock() + jumped[0] * (jumped[0] > 1800))
    challenge = challenged(database, find)
    assert challenge.survived and challenge.cut_short and challenge.reason.startswith("cut short")
    assert sum(attempt.tried for attempt in challenge.attempts) == 1


@pytest.mark.parametrize(
    ("given", "on"),
    [
        ({"oracle": {"name": "7net-0"}}, True),
        ({"oracle": {"name": "7net-0"}, "prerelax": None}, False),
        ({"oracle": {"name": "emt"}, "elements": ["Cu"], "prerelax": {"potential": "lj"}}, False),
        ({"oracle": {"name": "vasp"}}, False),
        ({"oracle": {"name": "7net-0"}, "challenge": {"enabled": False}}, False),
    ],
)
def test_where_finds_are_challenged_unless_the_file_says(given: dict[str, object], on: bool) -> None:
    spec = CampaignSpec.model_validate({"id": "a", "elements": ["Nb", "O"]} | given)
    assert spec.challenge.enabled is on


def test_a_challenge_needs_a_cheap_potential() -> None:
    given = {"id": "a", "elements": ["Nb"], "prerelax": None, "challenge": {"draws": 2}}
    with pytest.raises(ConfigError, match="challenge: the pre-relaxation potential looks"):
        campaign_of(given, "a.yaml", Path())
    assert campaign_of({"id": "a", "elements": ["Nb"], "prerelax": None}, "a.yaml", Path())


def test_without_pre_relaxation_there_is_no_challenge_whatever_was_before() -> None:
    spec = CampaignSpec.model_validate({"id": "a", "elements": ["Nb", "O"]})
    assert spec.challenges_finds
    assert not with_changes(spec, {"prerelax": None}).challenges_finds
