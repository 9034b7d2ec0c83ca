"""A crystal's JSON is data: what was written is read back, and nothing it names is looked up."""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Species, Structure

from niobe.loop.crystals.decoding import MOST_SITES, decoded
from niobe.loop.crystals.prototypes import library

FINITE = st.floats(-0.999, 0.999)
SPECIES = st.sampled_from(["Nb", "O", "D", "Pu", "Cm", "Nb5+", "O2-", Species("Fe", 3, spin=5), Species("O")])


@st.composite
def structures(draw: st.DrawFn) -> Structure:
    """Any cell, charged, spinning and partly occupied sites, labels and properties among them."""
    edges = [draw(st.floats(2.0, 20.0)) for _ in range(3)]
    angles = [draw(st.floats(60.0, 110.0)) for _ in range(3)]
    count = draw(st.integers(1, 6))
    sites = [
        {draw(SPECIES): draw(st.floats(0.05, 1.0))} if draw(st.booleans()) else draw(SPECIES)
        for _ in range(count)
    ]
    coords = [[draw(FINITE) for _ in range(3)] for _ in range(count)]
    structure = Structure(Lattice.from_parameters(*edges, *angles), sites, coords)
    if draw(st.booleans()):
        structure.add_site_property("magmom", [draw(FINITE) for _ in range(count)])
        structure.add_site_property("selective_dynamics", [[True, False, True]] * count)
    if draw(st.booleans()):
        structure.relabel_sites()
    structure.properties = draw(st.dictionaries(st.sampled_from(["e_above_hull", "note"]), FINITE))
    return structure


@given(structures())
def test_what_was_written_is_read_back_bit_by_bit(structure: Structure) -> None:
    for document in (structure.as_dict(), json.loads(json.dumps(structure.as_dict()))):
        assert json.dumps(decoded(document).as_dict()) == json.dumps(structure.as_dict())
    light = structure.as_dict(verbosity=0)
    assert np.array_equal(decoded(light).frac_coords, structure.frac_coords)


def test_every_prototype_is_read_as_pymatgen_reads_it() -> None:
    for stored in (prototype.structure for prototype in library().values()):
        document = stored.as_dict()
        assert decoded(document).as_dict() == Structure.from_dict(document).as_dict()


def plain() -> dict[str, Any]:
    structure = Structure(Lattice.cubic(4.2), ["Nb", "O2-"], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))
    return json.loads(json.dumps(structure.as_dict()))


NAMED = [
    {"@module": "os", "@class": "system"},
    {"@module": "this", "@class": "x"},
    {"@module": "antigravity", "@class": "x"},
    {"@module": "niobe.launchers.cli", "@class": "app", "@version": "1"},
    {"@module": "builtins", "@callable": "eval"},
    {"@module": "numpy", "@class": "array", "dtype": "float64", "data": [1.0]},
    {"@module": "pathlib", "@class": "Path", "args": ["/etc"]},
    {"@module": "pymatgen.core", "@class": "Structure"},
    {"@module": "pandas", "@class": "DataFrame", "data": "{}"},
    {"@module": "torch", "@class": "Tensor", "dtype": "x", "data": []},
    {"@class": "set", "@module": "builtins", "data": []},
    {"x": {"@module": "this"}},
    [{"@module": "this"}],
    [[{"@module": "this", "@class": "x"}]],
    {"$oid": "0"},
]


@pytest.mark.parametrize("named", NAMED)
def test_what_a_document_names_is_not_imported(named: object) -> None:
    before = set(sys.modules)
    for place in ("site", "structure", "species", "lattice"):
        document = plain()
        if place == "site":
            document["sites"][0]["properties"] = {"x": named}
        elif place == "structure":
            document["properties"] = {"x": named}
        elif place == "species":
            document["sites"][0]["species"][0]["oxidation_state"] = named
        else:
            document["lattice"]["matrix"] = named
        with pytest.raises(ValueError, match="no structure"):
            decoded(document)
    document = plain() | {"@module": "this", "@class": "x", "fmt": "abivars"}
    assert len(decoded(document)) == 2  # What it calls itself is not looked at.
    assert not {"this", "antigravity"} & (set(sys.modules) - before)


