"""Offspring of the lowest crystals that a campaign knows: variation and selection beside the GAN.

Two ways. Heredity takes a slab of one parent and the rest of another (Deaven and Ho, Phys. Rev. Lett. 75,
288, 1995; for crystals Glass, Oganov and Hansen, Comput. Phys. Commun. 175, 713, 2006). Slip moves a slab of
one parent within its plane, as between polytypes and in stacking faults.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.crystals.sublattices import hermite_normal_forms
from niobe.loop.crystals.validity import why_invalid
from niobe.surrogates.protocols import Sample, SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

_DRAWS_PER_SAMPLE = 60
_SLIPS = (0.0, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 3 / 4)
_FROM_FIRST = (0.3, 0.7)
_SHAKE = 0.05


@dataclass(frozen=True)
class Parent:
    """A relaxed crystal."""

    id: str
    structure: Structure


class Offspring:
    """Children of ``parents``, which come best first: the better, the more children. Implements Generator.

    Parents have no more atoms than will be asked for; one may be joined with itself.
    Of n parents the i-th is drawn with probability √((i+1)/n) − √(i/n). Children are shaken by 0.05 Å a
    coordinate, so that none rests on a saddle point.
    """

    name = "offspring"

    def __init__(self, parents: Sequence[Parent]) -> None:
        self._parents = parents

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n children inside the request; other draws are counted by what was wrong with them.

        seed: of everything drawn at random.
        """
        samples: list[Sample] = []
        rejected: Counter[str] = Counter()
        for draw in range(n * _DRAWS_PER_SAMPLE if self._parents else 0):
            if len(samples) == n:
                break
            child = self._child(request, np.random.default_rng([seed, draw]))
            reason = why_invalid(child.structure, request) if child else "empty slab"
            if child is None or reason:
                rejected[reason] += 1
            else:
                samples.append(child)
        return SampleBatch(tuple(samples), dict(rejected))

    def _child(self, request: SampleRequest, rng: np.random.Generator) -> Sample | None:
        one, other = self._draw(rng), self._draw(rng)
        first = in_larger_cell(one.structure, request.max_atoms, rng)
        if rng.random() < 1 / 2:
            moved = slip(first, rng)
            return None if moved is None else Sample(_shaken(moved, rng), {"parent": one.id, "way": "slip"})
        joined = heredity(first, in_larger_cell(other.structure, request.max_atoms, rng), rng)
        origin = {"parent": one.id, "other_parent": other.id, "way": "heredity"}
        return None if joined is None else Sample(_shaken(joined, rng), origin)

    def _draw(self, rng: np.random.Generator) -> Parent:
        return self._parents[int(len(self._parents) * rng.random() ** 2)]


def in_larger_cell(structure: Structure, max_atoms: int, rng: np.random.Generator) -> Structure:
    """The crystal in a Niggli cell of one of its sublattices, of any index with room in ``max_atoms``.

    structure: the crystal. rng: source of random numbers.
    """
    index = int(rng.integers(1, max_atoms // len(structure) + 1))
    sublattices = hermite_normal_forms(index)
    cell = structure.copy()
    cell.make_supercell(sublattices[int(rng.integers(len(sublattices)))], to_unit_cell=True)
    return cell.get_reduced_structure("niggli")


def slip(structure: Structure, rng: np.random.Generator) -> Structure | None:
    """The structure with a slab, between two planes drawn at random, moved by a simple fraction of its plane.

    None where the slab is empty, or everything, or moved by nothing.
    """
    axis = int(rng.integers(3))
    low, high = np.sort(rng.random(2))
    move = rng.choice(_SLIPS, size=3)
    move[axis] = 0.0
    places = structure.frac_coords % 1.0
    slab = (places[:, axis] > low) & (places[:, axis] < high)
    if slab.all() or not slab.any() or not move.any():
        return None
    return type(structure)(structure.lattice, structure.species, places + slab[:, None] * move)


def heredity(one: Structure, other: Structure, rng: np.random.Generator) -> Structure | None:
    """A slab of one crystal and the rest of the other, from places and along an axis drawn at random.

    The shape of the cell, and the volume per atom, lie between the parents', by the thickness of the slab.
    None where one of the two gives no site.

    rng: source of random numbers.
    """
    from pymatgen.core import Lattice, Structure

    axis, turned = int(rng.integers(3)), rng.permutation(3)
    share = float(rng.uniform(*_FROM_FIRST))
    places = (one.frac_coords + rng.random(3)) % 1.0
    others = (other.frac_coords[:, turned] + rng.random(3)) % 1.0
    kept, taken = places[:, axis] < share, others[:, axis] >= share
    if not kept.any() or not taken.any():
        return None
    lengths = share * np.array(one.lattice.abc) + (1 - share) * np.array(other.lattice.abc)[turned]
    angles = share * np.array(one.lattice.angles) + (1 - share) * np.array(other.lattice.angles)[turned]
    species = [s for s, k in zip(one.species, kept, strict=True) if k]
    species += [s for s, t in zip(other.species, taken, strict=True) if t]
    child = Structure(
        Lattice.from_parameters(*lengths, *angles), species, np.vstack([places[kept], others[taken]])
    )
    per_atom = share * one.volume / len(one) + (1 - share) * other.volume / len(other)
    child.scale_lattice(per_atom * len(child))
    return child


def _shaken(structure: Structure, rng: np.random.Generator) -> Structure:
    places = structure.cart_coords + rng.normal(0.0, _SHAKE, (len(structure), 3))
    return type(structure)(structure.lattice, structure.species, places, coords_are_cartesian=True)
