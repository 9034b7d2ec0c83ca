"""Four properties of every representation, measured on given structures.

The properties are those asked of a representation by Damewood et al., Annu. Rev. Mater. Res. 53, 399
(2023), and Musil et al., Chem. Rev. 121, 9759 (2021): the same crystal has one code, different crystals
have different ones, small moves make small changes, and the code leads back.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.representations.composition import N_ELEMENTS, fractions, magpie
from niobe.surrogates.representations.crystal_graph import crystal_graph, to_structure
from niobe.surrogates.representations.descriptor import descriptor
from niobe.surrogates.representations.image import fractions_of, images
from niobe.surrogates.representations.sequence import wyckoff_sequence
from niobe.surrogates.representations.soap import soap
from niobe.surrogates.representations.symmetry import LETTERS

if TYPE_CHECKING:
    from pymatgen.core import Structure

FloatArray = NDArray[np.float64]
_CUTOFF, _NEIGHBOURS = 6.0, 12
_SAME = 1e-5
_STEP = 1e-3
_STEPS = 20
_STILL = 1e-9


@dataclass(frozen=True)
class Representation:
    """row: one structure to numbers. back: how far the way back to it misses, where there is one."""

    row: Callable[[Structure], FloatArray]
    back: Callable[[Structure], float] | None = None


@dataclass(frozen=True)
class Properties:
    """What was measured, for each change of description the largest relative change of the code.

    degenerate: pairs of distinct structures with one code, of all pairs. jump: the largest change of the
    code in one step of 0.001 Å over the median one, as an atom moves; about 1 is smooth, 0 says that
    nothing changes and infinity that it stays and then jumps. back: largest error of the way back (Å, or of
    a fraction for codes of composition); None where there is none. refused: the reason, by the index of the
    structure, where one cannot be written or not be led back to; figures are of the others, NaN without any.
    """

    name: str
    rotation: float
    translation: float
    permutation: float
    cell: float
    supercell: float
    degenerate: int
    pairs: int
    jump: float
    back: float | None
    refused: dict[int, str]


def _graph_row(structure: Structure) -> FloatArray:
    """Per pair of elements a histogram of edges per atom, smeared by 0.1 Å: what a graph network can know."""
    graph = crystal_graph(structure, cutoff=_CUTOFF, neighbours=_NEIGHBOURS)
    grid = np.linspace(0.5, _CUTOFF, 56)
    smeared = np.exp(-(((graph.distances[:, None] - grid) / 0.1) ** 2))
    pair = graph.numbers[graph.center] * 131 + graph.numbers[graph.neighbour] * 17
    row = np.zeros((64, len(grid)))
    np.add.at(row, pair % 64, smeared / len(graph.numbers))
    return np.append(row.ravel(), fractions([structure])[0])


def _graph_back(structure: Structure) -> float:
    again = to_structure(crystal_graph(structure, cutoff=_CUTOFF, neighbours=_NEIGHBOURS))
    return float(np.abs(again.distance_matrix - structure.distance_matrix).max())


def _sequence_row(structure: Structure) -> FloatArray:
    sequence = wyckoff_sequence(structure)
    row = np.zeros((N_ELEMENTS + 1, len(LETTERS)))
    for number, letter, share in sequence.orbits:
        row[number, LETTERS.index(letter)] += share
    return np.append(row.ravel(), sequence.group / 230)


def _fractions_back(structure: Structure) -> float:
    return float(np.abs(fractions_of(images([structure])[0]) - fractions([structure])[0]).max())


REPRESENTATIONS = {
    "crystal graph": Representation(_graph_row, _graph_back),
    "fractions": Representation(lambda s: fractions([s])[0], lambda _: 0.0),
    "magpie": Representation(lambda s: magpie([s])[0]),
    "pair descriptor": Representation(lambda s: descriptor([s])[0]),
    "soap": Representation(lambda s: soap([s])[0]),
    "wyckoff sequence": Representation(_sequence_row),
    "periodic-table image": Representation(lambda s: images([s])[0].ravel(), _fractions_back),
}


def check(name: str, structures: Sequence[Structure], *, seed: int) -> Properties:
    """Measure one representation.

    name: a key of REPRESENTATIONS. structures: what it is measured on. seed: of rotations, shifts and moves.
    Raises KeyError for an unknown name, ValueError for no structures.
    """
    if not structures:
        raise ValueError("no structure to measure on")
    kind, rng = REPRESENTATIONS[name], np.random.default_rng(seed)
    measured: list[_Measured] = []
    refused: dict[int, str] = {}
    for index, structure in enumerate(structures):
        try:
            measured.append(_measured(kind, structure, rng))
        except ValueError as error:
            refused[index] = str(error)
    pairs = list(itertools.combinations([one.row for one in measured], 2))
    return Properties(
        name,
        **{change: _largest([one.changes[change] for one in measured]) for change in CHANGES},
        degenerate=sum(_far(one, other) < _SAME for one, other in pairs),
        pairs=len(pairs),
        jump=_largest([one.jump for one in measured]),
        back=_largest([one.back for one in measured]) if kind.back else None,
        refused=refused,
    )


@dataclass(frozen=True)
class _Measured:
    """Of one structure: its code, how far that changes by change of description, its jump and way back."""

    row: FloatArray
    changes: dict[str, float]
    jump: float
    back: float


def _measured(kind: Representation, structure: Structure, rng: np.random.Generator) -> _Measured:
    row = kind.row(structure)
    return _Measured(
        row,
        {change: _far(row, kind.row(make(structure, rng))) for change, make in CHANGES.items()},
        _jump(kind, structure, rng),
        kind.back(structure) if kind.back else 0.0,
    )


def _largest(values: Sequence[float]) -> float:
    return max(values, default=float("nan"))


def _far(one: FloatArray, other: FloatArray) -> float:
    """Largest difference over the largest number."""
    return float(np.abs(one - other).max() / max(np.abs(one).max(), 1e-12))


def _rotated(structure: Structure, rng: np.random.Generator) -> Structure:
    from pymatgen.core.operations import SymmOp

    operation = SymmOp.from_axis_angle_and_translation(rng.normal(size=3), float(rng.uniform(10, 170)))
    return structure.copy().apply_operation(operation)


def _translated(structure: Structure, rng: np.random.Generator) -> Structure:
    return structure.copy().translate_sites(range(len(structure)), rng.uniform(size=3))


def _permuted(structure: Structure, rng: np.random.Generator) -> Structure:
    from pymatgen.core import Structure

    return Structure.from_sites([structure[i] for i in rng.permutation(len(structure))])


def _sheared(structure: Structure, rng: np.random.Generator) -> Structure:
    """The same lattice by other vectors."""
    return structure.copy().make_supercell([[1, 1, 0], [0, 1, 0], [0, int(rng.integers(1, 3)), 1]])


def _doubled(structure: Structure, rng: np.random.Generator) -> Structure:
    return structure.copy().make_supercell(1 + np.eye(3, dtype=int)[rng.integers(3)])


CHANGES: dict[str, Callable[[Structure, np.random.Generator], Structure]] = {
    "rotation": _rotated,
    "translation": _translated,
    "permutation": _permuted,
    "cell": _sheared,
    "supercell": _doubled,
}


def _jump(kind: Representation, structure: Structure, rng: np.random.Generator) -> float:
    """The largest change of the code over the median one, in steps of one atom by 0.001 Å."""
    direction = rng.normal(size=3)
    moving, rows = structure.copy(), [kind.row(structure)]
    for _ in range(_STEPS):
        step = _STEP * direction / np.linalg.norm(direction)
        moving = moving.copy().translate_sites([0], step, frac_coords=False)
        rows.append(kind.row(moving))
    steps = [float(np.linalg.norm(b - a)) for a, b in itertools.pairwise(rows)]
    usual = float(np.median(steps))
    if max(steps) < _STILL:
        return 0.0
    return max(steps) / usual if usual > _STILL else float("inf")
