"""Children of dynamically unstable structures: follow an imaginary mode in the smallest cell that holds it.

The atom at r moves by Re(e exp(2πi q·r)) / √m, the convention of phonopy's eigenvectors (Togo and Tanaka,
Scr. Mater. 108, 1, 2015), scaled so that the largest move is the amplitude. Its phase is free: translations
by cells turn it by 2π over the number of cells that hold q, and between two such turns the children differ.
Smallest commensurate cells after Lloyd-Williams and Monserrat, Phys. Rev. B 92, 184301 (2015).
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.loop.crystals.sublattices import cells_holding, hermite_normal_forms
from niobe.surrogates.protocols import FloatArray, Sample, SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

AMPLITUDES = (0.08, 0.15, 0.25, 0.4, 0.6)
Energy = Callable[["Structure"], float]
_DEGENERATE = 0.05
_MIN_DROP = 1e-4
_ROUNDING = 1e-6


@dataclass(frozen=True)
class SoftParent:
    """An unstable structure and its imaginary modes, as PhononRecord stores both."""

    id: str
    structure: Structure
    modes: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Direction:
    """Where to go from a parent: a mode, or an even mixture of two of equal frequency. frequency: THz.

    vector: mass-weighted eigenvector, complex, shape (3N,).
    """

    number: str
    q: tuple[float, float, float]
    frequency: float
    vector: NDArray[np.complex128]


def commensurate_cell(q: Sequence[float], structure: Structure) -> NDArray[np.int64]:
    """The smallest supercell S (rows: vectors) with S q integer, of these the most compact. Shape (3, 3).

    Raises ValueError for a q that no such cell holds, see ``cells_holding``.
    """
    cells = [np.array(s) for s in hermite_normal_forms(cells_holding(q))]
    fitting = [s for s in cells if np.abs(s @ q - np.round(s @ q)).max() < _ROUNDING]
    return min(fitting, key=lambda s: _longest_vector(s @ structure.lattice.matrix))


def follow(structure: Structure, direction: Direction, amplitude: float, phase: float = 0.0) -> Structure:
    """The structure displaced along one direction (amplitude in Å), in its smallest commensurate cell.

    phase: in radians, from where the largest component is real.
    """
    child = structure.copy()
    child.add_site_property("atom", list(range(len(structure))))
    child.make_supercell(commensurate_cell(direction.q, structure), to_unit_cell=False)
    atoms = np.array(child.site_properties["atom"])
    places = structure.lattice.get_fractional_coords(child.cart_coords)
    child.remove_site_property("atom")
    moves = _moves(structure, direction)[atoms] * np.exp(2j * np.pi * (places @ direction.q))[:, None]
    real = (_most_real(moves) * np.exp(1j * phase)).real
    real *= amplitude / np.linalg.norm(real, axis=1).max()
    for index, move in enumerate(real):
        child.translate_sites([index], move, frac_coords=False)
    return child


def directions(modes: Sequence[Mapping[str, Any]]) -> list[Direction]:
    """Each mode, and the sum and difference of each two modes of one q and one frequency; softest first."""
    alone = [
        Direction(str(number), _point(mode["q"]), float(mode["frequency"]), _vector(mode))
        for number, mode in enumerate(modes)
    ]
    mixed = [
        Direction(f"{one.number}{sign}{two.number}", one.q, one.frequency, mixture / math.sqrt(2))
        for i, one in enumerate(alone)
        for two in alone[i + 1 :]
        if one.q == two.q and abs(one.frequency - two.frequency) < _DEGENERATE
        for sign, mixture in (("+", one.vector + two.vector), ("-", one.vector - two.vector))
    ]
    return sorted([*alone, *mixed], key=lambda d: d.frequency)


@dataclass(frozen=True)
class Child:
    """A displaced structure: amplitude in Å, phase in radians, drop in energy in eV/atom."""

    structure: Structure
    amplitude: float
    phase: float
    drop: float


def lowest_child(structure: Structure, direction: Direction, energy: Energy) -> Child | None:
    """The child of lowest energy over amplitudes and phases, the smallest amplitude where some are equal.

    None where every child is as high as the parent. ``energy`` answers in eV/atom, infinite where it cannot.

    structure: the crystal. direction: displacement of every atom, shape (n, 3), Å.
    """
    undistorted = energy(structure)
    ways = list(itertools.product(AMPLITUDES, phases(direction.q)))
    children = [follow(structure, direction, *way) for way in ways]
    drops = [undistorted - energy(child) for child in children]
    best = int(np.argmax(np.round(drops, 7)))
    return Child(children[best], *ways[best], drops[best]) if drops[best] > _MIN_DROP else None


def phases(q: Sequence[float]) -> tuple[float, ...]:
    """The phases, in radians, at which the child of a mode is most symmetric: none turns into another.

    At Γ that is a change of sign; where two cells hold q, a quarter turn would leave nothing.
    """
    cells = cells_holding(q)
    return (0.0,) if cells == 2 else (0.0, math.pi / cells)


class SoftModes:
    """Candidates from imaginary modes, softest parents first; each carries its parent in its lineage.

    energy: eV/atom of a structure as it stands; it chooses the amplitude.
    """

    name = "soft_mode"

    def __init__(self, parents: Sequence[SoftParent], energy: Energy) -> None:
        self._parents, self._energy = parents, energy

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n children inside the request, one direction of every parent before the next of any.

        Parents in turn start at one drawn by ``seed``.
        """
        samples: list[Sample] = []
        rejected: Counter[str] = Counter()
        for parent, direction in self._in_turn(seed):
            if len(samples) == n:
                break
            reason = _why_outside(parent.structure, direction, request)
            found = None if reason else lowest_child(parent.structure, direction, self._energy)
            if found is None:
                rejected[reason or "no lower energy"] += 1
            else:
                samples.append(_sample(parent, direction, found))
        return SampleBatch(tuple(samples), dict(rejected))

    def _in_turn(self, seed: int) -> Iterator[tuple[SoftParent, Direction]]:
        if not self._parents:
            return
        start = int(np.random.default_rng(seed).integers(len(self._parents)))
        turned = [*self._parents[start:], *self._parents[:start]]
        ways = [(parent, directions(parent.modes)) for parent in turned]
        for depth in range(max(len(found) for _, found in ways)):
            yield from ((parent, found[depth]) for parent, found in ways if depth < len(found))


