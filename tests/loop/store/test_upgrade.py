"""Documents that version 1 wrote, brought to the present schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from bson import json_util

from niobe.config.errors import ConfigError
from niobe.config.spec import SCHEMA_VERSION, CampaignSpec, Oracle, Prerelaxation
from niobe.loop.crystals.formulas import in_optimade_form, optimade_formula
from niobe.loop.documents.dynamics import PhononVerdict, Stability
from niobe.loop.documents.records import Choice, Prerelaxed
from niobe.loop.store.database import Database
from niobe.loop.store.schema import DOCUMENTS, json_schema, mongo_schema
from niobe.loop.store.upgrade import upgrade
from tests.loop.factory import nbo, rutile, validated

LEGACY = Oracle(corrections="legacy")
DUMP = Path(__file__).parents[2] / "data" / "database_v1.jsonl"


def restore_version_1(database: Database) -> None:
    """tests/data/database_v1.jsonl: every document of a small campaign, as version 1 stored it."""
    for line in DUMP.read_text(encoding="utf-8").splitlines():
        stored = json_util.loads(line)
        database.mongo[stored["collection"]].insert_one(stored["document"])


def within(old: object, new: object) -> bool:
    """Whether all that a document held is in it still; new fields may have come."""
    if isinstance(old, dict) and isinstance(new, dict):
        return all(key in new and within(value, new[key]) for key, value in old.items())
    return old == new


def test_a_stored_version_1_becomes_the_present_one_and_stays_so(database: Database) -> None:
    restore_version_1(database)
    before = {document["_id"]: document for document in database.mongo["structures"].find({})}
    assert all("nelements" not in document for document in before.values())
    done = upgrade(database)
    assert (done.written, done.broken) == ({"campaigns": 1, "structures": 4}, [])
    after = {document["_id"]: document for document in database.mongo["structures"].find({})}
    assert sorted((d["formula_reduced"], d["nelements"]) for d in after.values()) == [
        ("Nb", 1),
        ("NbO", 2),
        ("NbO2", 2),
        ("O", 1),
    ]
    for identifier, document in before.items():
        kept = {key: value for key, value in document.items() if key not in {"schema_version", "prior"}}
        assert within(kept, after[identifier])
    campaign = database.campaigns.find_one("t")
    assert campaign is not None
    spec = CampaignSpec.model_validate(campaign.spec)
    assert database.campaigns.create(spec).schema_version == SCHEMA_VERSION
    assert upgrade(database).written == {}


def as_version_2(spec: dict[str, Any], prior: dict[str, Any] | None) -> dict[str, Any]:
    """A spec as version 2 stored it: what is ``prerelax`` now was ``prior``."""
    return {key: value for key, value in spec.items() if key != "prerelax"} | {"prior": prior}


def test_a_pre_relaxation_of_version_2_loses_what_later_versions_do_not_know(database: Database) -> None:
    spec = CampaignSpec(id="old", elements=("Nb", "O"), oracle=LEGACY, prerelax=Prerelaxation(steps=7))
    stored = database.campaigns.create(spec).model_dump(mode="json")
    prior = stored["spec"]["prerelax"] | {"rattle": 0.1}
    older = {"schema_version": 2, "spec": as_version_2(stored["spec"], prior), "spec_digest": "another"}
    database.mongo["campaigns"].update_one({"_id": "old"}, {"$set": older})
    assert upgrade(database).written == {"campaigns": 1}
    found = database.campaigns.find_one("old")
    assert found is not None
    assert CampaignSpec.model_validate(found.spec) == spec
    assert found.spec_digest == spec.digest()


def test_a_campaign_from_before_there_was_pre_relaxation_has_none(database: Database) -> None:
    stored = database.campaigns.create(CampaignSpec(id="old", elements=("Nb", "O"))).model_dump(mode="json")
    spec = {key: value for key, value in stored["spec"].items() if key != "prerelax"}
    database.mongo["campaigns"].update_one({"_id": "old"}, {"$set": {"schema_version": 2, "spec": spec}})
    assert upgrade(database).written == {"campaigns": 1}
    found = database.campaigns.find_one("old")
    assert found is not None
    assert found.spec["prerelax"] is None


def test_the_words_of_version_3_become_those_of_now(database: Database) -> None:
    spec = CampaignSpec(id="t", elements=("Nb", "O"), oracle=LEGACY)
    answer = Prerelaxed(potential="test", structure=nbo().as_dict(), energy_per_atom=-9.5, steps=3)
    choice = Choice(function="p_hull", selection="control", rank=0)
    record = validated(nbo(), -9.0).model_copy(update={"prerelaxed": answer, "choice": choice})
    validation = record.validation
    assert validation is not None
    pending = PhononVerdict(outcome=Stability.PENDING, tolerance=0.1)
    waiting = validation.model_copy(update={"phonon": pending})
    record = record.model_copy(update={"validation": waiting})
    stored = database.campaigns.create(spec).model_dump(mode="json")
    database.records.insert([record])
    database.rounds.open("t", 1)
    database.rounds.update("t", 1, steps={"screen": 1.0, "breed_2": 2.0})
    prior = stored["spec"]["prerelax"]
    campaigns, structures = database.mongo["campaigns"], database.mongo["structures"]
    older = {"schema_version": 3, "spec": as_version_2(stored["spec"], prior)}
    campaigns.update_one({"_id": "t"}, {"$set": older})
    older = {"schema_version": 3, "prior": answer.model_dump(mode="json"), "choice.arm": "control"}
    older |= {"validation.phonon.outcome": "undecided", "validation.phonon.reason": "phonons not run yet"}
    gone = {"prerelaxed": "", "choice.selection": ""}
    structures.update_one({"_id": record.id}, {"$set": older, "$unset": gone})
    assert upgrade(database).written == {"campaigns": 1, "structures": 1}
    assert database.records.get(record.id).model_dump(mode="json") == record.model_dump(mode="json")
    assert database.campaigns.create(spec).spec_digest == spec.digest()
    assert database.rounds.get("t", 1).steps == {"screen": 1.0, "offspring_2": 2.0}
    assert "prior" not in (structures.find_one({"_id": record.id}) or {})


def test_a_campaign_of_version_4_keeps_its_scale_and_a_new_one_is_corrected(database: Database) -> None:
    """A file that names no scale goes on with what its campaign began with."""
    new = CampaignSpec(id="t", elements=("Nb", "O"))
    assert new.oracle.corrections == "mp2020"
    stored = database.campaigns.create(new).model_dump(mode="json")
    oracle = {key: value for key, value in stored["spec"]["oracle"].items() if key != "corrections"}
    older = {"schema_version": 4, "spec.oracle": oracle, "spec_digest": "another"}
    database.mongo["campaigns"].update_one({"_id": "t"}, {"$set": older})
    database.records.insert([validated(nbo(), -9.0)])
    database.mongo["structures"].update_many(
        {}, {"$set": {"schema_version": 4}, "$unset": {"validation.correction": ""}}
    )
    assert upgrade(database).written == {"campaigns": 1, "structures": 1}
    (record,) = database.records.find("t")
    assert record.validation is not None
    assert (record.validation.energy_per_atom, record.validation.correction) == (-9.0, 0.0)
    legacy = CampaignSpec(id="t", elements=("Nb", "O"), oracle=LEGACY)
    assert database.campaigns.create(legacy).spec_digest == legacy.digest()
    assert database.campaigns.create(new).spec_digest == legacy.digest()
    named = CampaignSpec(id="t", elements=("Nb", "O"), oracle=Oracle(corrections="mp2020"))
    with pytest.raises(ConfigError, match="corrections"):
        database.campaigns.create(named)


def test_what_does_not_fit_is_named_and_left_as_it_was(database: Database) -> None:
    restore_version_1(database)
    first = database.mongo["structures"].find_one({}, sort=[("_id", 1)])
    assert first is not None
    database.mongo["structures"].update_one({"_id": first["_id"]}, {"$set": {"status": "lost"}})
    done = upgrade(database)
    assert done.written["structures"] == 3
    assert len(done.broken) == 1 and first["_id"] in done.broken[0] and "status" in done.broken[0]
    assert database.mongo["structures"].find_one({"_id": first["_id"]})["schema_version"] == 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("formula", "wanted"),
    [("NbO2", "NbO2"), ("O2", "O"), ("Al2(SO4)3", "Al2O12S3"), ("LiFePO4", "FeLiO4P"), ("Nb2O4", "NbO2")],
)
def test_formulas_in_the_form_of_optimade(formula: str, wanted: str) -> None:
    assert in_optimade_form(formula) == wanted


def test_amounts_that_are_not_whole_are_rounded_to_hundredths() -> None:
    assert optimade_formula({"Nb": 0.5, "O": 1.0}) == "NbO2"


def test_records_carry_the_fields_of_the_schema() -> None:
    record = validated(rutile(), -9.0)
    assert (record.formula_reduced, record.nelements, record.chemsys) == ("NbO2", 2, "Nb-O")
    assert record.structure["@class"] == "Structure"


@pytest.mark.parametrize("collection", list(DOCUMENTS))
def test_schemas_name_their_version_and_hold_no_reference_for_mongodb(collection: str) -> None:
    assert json_schema(collection)["$id"] == f"niobe:{collection}:{SCHEMA_VERSION}"
    schema = mongo_schema(collection)
    assert "_id" in schema["properties"] and "_id" in schema["required"]
    text = repr(schema)
    for unknown in ("$ref", "'type':", "'default'", "'format'", "'title'", "prefixItems"):
        assert unknown not in text, unknown


def test_the_embedded_server_says_that_it_checks_nothing_or_mongodb_refuses_what_is_wrong(
    database: Database,
) -> None:
    from pymongo.errors import OperationFailure

    enforced = database.enforce({name: mongo_schema(name) for name in DOCUMENTS})
    database.records.insert([validated(nbo(), -9.0)])
    if enforced:
        with pytest.raises(OperationFailure, match="validation"):
            database.mongo["structures"].insert_one({"status": "lost"})
    assert database.records.count("t") == 1
