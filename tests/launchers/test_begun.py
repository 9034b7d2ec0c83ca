"""A campaign goes on with what it began with; a default that changed since changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from niobe.config.errors import ConfigError
from niobe.config.loading import load_campaign
from niobe.launchers.rounds import begin_campaign
from niobe.loop.store.database import Database

FILE: dict[str, Any] = {
    "id": "old",
    "elements": ["Nb", "O"],
    "limits": {"max_atoms": 6},
    "generation": {"mix": [{"name": "random"}, {"name": "offspring"}]},
    "oracle": {"name": "emt"},
    "prerelax": None,
}


def campaign(folder: Path, **changes: object) -> Path:
    file = folder / "c.yaml"
    file.write_text(yaml.safe_dump(FILE | {"elements": ["Cu", "Au"]} | changes))
    return file


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spec.hull_tolerance", 0.05),
        ("spec.budget.rounds", 9),
        ("spec.generation.candidates", 17),
        ("spec.seeds.max_prototypes", 3),
        ("spec.phonons.tolerance", 0.3),
        ("spec.oracle.fmax", 0.07),
        ("spec.surrogate.members", 3),
    ],
)
def test_what_the_file_does_not_name_is_as_it_began(
    database: Database, tmp_path: Path, key: str, value: object
) -> None:
    spec = load_campaign(campaign(tmp_path))
    database.campaigns.create(spec)
    database.mongo["campaigns"].update_one({"_id": "old"}, {"$set": {key: value, "spec_digest": "older"}})
    begun = begin_campaign(database, load_campaign(campaign(tmp_path)))
    found: Any = begun
    for name in key.split(".")[1:]:
        found = getattr(found, name)
    assert found == value
    assert begun.limits.max_atoms == 6


def test_a_key_that_an_older_version_did_not_know_is_no_difference(
    database: Database, tmp_path: Path
) -> None:
    database.campaigns.create(load_campaign(campaign(tmp_path)))
    fields = {"spec.policy": 1, "spec.phonons.fmax": 1, "spec.limits.fractions": 1}
    database.mongo["campaigns"].update_one({"_id": "old"}, {"$unset": fields, "$set": {"spec_digest": "x"}})
    assert begin_campaign(database, load_campaign(campaign(tmp_path))).id == "old"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"limits": {"max_atoms": 8}}, "limits.max_atoms: 6 -> 8"),
        ({"hull_tolerance": 0.2}, "hull_tolerance: 0.1 -> 0.2"),
        ({"generation": {"mix": [{"name": "random"}]}}, "generation.mix"),
        ({"limits": {"max_atoms": 6, "fractions": {"Cu": [0, 0.5]}}}, "limits.fractions"),
        ({"seed": 4}, "seed: 0 -> 4"),
    ],
)
def test_what_the_file_names_otherwise_is_refused(
    database: Database, tmp_path: Path, changes: dict[str, object], named: str
) -> None:
    database.campaigns.create(load_campaign(campaign(tmp_path)))
    with pytest.raises(ConfigError) as error:
        begin_campaign(database, load_campaign(campaign(tmp_path, **changes)))
    assert "exists with another spec" in str(error.value) and named in str(error.value)


def test_a_key_that_is_no_longer_named_is_as_it_began(database: Database, tmp_path: Path) -> None:
    database.campaigns.create(load_campaign(campaign(tmp_path)))
    assert begin_campaign(database, load_campaign(campaign(tmp_path, limits={}))).limits.max_atoms == 6
