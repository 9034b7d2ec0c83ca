"""Other oracles are asked about finds once, within a share of the time, and never for the campaign's hull."""

from __future__ import annotations

import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.steps.claims.confirm import confirm_slot, weigh_opinions
from niobe.flows.steps.validate import close_round
from niobe.loop.documents.answers import SecondAnswer
from niobe.loop.documents.records import Failure, StructureRecord
from niobe.loop.store.database import Database
from niobe.loop.store.mapping import load
from tests.loop.factory import validated

pytestmark = pytest.mark.filterwarnings("ignore")  # of atomate2, about its own arguments

SPEC = CampaignSpec.model_validate(
    {
        "id": "t",
        "elements": ["Au", "Cu"],
        "oracle": {"name": "lj", "fmax": 0.2},
        "phonons": {"enabled": False},
        "confirm": {"oracles": ["emt"], "share": 1.0},
    }
)


def fcc(symbol: str, a: float) -> Structure:
    return Structure.from_spacegroup(225, Lattice.cubic(a), [symbol], [[0, 0, 0]]).get_primitive_structure()


def cu_au() -> Structure:
    return Structure(Lattice.tetragonal(2.8, 3.7), ["Cu", "Au"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


CU, AU = validated(fcc("Cu", 3.6), -3.0), validated(fcc("Au", 4.06), -3.0, index=1)
FIND = validated(cu_au(), -3.2, round_number=1)


@pytest.fixture
def campaign(database: Database) -> Database:
    database.campaigns.create(SPEC)
    database.records.insert([CU, AU, FIND])
    database.rounds.open("t", 1)
    database.rounds.update("t", 1, steps={"generate": 60.0, "acquire": 1.0})
    return database


def answers(database: Database) -> list[SecondAnswer]:
    return load(SecondAnswer, database.mongo["answers"].find({}))


def close(database: Database, spec: CampaignSpec = SPEC) -> StructureRecord:
    confirm_slot(database, spec, 1, 0, 1)
    weigh_opinions(database, spec, database.rounds.get("t", 1))
    close_round(database, spec, database.rounds.get("t", 1))
    return database.records.get(FIND.id)


def test_a_find_gets_an_opinion_on_a_hull_that_is_not_the_campaign_s(campaign: Database) -> None:
    """EMT knows CuAu as an ordered alloy: below Cu and Au by some hundredths of an eV/atom."""
    find = close(campaign)
    (opinion,) = find.opinions
    assert opinion.oracle == "emt"
    assert opinion.fingerprint.startswith("force-field emt")
    assert opinion.agrees
    assert opinion.above_products is not None and -0.1 < opinion.above_products < 0
    assert find.verdict is not None and find.verdict.opinions_agreeing == find.verdict.opinions_asked == 1
    assert {entry.energy_per_atom for entry in campaign.hulls.find("t")[-1].entries} == {-3.0, -3.2}
    metrics = campaign.rounds.get("t", 1).metrics
    assert [a.oracle for a in metrics.agreements] == ["emt"]
    assert metrics.confirm_seconds > 0


def test_what_is_stored_is_not_asked_again_by_whoever_resumes(campaign: Database) -> None:
    """Killed after its first answer, which is told by an energy that EMT would not give."""
    confirm_slot(campaign, SPEC, 1, 0, 1)
    first, *rest = answers(campaign)
    assert first.validation is not None
    campaign.mongo["answers"].delete_many({"_id": {"$in": [answer.id for answer in rest]}})
    told = first.validation.model_copy(update={"energy_per_atom": -20.0})
    campaign.mongo["answers"].delete_one({"_id": first.id})
    campaign.answers.store(first.model_copy(update={"validation": told}))
    confirm_slot(campaign, SPEC, 1, 0, 1)
    energies = {a.id: a.validation.energy_per_atom for a in answers(campaign) if a.validation}
    assert len(energies) == 3
    assert energies[first.id] == -20.0


def test_what_failed_for_no_known_reason_is_asked_again(campaign: Database) -> None:
    failure = Failure(step="relax", cause="oracle_error", exception="OSError", message="")
    confirm_slot(campaign, SPEC, 1, 0, 1)
    for answer in answers(campaign):
        campaign.mongo["answers"].delete_one({"_id": answer.id})
        campaign.answers.store(answer.model_copy(update={"validation": None, "failure": failure}))
    confirm_slot(campaign, SPEC, 1, 0, 1)
    assert all(answer.validation for answer in answers(campaign))


def test_what_failed_costs_its_seconds_each_time_it_is_asked(campaign: Database) -> None:
    failure = Failure(step="relax", cause="wall_time", exception="WallTimeError", message="", seconds=0.25)
    confirm_slot(campaign, SPEC, 1, 0, 1)
    for answer in answers(campaign):
        campaign.mongo["answers"].delete_one({"_id": answer.id})
        campaign.answers.store(answer.model_copy(update={"validation": None, "failure": failure}))
    failed = answers(campaign)
    assert [answer.seconds for answer in failed] == [0.25] * len(failed)
    confirm_slot(campaign, SPEC, 1, 0, 1)
    assert all(answer.seconds > 0.25 and answer.validation for answer in answers(campaign))


def test_the_first_answer_of_two_that_were_asked_at_once_stands(campaign: Database) -> None:
    confirm_slot(campaign, SPEC, 1, 0, 1)
    first = answers(campaign)[0]
    assert campaign.answers.store(first.model_copy(update={"campaign": "late"})).campaign == "t"


def test_another_campaign_of_the_database_asks_nothing_twice(campaign: Database) -> None:
    confirm_slot(campaign, SPEC, 1, 0, 1)
    other = SPEC.model_copy(update={"id": "u"})
    campaign.campaigns.create(other)
    campaign.rounds.open("u", 1)
    campaign.rounds.update("u", 1, steps={"generate": 60.0})
    campaign.records.insert(
        [r.model_copy(update={"id": f"u{n}", "campaign": "u"}) for n, r in enumerate((CU, AU, FIND))]
    )
    confirm_slot(campaign, other, 1, 0, 1)
    assert {answer.campaign for answer in answers(campaign)} == {"t"}


def test_nobody_is_asked_once_the_share_is_spent(campaign: Database) -> None:
    """The first oracle is asked, as nothing is spent; the second no more."""
    campaign.rounds.update("t", 1, steps={"generate": 0.0, "acquire": 0.0})
    confirm = {"share": 1e-9, "oracles": ["emt", "chgnet"]}
    spec = SPEC.model_copy(update={"confirm": SPEC.confirm.model_copy(update=confirm)})
    confirm_slot(campaign, spec, 1, 0, 1)
    first = answers(campaign)
    assert len(first) == 3
    assert len({found.validation.oracle for found in first if found.validation}) == 1
    confirm_slot(campaign, spec, 1, 0, 1)
    assert answers(campaign) == first


def test_a_find_that_nobody_was_asked_about_closes_without_opinions(campaign: Database) -> None:
    weigh_opinions(campaign, SPEC, campaign.rounds.get("t", 1))
    close_round(campaign, SPEC, campaign.rounds.get("t", 1))
    find = campaign.records.get(FIND.id)
    assert find.opinions == []
    assert find.verdict is not None and find.verdict.spread is None


@pytest.mark.parametrize(
    ("oracle", "elements", "asked"),
    [
        ("7net-0", ["Nb", "O"], ("7net-l3i5", "chgnet")),
        ("chgnet", ["Nb", "O"], ("7net-l3i5", "7net-0")),
        ("7net-l3i5", ["Nb", "O"], ("chgnet", "7net-0")),
        ("chgnet", ["Po", "O"], ()),
        ("emt", ["Cu", "Au"], ()),
        ("vasp", ["Nb", "O"], ()),
    ],
)
def test_who_is_asked_unless_the_file_says(oracle: str, elements: list[str], asked: tuple[str, ...]) -> None:
    given = {"id": "a", "elements": elements, "oracle": {"name": oracle}}
    assert CampaignSpec.model_validate(given).confirm.oracles == asked
    some = CampaignSpec.model_validate(given | {"confirm": {"most": 3}})
    assert (some.confirm.oracles, some.confirm.most) == (asked, 3)
    again = CampaignSpec.model_validate_json(json.dumps(some.model_dump(mode="json")))
    assert again.digest() == some.digest()


def test_the_oracle_is_no_second_opinion_of_itself() -> None:
    with pytest.raises(ValueError, match="lj is the oracle; allowed: any other"):
        CampaignSpec.model_validate(SPEC.model_dump() | {"confirm": {"oracles": ["lj"]}})


def test_an_oracle_that_was_not_asked_counts_among_those_that_might_have_agreed(campaign: Database) -> None:
    confirm = SPEC.confirm.model_copy(update={"oracles": ["emt", "chgnet"]})
    spec = SPEC.model_copy(update={"confirm": confirm})
    confirm_slot(campaign, spec, 1, 0, 2)
    weigh_opinions(campaign, spec, campaign.rounds.get("t", 1))
    close_round(campaign, spec, campaign.rounds.get("t", 1))
    find = campaign.records.get(FIND.id)
    assert [(o.oracle, o.agrees, o.reason[:9]) for o in find.opinions] == [
        ("emt", True, ""),
        ("chgnet", False, "not asked"),
    ]
    assert find.verdict is not None
    assert (find.verdict.opinions_agreeing, find.verdict.opinions_asked) == (1, 2)
