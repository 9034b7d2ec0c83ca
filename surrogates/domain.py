"""Where a surrogate may answer, and how much less it knows there: elements, geometry, features and chemistry.

Distance in a model's own representation after Janet et al., Chem. Sci. 10, 7913 (2019); it alone does not see
a crystal that is squeezed, blown up or shaken, so volume and contacts are judged against what the composition
leads to expect; nor what kinds of chemistry differ by, docs/decisions/0141.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.anions import KINDS, Flags, chemistries, combines, held_kinds
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

    rows: (n, d), a model's features. elements: symbols seen. kinds: of nonmetals seen together, (k, 8).
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
        self._reach: float | None = None

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
            "domain.reach": np.array([self._reach_of_rows()]),
        }

    @classmethod
    def restored(cls, arrays: Mapping[str, FloatArray], elements: Sequence[str]) -> Domain:
        """From ``arrays``, of the shapes given there, and the elements.

        Raises OutdatedCheckpointError for those of a Niobe that kept no geometry or no chemistry.
        """
        for key, what in (("domain.usual", "geometry"), ("domain.kinds", "kinds of nonmetals")):
            if key not in arrays:
                raise OutdatedCheckpointError(f"of an older Niobe, whose domain saw no {what}")
        if arrays["domain.kinds"].shape[1] != len(KINDS):
            raise OutdatedCheckpointError("of an older Niobe, which knew other kinds of nonmetals")
        weights, offset, whitening = (arrays[f"domain.{n}"] for n in ("weights", "offset", "whitening"))
        reach, usual = map(float, arrays["domain.usual"])
        held = Geometry(weights, offset, whitening, reach)
        chemistry = Chemistry(arrays["domain.pairs"], usual)
        kinds = arrays["domain.kinds"] > 0
        found = cls(arrays["domain.rows"], frozenset(elements), kinds, chemistry, held)
        if "domain.reach" in arrays:
            (found._reach,) = map(float, arrays["domain.reach"])
        return found

    def scaled(self, rows: FloatArray) -> FloatArray:
        """Rows (n, d) with the training rows' mean and spread taken out."""
        return np.asarray((rows - self._mean) / self._std)

    def distance(self, rows: FloatArray, *, trained: bool = False) -> FloatArray:
        """Distance to the nearest training row over the reach; above 1 is outside. Shape (n,).

        rows: (n, d). trained: they are training rows, which are compared with the others.
        """
        nearest = self._nearest.kneighbors(self.scaled(rows), min(1 + trained, len(self.rows)))[0][:, -1]
        return np.asarray(nearest / self._reach_of_rows())

    def holds(
        self, structures: Sequence[Structure], rows: FloatArray, *, trained: bool = False
    ) -> NDArray[np.bool_]:
        """Which structures, with their rows (n, d), lie inside. Shape (n,).

        trained: they are training rows, and asked for as if the others alone had been trained on; kinds of
        nonmetals aside, of which few have a single row.
        """
        if not structures:
            return np.empty(0, dtype=bool)
        shares = fractions(structures)
        seen = ((shares > 0) <= (self.chemistry.pairs.diagonal() > trained)).all(axis=1)
        usual = self.geometry.distance(shares, geometry(structures)) <= self.geometry.reach
        near = self.distance(rows, trained=trained) <= 1.0
        return np.asarray(seen & usual & near & combines(held_kinds(shares), self.kinds))

    def strain(self, structures: Sequence[Structure], *, trained: bool = False) -> FloatArray:
        """How much wider than usual an interval has to be, at least 1: elements rarely seen together. (n,).

        structures: n. trained: they are training rows, which are compared with the others.
        """
        if not structures:
            return np.empty(0)
        lacking = self.chemistry.lacking(fractions(structures), own=trained)
        return np.asarray(np.maximum(lacking / self.chemistry.usual, 1.0))

    @cached_property
    def _nearest(self) -> Any:
        from sklearn.neighbors import NearestNeighbors

        return NearestNeighbors(algorithm="brute").fit(self.scaled(self.rows))

    def _reach_of_rows(self) -> float:
        """Three times the gap that 90 % of training rows have to their nearest other; found once, as all are
        compared with each other for it, and kept with a checkpoint."""
        if self._reach is None:
            self._reach = float("inf")
            if len(self.rows) > 1:
                some = self.scaled(self.rows[:: max(len(self.rows) // _JUDGED, 1)])
                gaps = self._nearest.kneighbors(some, 2)[0][:, 1]
                self._reach = _REACH * max(float(np.quantile(gaps, 0.9)), 1.0)
        return self._reach


@dataclass(frozen=True)
class Trained:
    """Of training rows, (n,): their strain, kind of crystal, and whether they lie within reach of the others.

    An interval is fitted to errors of those that do: of the others nobody is told anything.
    """

    strain: FloatArray
    kinds: NDArray[np.str_]
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, domain: Domain, structures: Sequence[Structure], rows: FloatArray) -> Trained:
        """From training structures and their features. rows: (n, d). domain: of them and the others."""
        inside = domain.holds(structures, rows, trained=True)
        return cls(domain.strain(structures, trained=True), chemistries_of(structures), inside)

    def at(self, chosen: NDArray[np.bool_]) -> Trained:
        """Of the rows chosen, (n,)."""
        return Trained(self.strain[chosen], self.kinds[chosen], self.inside[chosen])


def chemistries_of(structures: Sequence[Structure]) -> NDArray[np.str_]:
    """The kind of chemistry of each structure, (n,): oxide, halide, metallic and so on."""
    return chemistries(fractions(structures))


def elements_of(structures: Sequence[Structure]) -> frozenset[str]:
    """Symbols of all elements in the structures."""
    return frozenset(element.symbol for s in structures for element in s.composition)
