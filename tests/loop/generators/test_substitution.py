"""Known crystals with other elements: which comes first, and what never comes."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.generators import Parent, Substitution
from niobe.surrogates.protocols import SampleBatch, SampleRequest

OXIDE = SampleRequest(elements=("O", "Ti"), max_atoms=12)


def crystal(group: int, edge: float, height: float, symbols: list[str], anion: list[float]) -> Structure:
    """The first element at the origin."""
    lattice = Lattice.orthorhombic(edge, edge, height)
    places = [np.zeros(3), np.array(anion)]
    return Structure.from_spacegroup(group, lattice, symbols, places).get_primitive_structure()


def rutile(metal: str, anion: str) -> Parent:
    return Parent("rutile", crystal(136, 4.6, 3.0, [metal, anion], [0.305, 0.305, 0.0]))


def fluorite(metal: str, anion: str) -> Parent:
    return Parent("fluorite", crystal(225, 5.4, 5.4, [metal, anion], [0.25, 0.25, 0.25]))


def first(batch: SampleBatch) -> str:
    return str(batch.samples[0].origin["substituted"])


def test_the_likelier_ions_come_first_more_often() -> None:
    """Tin(IV) for titanium(IV) and oxygen for itself, before calcium fluoride's ions."""
    generator = Substitution([rutile("Sn", "O"), fluorite("Ca", "F")])
    found = Counter(first(generator.sample(OXIDE, 1, seed=seed)) for seed in range(40))
    assert found["rutile O-Ti"] == max(found.values()) >= 15
    every = generator.sample(OXIDE, 9, seed=1).samples
    chance = {s.origin["substituted"]: s.origin.get("log_probability") for s in every}
    assert 0 > float(chance["rutile O-Ti"] or 0) > float(chance["fluorite Ti-O"] or 0)
    assert chance["rutile Ti-O"] is None  # Ti2O: no charges balance.


def test_where_no_charges_balance_places_on_pettifors_scale_rank() -> None:
    caesium_chloride = crystal(221, 3.0, 3.0, ["Ni", "Al"], [0.5, 0.5, 0.5])
    batch = Substitution([Parent("b2", caesium_chloride)]).sample(
        SampleRequest(elements=("Al", "Co"), max_atoms=4), 2, seed=1
    )
    assert {sample.origin["substituted"] for sample in batch.samples} <= {"b2 Al-Co", "b2 Co-Al"}
    assert all("log_probability" not in sample.origin for sample in batch.samples)
    assert batch.rejected == {"known": 1, "no other fits": 1}  # Either way it is one crystal.


def test_nothing_known_and_nothing_twice_is_drawn() -> None:
    generator = Substitution([rutile("Sn", "O"), Parent("again", rutile("Ge", "O").structure)])
    (one,) = generator.sample(OXIDE, 5, seed=1).samples[:1]
    drawn = generator.sample(OXIDE, 5, seed=1).samples
    seen = SeenStructures()
    for sample in drawn:
        assert seen.find(sample.structure) is None
        seen.add("", sample.structure)
    told = replace(OXIDE, known=[one.structure])
    assert all(
        SeenStructures([("", one.structure)]).find(s.structure) is None
        for s in generator.sample(told, 5, seed=1).samples
    )


@pytest.mark.parametrize("most", [2, 5, 6])
def test_sizes_and_fractions_are_kept(most: int) -> None:
    generator = Substitution([rutile("Sn", "O"), fluorite("Ca", "F")])
    request = replace(OXIDE, max_atoms=most, fractions={"O": (0.6, 0.7)})
    samples = generator.sample(request, 9, seed=1).samples
    assert all(len(s.structure) <= most for s in samples)
    assert all(s.structure.composition.reduced_formula == "TiO2" for s in samples)
    assert len(samples) == {2: 0, 5: 1, 6: 2}[most]


def test_where_elements_may_be_left_out_subsystems_are_drawn_too() -> None:
    request = SampleRequest(elements=("Mg", "O", "Ti"), max_atoms=12, all_elements=False)
    samples = Substitution([rutile("Sn", "O")]).sample(request, 9, seed=1).samples
    assert {s.structure.composition.chemical_system for s in samples} >= {"Mg-O", "O-Ti"}
