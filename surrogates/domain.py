"""Where a surrogate may answer, and how much less it knows there: elements, geometry, features and chemistry.

Distance in a model's own representation after Janet et al., Chem. Sci. 10, 7913 (2019); it alone does not see
a crystal that is squeezed, blown up or shaken, so volume and contacts are judged against what the composition
leads to expect; nor what kinds of chemistry differ by, docs/decisions/0141.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.anions import Flags, chemistries, combines, held_kinds
from niobe.surrogates.identity import OutdatedCheckpointError
from niobe.surrogates.representations.composition import fractions
from niobe.surrogates.representations.descriptor import geometry

if TYPE_CHECKING:
    from pymatgen.core import Structure

FloatArray = NDArray[np.float64]
_REACH = 3.0
_JUDGED = 2000
_RIDGE = 1e-3
_FEWEST = 12
# Chosen by tests/benchmarks/test_domain.py: the share of training rows whose geometry is within reach, which
# is farther by _FEW / n as n rows tell little of it.
_WITHIN, _FEW = 0.97, 10.0


@dataclass(frozen=True)
class Geometry:
    """Volume and contacts as the composition leads to expect them, and how far from that training rows lie.

    weights: (103, 5) and offset: (5,), a linear fit on element fractions. whitening: (5, 5), of what it
    leaves. reach: distance beyond which a geometry is unlike any trained on; infinite for few rows.
    """

    weights: FloatArray
    offset: FloatArray
    whitening: FloatArray
    reach: float

    @classmethod
    def fit(cls, shares: FloatArray, rows: FloatArray) -> Geometry:
        """From element fractions (n, 103) and ``geometry`` (n, 5)."""
        from sklearn.covariance import LedoitWolf
        from sklearn.linear_model import Ridge

        fitted = Ridge(_RIDGE * len(rows)).fit(shares, rows)
        left = rows - fitted.predict(shares)
        spread = LedoitWolf(assume_centered=True).fit(left).covariance_ + 1e-6 * np.eye(rows.shape[1])
        found = cls(fitted.coef_.T, fitted.intercept_, np.linalg.cholesky(np.linalg.inv(spread)), np.inf)
        if len(rows) < _FEWEST:
            return found
        reach = (1 + _FEW / len(rows)) * float(np.quantile(found.distance(shares, rows), _WITHIN))
        return cls(found.weights, found.offset, found.whitening, reach)

    def distance(self, shares: FloatArray, rows: FloatArray) -> FloatArray:
        """Mahalanobis distance (n,) of ``geometry`` (n, 5) from what fractions (n, 103) lead to expect."""
        left = rows - shares @ self.weights - self.offset
        return np.asarray(np.linalg.norm(left @ self.whitening, axis=1))


@dataclass(frozen=True)
class Chemistry:
    """How often elements were seen together.

    pairs: (103, 103), training rows that hold both elements; on the diagonal, either. usual: what the middle
    one of the training rows lacks.
    """

    pairs: FloatArray
    usual: float

    @classmethod
    def fit(cls, shares: FloatArray) -> Chemistry:
        """From element fractions (n, 103)."""
        present = (shares > 0).astype(float)
        found = cls(present.T @ present, 1.0)
        return cls(found.pairs, float(np.median(found.lacking(shares, own=True))))

    def lacking(self, shares: FloatArray, *, own: bool = False) -> FloatArray:
        """Mean of 1/√(1 + rows that hold both) over pairs of different atoms, from 1 (none) to 0. Shape (n,).

        shares: (n, 103). own: they are training rows, which do not count for themselves.
        """
        rare = 1 / np.sqrt(np.maximum(1 + self.pairs - own, 1))
        alone, same = shares.max(axis=1) > 1 - 1e-9, (shares**2) @ np.diag(rare)
        both = np.einsum("ni,ij,nj->n", shares, rare, shares, optimize=True)
        different = 1 - (shares**2).sum(axis=1)
        return np.asarray(np.where(alone, same, (both - same) / np.where(alone, 1.0, different)))


class Domain:
    """What a surrogate was trained on.

    rows: (n, d), a model's features. elements: symbols seen. kinds: of nonmetals seen together, (k, 7).
    chemistry, geometry: what is expected of both.
    """

    def __init__(
        self,
        rows: FloatArray,
        elements: frozenset[str],
        kinds: Flags,
        chemistry: Chemistry,
        geometry: Geometry,
    ) -> None:
        self.rows, self.elements, self.kinds = rows, elements, kinds
        self.chemistry, self.geometry = chemistry, geometry
        self._mean, self._std = rows.mean(0), rows.std(0) + 1e-6
        self._search: Any = None
        self._reach = float("inf")

    @classmethod
    def fit(cls, structures: Sequence[Structure], rows: FloatArray) -> Domain:
        """From training structures and their features (n, d)."""
        shares = fractions(structures)
        fitted = Geometry.fit(shares, geometry(structures))
        kinds = np.unique(held_kinds(shares), axis=0)
        return cls(rows, elements_of(structures), kinds, Chemistry.fit(shares), fitted)

    def arrays(self) -> dict[str, FloatArray]:
        """What a checkpoint keeps, the elements aside; rows have the shape (n, d), as fitted."""
        held = self.geometry
        return {
            "domain.rows": np.ascontiguousarray(self.rows),
            "domain.kinds": self.kinds.astype(float),
            "domain.pairs": self.chemistry.pairs,
            "domain.weights": np.ascontiguousarray(held.weights),
            "domain.offset": held.offset,
            "domain.whitening": np.ascontiguousarray(held.whitening),
            "domain.usual": np.array([held.reach, self.chemistry.usual]),
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, FloatArray], elements: Sequence[str]) -> Domain:
        """From ``arrays``, of the shapes given there, and the elements.

        Raises OutdatedCheckpointError for those of a Niobe that kept no geometry or no chemistry.
        """
        for key, what in (("domain.usual", "geometry"), ("domain.kinds", "kinds of nonmetals")):
            if key not in arrays:
                raise OutdatedCheckpointError(f"of an older Niobe, whose domain saw no {what}")
        weights, offset, whitening = (arrays[f"domain.{n}"] for n in ("weights", "offset", "whitening"))
        reach, usual = map(float, arrays["domain.usual"])
        held = Geometry(weights, offset, whitening, reach)
        chemistry = Chemistry(arrays["domain.pairs"], usual)
        kinds = arrays["domain.kinds"] > 0
        return cls(arrays["domain.rows"], frozenset(elements), kinds, chemistry, held)

    def scaled(self, rows: FloatArray) -> FloatArray:
        """Rows (n, d) with the training rows' mean and spread taken out."""
        return np.asarray((rows - self._mean) / self._std)

    def distance(self, rows: FloatArray) -> FloatArray:
        """Distance to the nearest training row over the reach; above 1 is outside. Shape (n,)."""
        if self._search is None:
            self._learn()
        return np.asarray(self._search.kneighbors(self.scaled(rows), 1)[0][:, 0] / self._reach)

    def holds(self, structures: Sequence[Structure], rows: FloatArray) -> NDArray[np.bool_]:
        """Which structures, with their rows, lie inside. Shape (n,)."""
        seen = np.array([{e.symbol for e in s.composition} <= self.elements for s in structures], dtype=bool)
        if not len(rows):
            return seen
        shares = fractions(structures)
        usual = self.geometry.distance(shares, geometry(structures)) <= self.geometry.reach
        return seen & usual & combines(held_kinds(shares), self.kinds) & (self.distance(rows) <= 1.0)

    def strain(self, structures: Sequence[Structure], *, trained: bool = False) -> FloatArray:
        """How much wider than usual an interval has to be, at least 1: elements rarely seen together. (n,).

        structures: n. trained: they are training rows, which are compared with the others.
        """
        if not structures:
            return np.empty(0)
        lacking = self.chemistry.lacking(fractions(structures), own=trained)
        return np.asarray(np.maximum(lacking / self.chemistry.usual, 1.0))

    def _learn(self) -> None:
        """The reach: three times the gap that 90 % of training rows have to their nearest other."""
        from sklearn.neighbors import NearestNeighbors

        scaled = self.scaled(self.rows)
        self._search = NearestNeighbors(algorithm="brute").fit(scaled)
        if len(scaled) > 1:
            some = scaled[:: max(len(scaled) // _JUDGED, 1)]
            gaps = self._search.kneighbors(some, 2)[0][:, 1]
            self._reach = _REACH * max(float(np.quantile(gaps, 0.9)), 1.0)


def chemistries_of(structures: Sequence[Structure]) -> NDArray[np.str_]:
    """The kind of chemistry of each structure, (n,): oxide, halide, metallic and so on."""
    return chemistries(fractions(structures))


def elements_of(structures: Sequence[Structure]) -> frozenset[str]:
    """Symbols of all elements in the structures."""
    return frozenset(element.symbol for s in structures for element in s.composition)
