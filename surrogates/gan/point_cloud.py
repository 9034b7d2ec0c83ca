"""Crystals as a lattice and a cloud of points: a control for the symmetric representation.

Tokens: one atom's role each, then END to the last place. Geometry: lattice, then three coordinates an atom,
counted from the first. Nothing in it knows of symmetry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from niobe.surrogates.gan.conditions import MAX_ROLES
from niobe.surrogates.gan.representation import LATTICE, BoolArray, Crystal, IntArray, from_circle, to_circle
from niobe.surrogates.gan.wyckoff import lattice_numbers
from niobe.surrogates.protocols import FloatArray
from niobe.surrogates.representations.elements import atomic_volume

if TYPE_CHECKING:
    from pymatgen.core import Structure

MAX_ATOMS = 20
END = MAX_ROLES
_SAME_PLACE = 0.01  # Å: what is displaced further makes a crystal of its own, and a larger cell


class PointCloud:
    """Implements Representation on Niggli-reduced primitive cells."""

    name = "point_cloud"
    length = MAX_ATOMS
    vocabulary = END + 1
    width = LATTICE + 6 * MAX_ATOMS
    n_features = MAX_ATOMS * MAX_ROLES
    repeats = True

    def encode(self, structure: Structure, elements: tuple[str, ...]) -> tuple[IntArray, FloatArray] | None:
        """See Representation.encode: (length,) and (width,); None for more than MAX_ATOMS atoms."""
        reduced = structure.get_primitive_structure(tolerance=_SAME_PLACE).get_reduced_structure()
        if len(reduced) > MAX_ATOMS:
            return None
        roles = np.array([elements.index(site.specie.symbol) for site in reduced])
        order = np.lexsort([*reduced.frac_coords.T[::-1], roles])
        tokens = np.full(self.length, END)
        tokens[: len(reduced)] = roles[order]
        geometry = np.zeros(self.width)
        geometry[:LATTICE] = lattice_numbers(reduced)
        cloud = reduced.frac_coords[order] - reduced.frac_coords[order[0]]
        geometry[LATTICE : LATTICE + 6 * len(reduced)] = to_circle(cloud)
        return tokens, geometry

    def decode(self, tokens: IntArray, geometries: FloatArray, elements: tuple[str, ...]) -> list[Crystal]:
        """See Representation.decode.

        tokens: (length,). geometries: (n, width). elements: symbols by role.
        """
        found = [self._decode_one(tokens, geometry, elements) for geometry in geometries]
        return [crystal for crystal in found if crystal is not None]

    def _decode_one(
        self, tokens: IntArray, geometry: FloatArray, elements: tuple[str, ...]
    ) -> Crystal | None:
        from pymatgen.core import Lattice

        symbols = tuple(elements[token] for token in tokens if token != END)
        log_volume, log_b, log_c, *cosines = np.clip(geometry[:LATTICE], -2, 2)
        angles = np.degrees(np.arccos(np.clip(cosines, -0.7, 0.7)))
        shape = Lattice.from_parameters(1.0, np.exp(log_b), np.exp(log_c), *angles)
        if not np.isfinite(shape.volume) or shape.volume < 0.1 * np.exp(log_b + log_c):
            return None
        volume = sum(atomic_volume(symbol) for symbol in symbols) * np.exp(np.clip(log_volume, -0.8, 1.2))
        cloud = from_circle(geometry[LATTICE:])[: len(symbols)]
        return Crystal(shape.matrix * (volume / shape.volume) ** (1 / 3), cloud, symbols)

    def allowed(self, tokens: IntArray, step: int, roles: int, most: int) -> BoolArray:
        """See Representation.allowed: roles in order, none left out.

        tokens: (n, length), known before ``step``. roles: elements that must all be used. most: atoms.
        """
        before = tokens[:, step - 1] if step else np.zeros(len(tokens), dtype=np.int64)
        numbers = np.arange(self.vocabulary)[None, :]
        next_role = before[:, None] + (1 if step else 0)
        mask = (numbers >= before[:, None]) & (numbers <= next_role) & (numbers < min(roles, END))
        mask[:] &= step < most
        complete = (before >= roles - 1) & (step > 0)
        mask[:, END] = complete | ~mask.any(axis=1)
        return mask

    def free(self, tokens: IntArray) -> FloatArray:
        """See Representation.free: all but the first atom's place, (n, width)."""
        atoms = np.repeat((tokens != END).astype(float), 6, axis=1)
        atoms[:, :6] = 0.0
        return np.concatenate([np.ones((len(tokens), LATTICE)), atoms], axis=1)

    def features(self, tokens: IntArray) -> FloatArray:
        """See Representation.features, (n, n_features): the role of each atom."""
        return np.eye(MAX_ROLES + 1)[tokens][:, :, :MAX_ROLES].reshape(len(tokens), -1)
