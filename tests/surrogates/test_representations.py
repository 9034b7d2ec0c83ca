"""Representations: what each claims to be blind to, and what it holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymatgen.core import Lattice, Structure
from pymatgen.core.operations import SymmOp

from niobe.surrogates.representations.composition import magpie
from niobe.surrogates.representations.crystal_graph import crystal_graph, to_structure
from niobe.surrogates.representations.image import fractions_of, images
from niobe.surrogates.representations.sequence import wyckoff_sequence
from tests.loop.factory import nbo

PEROVSKITE = Structure.from_spacegroup(
    221, Lattice.cubic(3.9), ["Sr", "Ti", "O"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0]]
)
RUTILE = Structure.from_spacegroup(
    136, Lattice.tetragonal(4.6, 2.96), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)


def moved(structure: Structure, angle: float, shift: float, seed: int) -> Structure:
    """Rotated, translated, with its sites in another order, in a doubled and sheared cell."""
    other = structure.copy()
    other.translate_sites(range(len(other)), [shift, 2 * shift, -shift])
    other.apply_operation(SymmOp.from_axis_angle_and_translation(np.array([1, 2, 3]), angle))
    other = other.make_supercell([[1, 1, 0], [0, 1, 0], [0, 0, 2]])
    order = np.random.default_rng(seed).permutation(len(other))
    return Structure.from_sites([other[i] for i in order])


def environments(structure: Structure) -> list[tuple[int, tuple[float, ...]]]:
    """Each atom's number and its edge lengths, per kind of atom present."""
    graph = crystal_graph(structure, cutoff=6.0, neighbours=12)
    around = [tuple(np.sort(graph.distances[graph.center == i]).round(4)) for i in range(len(graph.numbers))]
    return sorted(set(zip(graph.numbers.tolist(), around, strict=True)))


@settings(max_examples=15, deadline=None)
@given(
    structure=st.sampled_from([PEROVSKITE, RUTILE, nbo()]),
    angle=st.floats(0, 180),
    shift=st.floats(-0.5, 0.5),
    seed=st.integers(0, 99),
)
def test_a_crystal_described_otherwise_has_the_same_graph_sequence_and_composition(
    structure: Structure, angle: float, shift: float, seed: int
) -> None:
    other = moved(structure, angle, shift, seed)
    assert environments(other) == environments(structure)
    assert wyckoff_sequence(other) == wyckoff_sequence(structure)
    assert magpie([other]) == pytest.approx(magpie([structure]))
    assert images([other]) == pytest.approx(images([structure]))


def test_a_cap_keeps_whole_shells() -> None:
    rocksalt = Structure.from_spacegroup(225, Lattice.cubic(4.2), ["Mg", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    graph = crystal_graph(rocksalt, cutoff=8.0, neighbours=12)
    assert np.bincount(graph.center).tolist() == [6 + 12] * 8
    assert sorted(set(graph.distances.round(6))) == pytest.approx([2.1, 4.2 / np.sqrt(2)])


def test_edges_agree_with_a_search_by_pymatgen() -> None:
    graph = crystal_graph(RUTILE, cutoff=5.0, neighbours=10_000)
    _, _, _, expected = RUTILE.get_neighbor_list(5.0)
    assert np.sort(graph.distances) == pytest.approx(np.sort(expected))
    assert np.linalg.norm(graph.vectors, axis=1) == pytest.approx(graph.distances)


@pytest.mark.parametrize("structure", [PEROVSKITE, RUTILE, nbo()])
def test_a_graph_leads_back_to_its_structure(structure: Structure) -> None:
    again = to_structure(crystal_graph(structure, cutoff=6.0, neighbours=12))
    assert again.lattice.matrix == pytest.approx(structure.lattice.matrix)
    assert again.distance_matrix == pytest.approx(structure.distance_matrix, abs=1e-6)


def test_a_graph_of_atoms_out_of_reach_does_not_lead_back() -> None:
    lonely = Structure(Lattice.cubic(20.0), ["He"], [[0, 0, 0]])
    graph = crystal_graph(lonely, cutoff=6.0, neighbours=12)
    assert len(graph.center) == 0
    with pytest.raises(ValueError, match="do not hold the crystal together"):
        to_structure(graph)


def test_magpie_is_matminers() -> None:
    from matminer.featurizers.composition import ElementProperty

    featurizer = ElementProperty.from_preset("magpie", impute_nan=True)
    structures = [PEROVSKITE, RUTILE, nbo()]
    expected = [featurizer.featurize(s.composition) for s in structures]
    assert magpie(structures) == pytest.approx(np.array(expected))


def test_an_image_leads_back_to_its_composition() -> None:
    held = fractions_of(images([PEROVSKITE])[0])
    assert {int(i) + 1: round(float(held[i]), 6) for i in np.flatnonzero(held)} == {8: 0.6, 22: 0.2, 38: 0.2}


def test_the_wyckoff_sequence_of_perovskite() -> None:
    sequence = wyckoff_sequence(PEROVSKITE)
    assert sequence.group == 221
    assert [(number, share) for number, _, share in sequence.orbits] == [(8, 0.6), (22, 0.2), (38, 0.2)]


BAD = {
    "without volume": Structure(
        Lattice(np.array([[3, 0, 0], [0, 3, 0], [3, 3, 1e-4]])), ["Nb", "O"], np.zeros((2, 3))
    ),
    "not finite": Structure(Lattice.cubic(4), ["Nb", "O"], np.array([[0, 0, 0], [np.nan, 0.5, 0.5]])),
    "partial occupancy": Structure(Lattice.cubic(4), [{"Nb": 0.5}], np.zeros((1, 3))),
    "allowed: 1 to": Structure(Lattice.cubic(40), ["O"] * 1001, np.random.default_rng(0).random((1001, 3))),
}


@pytest.mark.parametrize("reason", BAD)
def test_what_is_not_a_crystal_is_refused(reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        crystal_graph(BAD[reason], cutoff=6.0, neighbours=12)
    with pytest.raises(ValueError, match=reason):
        magpie([BAD[reason]])
    with pytest.raises(ValueError, match=reason):
        wyckoff_sequence(BAD[reason])
