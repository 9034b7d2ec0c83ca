"""No goal may be called as something is called that Niobe predicts, writes or reads, or that ASE has."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from ase.db import connect
from ase.db.core import reserved_keys
from ase.io.extxyz import SPECIAL_3_3_KEYS

from niobe.config.elements import ELEMENTS
from niobe.config.errors import ConfigError
from niobe.config.goals.reserved import is_reserved
from niobe.config.loading import campaign_of
from niobe.launchers.output.exports import export
from niobe.loop.documents.properties import PropertyValue
from niobe.loop.readers import tables
from niobe.loop.sources import files
from niobe.surrogates.models.targets import PROBABILITIES
from tests.loop.factory import nbo, validated


def written(folder: Path) -> set[str]:
    """Columns, keys and fields of all tables of a record."""
    record = validated(nbo(), -9.0)
    names = set(pd.read_csv(export([record], "csv", folder / "a.csv")))
    names |= set(pd.read_parquet(export([record], "matbench", folder / "a.parquet")))
    entry = export([record], "optimade", folder / "a.jsonl").read_text().splitlines()[1]
    return names | {
        key.removeprefix("_niobe_") for key in json.loads(entry)["attributes"] if "_niobe_" in key
    }


def test_all_that_is_taken_is_reserved(tmp_path: Path) -> None:
    read = {*files._COLUMNS, *files._IDS, *tables._LATTICE, *tables._NUMBERS, *tables._SPECIES}
    read |= {*tables._FRACTIONAL, *tables._CARTESIAN, tables._UNSAID}
    predicted = {"formation_energy_per_atom", "e_above_hull", *PROBABILITIES}
    taken = {*written(tmp_path), *read, *predicted, *reserved_keys, *SPECIAL_3_3_KEYS, *ELEMENTS}
    assert {name for name in taken if not is_reserved(name)} == set()
    assert is_reserved("e-above-hull")


@pytest.mark.parametrize("name", ["p_stable", "Formation_Energy_per_Atom", "energy", "density_unit", "Cu"])
def test_a_reserved_name_is_refused_as_the_file_is_read(name: str, tmp_path: Path) -> None:
    """Its values would overwrite, in predictions or columns, what goes by that name already."""
    for goal in ({"property": name, "file": "a.csv"}, {"property": f"mine:{name}"}):
        content = {"id": "a", "elements": ["Cu"], "goals": [goal | {"unit": "eV", "range": [None, 1]}]}
        with pytest.raises(ConfigError, match=rf"c\.yaml: goals\.0: property: '{name}' is reserved"):
            campaign_of(content, "c.yaml", tmp_path)


@pytest.mark.parametrize("name", ["gap", "hardness", "bulk_modulus", "density", "units", "cost"])
def test_other_names_are_not(name: str) -> None:
    assert not is_reserved(name)


def test_a_hyphen_is_written_as_formats_take_it(tmp_path: Path) -> None:
    """ASE's databases know no hyphen in a key; the others keep it."""
    value = PropertyValue(value=0.5, unit="1", source="s")
    record = validated(nbo(), -9.0).model_copy(update={"properties": {"acme-gold": value}})
    (row,) = connect(str(export([record], "asedb", tmp_path / "a.db"))).select()
    assert (row.acme_gold, row.data["acme_gold_unit"]) == (0.5, "1")
    for format, name in (("extxyz", "a.xyz"), ("csv", "b.csv")):
        assert "acme-gold" in export([record], format, tmp_path / name).read_text()
