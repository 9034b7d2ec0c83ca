"""Same or new, whatever cell it is written in."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from niobe.loop.crystals.similarity import (
    SeenStructures,
    Shape,
    content_hash,
    spacegroup_number,
    spacegroup_symbol,
)
from niobe.loop.generators.random_symmetric import RandomSymmetric
from niobe.loop.readers.cif.symmetry import named
from niobe.surrogates.protocols import SampleRequest
from tests.loop.factory import nbo, rocksalt, rutile


@settings(max_examples=20, deadline=None)
@given(st.tuples(*[st.floats(-2, 2)] * 3), st.permutations(range(6)))
def test_translated_and_permuted_copies_are_found(shift: tuple[float, ...], order: list[int]) -> None:
    copy = nbo()
    copy = copy.from_sites([copy[i] for i in order])
    copy.translate_sites(range(6), shift)
    seen = SeenStructures([("a", rocksalt()), ("b", nbo())])
    assert seen.find(copy) == "b"


def test_supercells_match_and_other_structures_do_not() -> None:
    seen = SeenStructures([("a", nbo())])
    assert seen.find(nbo() * (2, 1, 1)) == "a"
    assert seen.find(rocksalt()) is None
    assert seen.find(rutile()) is None


def test_the_first_that_matches_represents_them() -> None:
    assert SeenStructures([("a", nbo()), ("b", nbo(4.25))]).find(nbo(4.22)) == "a"


def test_some_can_be_left_out_of_a_search() -> None:
    seen = SeenStructures([("a", nbo()), ("b", nbo(4.25))])
    assert seen.find(nbo(4.22), exclude={"a"}) == "b"
    assert seen.find(nbo(4.22), exclude={"a", "b"}) is None


def test_many_are_compared_as_each_pair_is() -> None:
    """A new one with all that is there at once, in the order in which they came."""
    drawn = RandomSymmetric().sample(SampleRequest(elements=("Cu", "Au"), max_atoms=4), 120, seed=3).samples
    shapes = [Shape(str(number), sample.structure) for number, sample in enumerate(drawn)]
    seen, before = SeenStructures(), list[Shape]()
    said = []
    for shape in shapes:
        found = seen.find_shape(shape)
        said.append(found)
        assert found is next(
            (one for one in before if one.formula == shape.formula and one.same(shape)), None
        )
        seen.add_shape(shape)
        before.append(shape)
    assert len(set(said)) > 10


def test_content_hash_sees_geometry_and_species_only() -> None:
    structure = nbo()
    assert content_hash(structure) == content_hash(structure.from_sites(list(reversed(structure))))
    assert content_hash(structure) != content_hash(nbo(4.21))


def test_space_groups_by_number() -> None:
    assert [spacegroup_number(s) for s in (nbo(), rocksalt(), rutile())] == [221, 225, 136]
    broken = nbo()
    broken.perturb(0.2, seed=1)
    assert spacegroup_number(broken) == 1
    assert np.isfinite(broken.volume)


def test_space_groups_by_symbol() -> None:
    """Each symbol is read as its own group."""
    for number in range(1, 231):
        assert number in {found.number for found in named(spacegroup_symbol(number).replace("_", ""))}
    known = {
        1: "P1",
        3: "P2",
        12: "C2/m",
        14: "P2_1/c",
        64: "Cmce",
        149: "P312",
        166: "R-3m",
        194: "P6_3/mmc",
    }
    assert {number: spacegroup_symbol(number) for number in known} == known
    assert [spacegroup_symbol(number) for number in (0, -1, 231)] == ["?"] * 3