WRONG = [
    ("lattice", "matrix", [[1, 0, 0], [0, 1, 0]]),
    ("lattice", "matrix", [[0, 0, 0]] * 3),
    ("lattice", "matrix", [[1, 0, 0], [1, 0, 0], [0, 0, 1]]),
    ("lattice", "matrix", [[float("nan"), 0, 0], [0, 1, 0], [0, 0, 1]]),
    ("lattice", "matrix", [[1e300, 0, 0], [0, 1, 0], [0, 0, 1]]),
    ("lattice", "matrix", [["4", 0, 0], [0, 4, 0], [0, 0, 4]]),
    ("lattice", "matrix", [[True, 0, 0], [0, 4, 0], [0, 0, 4]]),
    ("lattice", "pbc", [1, 1, 1]),
    ("sites", 0, {}),
    ("sites", 0, None),
    ("sites", 0, {"species": [], "abc": [0, 0, 0]}),
    ("sites", 0, {"species": [{"element": "Xx", "occu": 1}], "abc": [0, 0, 0]}),
    ("sites", 0, {"species": [{"element": "X0+", "occu": 1}], "abc": [0, 0, 0]}),
    ("sites", 0, {"species": [{"element": "Nb", "occu": 0}], "abc": [0, 0, 0]}),
    ("sites", 0, {"species": [{"element": "Nb", "occu": -1}], "abc": [0, 0, 0]}),
    ("sites", 0, {"species": [{"element": "Nb", "occu": 2}], "abc": [0, 0, 0]}),
    (
        "sites",
        0,
        {"species": [{"element": "Nb", "occu": 0.9}, {"element": "O", "occu": 0.9}], "abc": [0] * 3},
    ),
    ("sites", 0, {"species": [{"element": "Nb", "occu": 0.5}] * 2, "abc": [0, 0, 0]}),
    ("sites", 0, {"species": [{"element": "Nb", "occu": 1}], "abc": [0, 0]}),
    ("sites", 0, {"species": [{"element": "Nb", "occu": 1}], "abc": [0, 0, float("inf")]}),
    ("sites", 0, {"species": [{"element": "Nb", "occu": 1}], "abc": [0, 0, 1e30]}),
    ("sites", 0, {"species": [{"element": "Nb", "occu": 1}], "xyz": [0, 0, 0]}),
    ("sites", 0, {"species": [{"element": "Nb", "occu": 1, "oxidation_state": 1e9}], "abc": [0, 0, 0]}),
]


@pytest.mark.parametrize(("part", "key", "value"), WRONG)
def test_what_is_no_crystal_is_refused_in_one_line(part: str, key: Any, value: Any) -> None:
    document = plain()
    document[part][key] = value
    with pytest.raises(ValueError) as refused:
        decoded(document)
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400


def test_size_and_depth_are_bounded() -> None:
    document = plain()
    document["sites"] *= MOST_SITES
    with pytest.raises(ValueError, match="sites"):
        decoded(document)
    deep: Any = 1.0
    for _ in range(100_000):
        deep = [deep]
    document = plain()
    document["sites"][0]["properties"] = {"x": deep}
    with pytest.raises(ValueError, match="deeper"):
        decoded(document)
    document["sites"][0]["properties"] = {"x": [0.0] * 20_000}
    with pytest.raises(ValueError, match="more than"):
        decoded(document)


def _ways(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield (*way, key)
        yield from _ways(part, (*way, key))


ANY = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(NAMED)
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=500)
@given(st.data())
def test_any_change_is_refused_in_a_line_or_makes_a_finite_crystal(data: st.DataObject) -> None:
    document = copy.deepcopy(plain())
    way = data.draw(st.sampled_from(list(_ways(document))))
    part = document
    for key in way[:-1]:
        part = part[key]
    part[way[-1]] = data.draw(ANY)
    try:
        structure = decoded(document)
    except ValueError as refused:
        assert "\n" not in str(refused)
    else:
        assert np.isfinite(structure.lattice.matrix).all() and np.isfinite(structure.frac_coords).all()
        assert structure.volume > 0 and len(structure) == 2
    assert "this" not in sys.modules


@given(ANY)
def test_what_is_no_document_at_all_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        decoded(value)
