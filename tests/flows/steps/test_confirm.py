"""Other oracles are asked about finds once, within a share of the time, and never for the campaign's hull."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.vasp import potcars_here
from niobe.flows.stages import CONFIRM_SLOTS, DFT_SLOTS, plan
from niobe.flows.steps.claims import confirm as confirming
from niobe.flows.steps.claims.confirm import confirm_slot, weigh_opinions
from niobe.flows.steps.validate import close_round
from niobe.loop.crystals.similarity import content_hash
from niobe.loop.documents.answers import SecondAnswer
from niobe.loop.documents.records import Failure, StructureRecord
from niobe.loop.documents.tiers import by_dft, phase_by, tier_text
from niobe.loop.store.database import Database
from niobe.loop.store.mapping import load
from tests.flows.oracles.mock_vasp.fixtures import UseMock
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


class KilledError(BaseException):
    """Where a process is killed, nothing that it was doing is told."""


def test_killed_at_any_ask_it_repeats_nothing_that_was_stored(
    campaign: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three structures; killed in the first, third and fourth ask, it takes six: three for each answer."""
    asked: list[str] = []
    answered: list[str] = []

    def answer(spec: CampaignSpec, oracle: Any, structure: Structure, folder: Path) -> Any:
        asked.append(content_hash(structure))
        if len(asked) in {1, 3, 4}:
            raise KilledError
        answered.append(asked[-1])
        return validate_structure(spec, oracle, structure, folder)

    monkeypatch.setattr(confirming, "validate_structure", answer)
    for _ in range(3):
        with pytest.raises(KilledError):
            confirm_slot(campaign, SPEC, 1, 0, 1)
    confirm_slot(campaign, SPEC, 1, 0, 1)
    assert (len(asked), len(answered), len(set(answered))) == (6, 3, 3)
    assert sorted(found.content for found in answers(campaign)) == sorted(answered)
    assert close(campaign).opinions[0].agrees


@pytest.mark.filterwarnings("ignore::pymatgen.io.vasp.inputs.UnknownPotcarWarning")
def test_vasp_confirms_as_any_other_dft_does(campaign: Database, use_mock: UseMock) -> None:
    """The mock answers with EMT; its hull, height and verdict are those of DFT."""
    use_mock("emt")
    confirm = SPEC.confirm.model_copy(update={"oracles": ("vasp",), "seconds": 600.0})
    find = close(campaign, SPEC.model_copy(update={"confirm": confirm}))
    said = by_dft(find)
    assert said is not None and said.fingerprint.startswith("mock-vasp")
    here = potcars_here(["Au", "Cu"], "PBE")
    asked = [answer.validation.potcars for answer in answers(campaign) if answer.validation]
    assert sorted(asked, key=len)[-1] == here and [len(found) for found in sorted(asked, key=len)] == [
        1,
        1,
        2,
    ]
    assert phase_by(said) == "stable"
    assert said.above_products is not None and -0.1 < said.above_products < 0
    assert tier_text(find).endswith("(1 of 1; DFT: stable)")


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


def test_slots_share_the_structures_and_none_is_asked_by_two(campaign: Database) -> None:
    asked = []
    for slot in range(4):
        confirm_slot(campaign, SPEC, 1, slot, 4)
        asked.append(len(answers(campaign)))
    assert asked == [1, 2, 3, 3]


@pytest.mark.parametrize("slots", [2, 3, 16])
def test_one_worker_of_several_slots_asks_dft_first_for_the_least_work(
    campaign: Database, monkeypatch: pytest.MonkeyPatch, slots: int
) -> None:
    """Were structures dealt out, the end of the first slot would come before the beginning of the second, and
    no find be whole when the time is used up."""
    asked: list[str] = []

    def answer(spec: CampaignSpec, oracle: Any, structure: Structure, folder: Path) -> Failure:
        asked.append(structure.composition.reduced_formula)
        return Failure(step="relax", cause="oracle_error", exception="E", message="")

    monkeypatch.setattr(confirming, "validate_structure", answer)
    confirm = SPEC.confirm.model_copy(update={"oracles": ("vasp",), "seconds": 600.0})
    spec = SPEC.model_copy(update={"confirm": confirm})
    confirm_slot(campaign, spec, 1, 0, 1)
    in_order = list(asked)
    asked.clear()
    for slot in range(slots):
        confirm_slot(campaign, spec, 1, slot, slots)
    assert asked == in_order
    assert len(in_order) == 3


def test_a_budget_in_seconds_is_not_exceeded(campaign: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer takes 2 s of 5: the third may take 1, the fourth is not asked for."""
    allowed: list[float] = []

    def answer(spec: CampaignSpec, oracle: Any, structure: Structure, folder: Path) -> Failure:
        allowed.append(spec.oracle.wall_time)
        seconds = min(2.0, spec.oracle.wall_time)
        return Failure(step="relax", cause="not_converged", exception="E", message="", seconds=seconds)

    monkeypatch.setattr(confirming, "validate_structure", answer)
    confirm = SPEC.confirm.model_copy(update={"seconds": 5.0, "share": 1e-9, "oracles": ("emt", "chgnet")})
    confirm_slot(campaign, SPEC.model_copy(update={"confirm": confirm}), 1, 0, 1)
    assert allowed == [5.0, 3.0, 1.0]


def test_a_program_is_asked_as_for_a_campaign_of_its_own() -> None:
    spec = CampaignSpec.model_validate(
        {
            "id": "t",
            "elements": ["Nb", "O"],
            "oracle": {"name": "7net-0", "fmax": 0.02, "max_steps": 77},
            "confirm": {"oracles": ["chgnet", "gpaw", "vasp"], "protocol": "fast", "seconds": 60},
        }
    )
    asked = {name: spec.confirm.asked(name, spec.oracle) for name in spec.confirm.oracles}
    assert (asked["chgnet"].fmax, asked["chgnet"].max_steps) == (0.02, 77)
    assert (asked["gpaw"].fmax, asked["gpaw"].max_steps, asked["gpaw"].protocol) == (0.05, 40, "fast")
    assert (asked["vasp"].fmax, asked["vasp"].wall_time) == (0.03, 86400.0)


def test_a_protocol_without_gpaw_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="protocol: belongs to gpaw, which is not among the oracles"):
        CampaignSpec.model_validate(SPEC.model_dump() | {"confirm": {"oracles": ["emt"], "protocol": "fast"}})


@pytest.mark.parametrize(
    ("oracles", "kind"), [(["emt"], "oracle"), (["gpaw"], "dft"), (["emt", "vasp"], "dft")]
)
def test_dft_that_confirms_goes_to_machines_of_its_own(oracles: list[str], kind: str) -> None:
    spec = CampaignSpec.model_validate(SPEC.model_dump() | {"confirm": {"oracles": oracles}})
    (stage,) = (stage for stage in plan(spec, 1) if stage.name == "confirm")
    assert stage.kind == kind
    assert stage.slots == (DFT_SLOTS if kind == "dft" else CONFIRM_SLOTS)


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
    confirm_slot(campaign, SPEC, 1, 0, 1)
    weigh_opinions(campaign, spec, campaign.rounds.get("t", 1))
    close_round(campaign, spec, campaign.rounds.get("t", 1))
    find = campaign.records.get(FIND.id)
    assert [(o.oracle, o.agrees, o.reason[:9]) for o in find.opinions] == [
        ("emt", True, ""),
        ("chgnet", False, "not asked"),
    ]
    assert find.verdict is not None
    assert (find.verdict.opinions_agreeing, find.verdict.opinions_asked) == (1, 2)
