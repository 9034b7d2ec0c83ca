"""Prototypes with a system's elements: which are likely, and which a label names."""

from pymatgen.core import Element

from niobe.loop.crystals.prototypes import encyclopedia
from niobe.loop.generators.prototypes import (
    likeliest,
    likely_prototypes,
    named_prototypes,
    prototype_labels,
)


def test_the_likeliest_elements_stand_near_on_pettifors_scale() -> None:
    """Th 47, La 33, Cr 57, Ni 67, Si 85 on it: by hand (2 * 10 + 14 + 0) / 5 for LaNi2Si2."""
    places = {symbol: Element(symbol).mendeleev_no for symbol in ("Th", "La", "Cr", "Ni", "Si")}
    assert places == {"Th": 47, "La": 33, "Cr": 57, "Ni": 67, "Si": 85}
    crystals = {"far": {"F": 4, "Cs": 2, "O": 1}, "near": {"Th": 1, "Cr": 2, "Si": 2}, "other": {"Al": 1}}
    found = likeliest(crystals, ("Si", "La", "Ni"), 2)
    assert found[0] == ("near", {"Cr": "Ni", "Si": "Si", "Th": "La"})
    assert found[1][0] == "near"  # Another order of it is nearer than any of the far one.


def test_a_common_structure_is_among_the_likely_ones_of_a_system() -> None:
    labels = {label for label, _ in likely_prototypes(("La", "Ni", "Si"), 12, 160)}
    assert "A2B2C_tI10_139_d_e_a-003 Ni-Si-La" in labels
    assert len(labels) == 160


def test_no_cell_is_larger_than_asked_and_atoms_have_their_volume() -> None:
    found = likely_prototypes(("Al", "Ni"), 6, 10_000)
    assert {len(structure) <= 6 for _, structure in found} == {True}
    assert {structure.chemical_system for _, structure in found} == {"Al-Ni"}
    assert all(5 < structure.volume / len(structure) < 30 for _, structure in found)


def test_a_label_names_decorations_wherever_it_is_stored() -> None:
    label = "A2B2C_tI10_139_d_e_a-003"
    assert label in encyclopedia()
    assert len(named_prototypes(label, ("La", "Ni", "Si"))) == 6
    assert len(named_prototypes(label, ("La", "Ni"))) == 0
    assert [f for f, _ in named_prototypes(f"{label} Ni-Si-La", ("La", "Ni", "Si"))] == [f"{label} Ni-Si-La"]
    assert named_prototypes("", ("La", "Ni", "Si")) == named_prototypes("A9B", ("La",)) == []
    assert label in prototype_labels(3)
    assert label not in prototype_labels(2)


def test_elements_beyond_pettifors_scale_are_answered_for() -> None:
    assert likeliest({"one": {"Og": 1, "O": 1}}, ("Ts", "O"), 1) == [("one", {"O": "O", "Og": "Ts"})]
