"""The lower convex hull of formation energies over compositions: heights, and products of decay.

Heights from the facets that qhull finds (Barber, Dobkin and Huhdanpaa, ACM Trans. Math. Softw. 22, 469,
1996), for the many hulls of a Monte Carlo; products from the linear programme that defines them (Akbarzadeh,
Ozolins and Wolverton, Adv. Mater. 19, 3233, 2007).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.protocols import FloatArray

_ROUNDING = 12  # decimals of atomic fractions
_FLAT = 1e-9  # eV/atom: what lies less below the elements is no vertex
_VERTICAL = 1e-6  # of a facet's unit normal: less along the energy is a side of the simplex
_LEAST_AMOUNT = 1e-6  # atomic fraction of a product
_CHUNK = 4_000_000  # heights held at once


class Hull:
    """Lower convex hulls over rows of fixed compositions, for many sets of formation energies.

    The elements take part with a formation energy of at most 0. No input is too degenerate: no compound, one
    composition, points that coincide, lie in one plane or by 1e-12 beside it.
    """

    def __init__(
        self,
        compositions: Sequence[Mapping[str, float]],
        elements: Sequence[str],
        of_rows: NDArray[np.int64] | None = None,
    ) -> None:
        """compositions: n mappings of symbol to atomic fraction, of ``elements`` (k) only. of_rows: which of
        these each row has; if None each has its own."""
        rows = [[c.get(symbol, 0.0) for symbol in elements] for c in compositions]
        given = np.array(rows, dtype=float).reshape(len(rows), len(elements))
        points = np.vstack([given, np.eye(len(elements))]).round(_ROUNDING)
        self._points, places = np.unique(points, axis=0, return_inverse=True)
        of_compositions = places.ravel()[: len(rows)]
        self._places = of_compositions if of_rows is None else of_compositions[of_rows]
        self._corners = places.ravel()[len(rows) :]

    def level(self, energies: FloatArray) -> FloatArray:
        """The hull that formation energies (n,), eV/atom, make with the elements, at each row, (n,).

        A row of infinite energy takes no part.
        """
        return self._heights(self._lowest(energies))[self._places]

    def products(self, energies: FloatArray, row: int) -> dict[int, float]:
        """What the hull of ``energies`` (n,), eV/atom, consists of at a row's composition.

        Atomic share of each row that takes part, the first of those as low at one composition; an element
        that no row holds, or none below 0, is left out.
        """
        from scipy.optimize import linprog

        lowest = self._lowest(energies)
        bound = np.flatnonzero(self._may_be_vertex(lowest))
        target = self._points[self._places[row]]
        found = linprog(lowest[bound], A_eq=self._points[bound].T, b_eq=target, method="highs")
        shares = dict(zip(bound.tolist(), found.x.tolist(), strict=True))
        first = self._first_rows(energies, lowest)
        return {
            first[point]: share for point, share in shares.items() if share > _LEAST_AMOUNT and point in first
        }

    def _lowest(self, energies: FloatArray) -> FloatArray:
        """The lowest energy at each distinct composition."""
        lowest = np.full(len(self._points), np.inf)
        np.minimum.at(lowest, self._places, energies)
        lowest[self._corners] = np.minimum(lowest[self._corners], 0.0)
        return lowest

    def _first_rows(self, energies: FloatArray, lowest: FloatArray) -> dict[int, int]:
        first: dict[int, int] = {}
        for row in np.flatnonzero(energies <= lowest[self._places] + _FLAT).tolist():
            first.setdefault(int(self._places[row]), row)
        return first

    def _may_be_vertex(self, lowest: FloatArray) -> NDArray[np.bool_]:
        """The elements, and what lies below the mixture of elements: no other is ever on the hull."""
        below = lowest < self._points @ lowest[self._corners] - _FLAT
        below[self._corners] = True
        return np.asarray(below)

    def _heights(self, lowest: FloatArray) -> FloatArray:
        """The hull at every distinct composition."""
        mixture = self._points @ lowest[self._corners]
        vertices = self._may_be_vertex(lowest)
        if vertices.sum() == len(self._corners):  # nothing below the elements
            return np.asarray(mixture)
        flat = self._points[:, 1:]
        planes = _lower_planes(np.column_stack([flat[vertices], (lowest - mixture)[vertices]]))
        step = max(1, _CHUNK // len(planes))
        parts = [
            (flat[start : start + step] @ planes[:, :-1].T + planes[:, -1]).max(axis=1)
            for start in range(0, len(flat), step)
        ]
        return np.asarray(mixture + np.minimum(np.concatenate(parts), 0.0))


def _lower_planes(points: FloatArray) -> FloatArray:
    """Slopes and offset (f, k) of the planes of all lower facets of points (n, k), energy last.

    A point high above the middle makes the body full-dimensional whatever lies below. Where coincidence
    within rounding defeats qhull it moves the points by about 1e-11 (its option QJ).
    """
    from scipy.spatial import ConvexHull, QhullError

    apex = np.append(points[:, :-1].mean(axis=0), 1.0 + points[:, -1].max())
    body = np.vstack([points, apex])
    try:
        facets = ConvexHull(body).equations
    except QhullError:
        facets = ConvexHull(body, qhull_options="QJ").equations
    facets = np.unique(facets, axis=0)
    lower = facets[facets[:, -2] < -_VERTICAL]
    return np.asarray(-np.delete(lower, -2, axis=1) / lower[:, -2:-1])
