"""Periodic crystal graphs: each atom is joined to whole shells of its nearest neighbours.

The neighbour search is vesin's. A cap on the number of neighbours never splits a shell: all neighbours as far
as the last one kept are kept too, so the graph depends on no order or orientation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.representations.checks import require_sound

if TYPE_CHECKING:
    from pymatgen.core import Structure

FloatArray = NDArray[np.float64]
_SHELL = 1e-3
_SPARE = 2.5


@dataclass(frozen=True)
class CrystalGraph:
    """A crystal as atoms and directed edges.

    numbers: shape (n,), atomic numbers. center, neighbour: shape (e,), atoms an edge joins; edges are
    sorted by center. images: shape (e, 3), the neighbour's cell. vectors: shape (e, 3), from center to
    neighbour, Å. distances: shape (e,), Å. volume: of the cell, Å³.
    """

    numbers: NDArray[np.int64]
    center: NDArray[np.int64]
    neighbour: NDArray[np.int64]
    images: NDArray[np.int64]
    vectors: FloatArray
    distances: FloatArray
    volume: float


def crystal_graph(structure: Structure, *, cutoff: float, neighbours: int) -> CrystalGraph:
    """The graph of a structure: at least ``neighbours`` nearest (whole shells), none beyond ``cutoff`` Å.

    An atom with nobody within the cutoff has no edge. Raises ValueError for a cell without volume,
    coordinates that are not finite, or a cell too large.
    """
    require_sound(structure)
    lattice = np.ascontiguousarray(structure.lattice.matrix)
    positions = structure.frac_coords % 1.0 @ lattice
    reach = min(cutoff, _first_reach(structure, neighbours))
    while True:
        center, neighbour, images, vectors, distances = _pairs(positions, lattice, reach)
        count = np.bincount(center, minlength=len(structure))
        if reach >= cutoff or count.min() > neighbours:
            break
        reach = min(cutoff, 1.3 * reach)
    kept = _nearest(center, distances, count, neighbours)
    return CrystalGraph(
        numbers=np.array(structure.atomic_numbers, dtype=np.int64),
        center=center[kept],
        neighbour=neighbour[kept],
        images=images[kept],
        vectors=vectors[kept],
        distances=distances[kept],
        volume=structure.volume,
    )


def _first_reach(structure: Structure, neighbours: int) -> float:
    """A radius (Å) that holds more than enough neighbours at the structure's mean density."""
    per_atom = structure.volume / len(structure)
    return float((_SPARE * (neighbours + 1) * per_atom * 3 / (4 * np.pi)) ** (1 / 3))


def _pairs(positions: FloatArray, lattice: FloatArray, cutoff: float) -> tuple[NDArray[Any], ...]:
    """Pairs within the cutoff sorted by center, then distance."""
    from vesin import NeighborList

    search = NeighborList(cutoff=cutoff, full_list=True, n_threads=1)
    center, neighbour, images, vectors, distances = search.compute(positions, lattice, True, "ijSDd")
    order = np.lexsort((distances, center))
    columns = center, neighbour, images, vectors, distances
    whole = [column[order] for column in columns]
    return tuple(c.astype(np.int64) if i < 3 else c for i, c in enumerate(whole))


def _nearest(
    center: NDArray[np.int64], distances: FloatArray, count: NDArray[np.int64], neighbours: int
) -> NDArray[np.bool_]:
    """Which edges lie in the shells of the ``neighbours`` nearest of their center."""
    if not len(center):
        return np.zeros(0, dtype=bool)
    first = np.cumsum(count) - count
    last = np.minimum(first + np.minimum(neighbours, count) - 1, len(center) - 1)
    farthest = np.where(count > 0, distances[last], 0.0)
    return np.asarray(distances <= farthest[center] + _SHELL)


def to_structure(graph: CrystalGraph) -> Structure:
    """The structure that a graph holds: lattice and sites by least squares from edge vectors and images.

    Raises ValueError where the edges do not hold the atoms and the three lattice vectors together.
    """
    from pymatgen.core import Lattice, Structure

    atoms, edges = len(graph.numbers), len(graph.center)
    system = np.zeros((edges + 1, atoms + 3))
    rows = np.arange(edges)
    np.add.at(system, (rows, graph.neighbour), 1.0)
    np.add.at(system, (rows, graph.center), -1.0)
    system[:edges, atoms:] = graph.images
    system[edges, 0] = 1.0
    known = np.vstack([graph.vectors, np.zeros(3)])
    solution, _, rank, _ = np.linalg.lstsq(system, known, rcond=None)
    if rank < atoms + 3:
        raise ValueError("the graph's edges do not hold the crystal together")
    return Structure(
        Lattice(solution[atoms:]), graph.numbers.tolist(), solution[:atoms], coords_are_cartesian=True
    )