def _why_outside(structure: Structure, direction: Direction, request: SampleRequest) -> str:
    if not request.allows(structure.composition.get_el_amt_dict()):
        return "composition"
    atoms = len(structure) * cells_holding(direction.q)
    return "" if request.min_atoms <= atoms <= request.max_atoms else "size"


def _sample(parent: SoftParent, direction: Direction, child: Child) -> Sample:
    origin: dict[str, str | int | float] = {
        "parent": parent.id,
        "mode": direction.number,
        "frequency": direction.frequency,
        "q": " ".join(f"{component:.4g}" for component in direction.q),
        "amplitude": child.amplitude,
        "phase": round(child.phase, 4),
        "energy_drop": round(child.drop, 6),
    }
    return Sample(child.structure, origin)


def _point(q: Sequence[float]) -> tuple[float, float, float]:
    x, y, z = (float(component) for component in q)
    return x, y, z


def _vector(mode: Mapping[str, Any]) -> NDArray[np.complex128]:
    return np.asarray(np.array(mode["real"]) + 1j * np.array(mode["imag"]))


def _longest_vector(matrix: FloatArray) -> float:
    from pymatgen.core import Lattice

    return max(Lattice(matrix).get_lll_reduced_lattice().abc)


def _moves(structure: Structure, direction: Direction) -> NDArray[np.complex128]:
    """The eigenvector divided by the square root of the masses, shape (N, 3)."""
    masses = np.array([float(site.specie.atomic_mass) for site in structure])
    return np.asarray(direction.vector.reshape(-1, 3) / np.sqrt(masses)[:, None])


def _most_real(moves: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """The moves at the phase that makes the largest component real."""
    largest = moves.flat[int(np.abs(moves).argmax())]
    return np.asarray(moves * np.exp(-1j * np.angle(largest)))
