"""How a crystal is written for the networks: a sequence of choices, and numbers that go with them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]
LATTICE = 6


@dataclass(frozen=True)
class Crystal:
    """One primitive cell. lattice: (3, 3) in Å; coordinates: fractional, (n, 3); symbols: n elements."""

    lattice: FloatArray
    coordinates: FloatArray
    symbols: tuple[str, ...]

    @classmethod
    def of(cls, structure: Structure) -> Crystal:
        """The same cell as a crystal."""
        symbols = tuple(site.specie.symbol for site in structure)
        return cls(np.array(structure.lattice.matrix), np.array(structure.frac_coords), symbols)

    def structure(self) -> Structure:
        """The same as a pymatgen structure."""
        from pymatgen.core import Structure

        return Structure(self.lattice, self.symbols, self.coordinates)


class Representation(Protocol):
    """A skeleton of ``length`` tokens below ``vocabulary``, then ``width`` numbers of geometry.

    geometry: LATTICE numbers, then a cosine and a sine for each periodic coordinate. ``n_features`` numbers
    describe a skeleton to the networks; its first token they embed. ``repeats``: whether one skeleton may
    stand for many crystals, or is worth one sample.
    """

    name: str
    length: int
    vocabulary: int
    width: int
    n_features: int
    repeats: bool

    def encode(self, structure: Structure, elements: tuple[str, ...]) -> tuple[IntArray, FloatArray] | None:
        """Tokens (length,) and geometry (width,), elements in the order of roles; None where it has none."""

    def decode(self, tokens: IntArray, geometries: FloatArray, elements: tuple[str, ...]) -> list[Crystal]:
        """Primitive cells of one skeleton in several geometries (n, width), without those that close up.

        tokens: (length,). elements: symbols by role.
        """

    def allowed(self, tokens: IntArray, step: int, roles: int, most: int) -> BoolArray:
        """Which tokens may stand at ``step`` after ``tokens[:, :step]``; at least one. Shape (n, vocabulary).

        roles: how many elements must all be used. most: atoms in the primitive cell, at most.
        """

    def free(self, tokens: IntArray) -> FloatArray:
        """1 where a number of the geometry is not fixed by the skeleton. Shape (n, width)."""

    def features(self, tokens: IntArray) -> FloatArray:
        """Skeletons as numbers. Shape (n, n_features)."""


def to_circle(coordinates: FloatArray) -> FloatArray:
    """Cosine and sine of each fractional coordinate, side by side: periodic without a seam.

    coordinates: (n, 3). Shape of the answer: (6n,).
    """
    angles = 2 * np.pi * np.asarray(coordinates).reshape(-1)
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1).reshape(-1)


def from_circle(pairs: FloatArray) -> FloatArray:
    """Fractional coordinates in [0, 1), shape (n, 3), of cosines and sines."""
    cosine, sine = pairs.reshape(-1, 2).T
    return np.asarray(np.arctan2(sine, cosine) / (2 * np.pi) % 1).reshape(-1, 3)
