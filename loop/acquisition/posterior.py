"""Posteriors over a pool, and how they sharpen once a value is taken as known."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from botorch.models import SingleTaskGP

Rows = NDArray[np.int64]
_SURE, _NUGGET = 1e-6, 2e-3
_LENGTH = 0.5  # docs/decisions/0094
_CHUNK = 4096
_MOST_OBSERVED = 1500


class Posterior(Protocol):
    """Independent normals at n candidates, of the value to maximise (−e_above_hull, eV/atom)."""

    @property
    def mean(self) -> FloatArray:
        """Shape (n,)."""

    @property
    def std(self) -> FloatArray:
        """Shape (n,)."""

    def given(self, index: int) -> Posterior:
        """The posterior if the value at ``index`` were known to be its mean."""

    def given_at(self, features: FloatArray) -> Posterior:
        """The posterior if the value at a point outside the pool, features (d,), were known."""

    def take(self, rows: Rows) -> Posterior:
        """The posterior of some candidates, by integer index."""


@dataclass(frozen=True)
class EnsemblePosterior:
    """The surrogate's mean and std, made joint: errors correlate by a Gaussian kernel on features (n, d).

    scale: std before any value was taken as known, (n,). known: features of those values, (m, d); related:
    their correlation with the candidates, (n, m).
    """

    mean: FloatArray
    std: FloatArray
    features: FloatArray
    scale: FloatArray
    known: FloatArray
    related: FloatArray

    @classmethod
    def of(cls, mean: FloatArray, std: FloatArray, features: FloatArray) -> EnsemblePosterior:
        """Nothing is taken as known yet. mean, std: eV/atom, (n,). features: (n, d)."""
        nothing = np.empty((0, features.shape[1]))
        return cls(mean, std, features, std, nothing, np.empty((len(mean), 0)))

    def given(self, index: int) -> EnsemblePosterior:
        """See Posterior."""
        return self.given_at(self.features[index])

    def given_at(self, features: FloatArray) -> EnsemblePosterior:
        """See Posterior. The variance left is that of a Gaussian process with a nugget of 0.002.

        features: (d,).
        """
        known = np.vstack([self.known, features])
        related = np.column_stack([self.related, _correlation(self.features, features)])
        among = np.array([_correlation(known, row) for row in known]) + _NUGGET * np.eye(len(known))
        explained = np.einsum("nm,nm->n", related @ np.linalg.inv(among), related)
        std = np.maximum(self.scale * np.sqrt(np.clip(1 - explained, 0.0, 1.0)), _SURE)
        return replace(self, std=std, known=known, related=related)

    def take(self, rows: Rows) -> EnsemblePosterior:
        """See Posterior."""
        return replace(
            self,
            mean=self.mean[rows],
            std=self.std[rows],
            features=self.features[rows],
            scale=self.scale[rows],
            related=self.related[rows],
        )


def _correlation(features: FloatArray, point: FloatArray) -> FloatArray:
    """exp(−d²/2Dℓ²) for the distance d of each row of (n, D) to a point, ℓ = ½; shape (n,)."""
    squared = np.square(features - point).sum(axis=1)
    return np.asarray(np.exp(-squared / (2 * features.shape[1] * _LENGTH**2)))


@dataclass(frozen=True)
class GaussianProcess:
    """BoTorch's SingleTaskGP on features (n, d), evaluated in chunks so that memory stays bounded."""

    model: SingleTaskGP
    features: FloatArray
    mean: FloatArray
    std: FloatArray

    @classmethod
    def fit(
        cls, observed: FloatArray, values: FloatArray, features: FloatArray, *, seed: int
    ) -> GaussianProcess:
        """Fit on observed features (m, d) and values (m,), the values to maximise in eV/atom.

        Of more than 1,500 observations the best half of that number and a random rest are kept. Raises
        ValueError below two observations.

        seed: of everything drawn at random.
        """
        import torch
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import SingleTaskGP
        from botorch.models.transforms import Standardize
        from gpytorch.mlls import ExactMarginalLogLikelihood

        if len(values) < 2:
            raise ValueError(f"a Gaussian process needs 2 observations; {len(values)} given")
        kept = _subset(values, seed)
        x, y = torch.from_numpy(observed[kept]), torch.from_numpy(values[kept])[:, None]
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = SingleTaskGP(x, y, outcome_transform=Standardize(m=1))
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        return cls._evaluated(model, features)

    @classmethod
    def _evaluated(cls, model: SingleTaskGP, features: FloatArray) -> GaussianProcess:
        import torch

        means, stds = [], []
        with torch.no_grad():
            for start in range(0, len(features), _CHUNK):
                rows = torch.from_numpy(features[start : start + _CHUNK])[:, None, :]
                posterior = model.posterior(rows)
                means.append(posterior.mean.reshape(-1).numpy())
                stds.append(posterior.variance.reshape(-1).clamp_min(_SURE**2).sqrt().numpy())
        return cls(model, features, np.concatenate(means), np.concatenate(stds))

    def given(self, index: int) -> GaussianProcess:
        """See Posterior."""
        return self.given_at(self.features[index])

    def given_at(self, features: FloatArray) -> GaussianProcess:
        """See Posterior. features: (d,)."""
        import torch

        row = torch.from_numpy(features)[None, :]
        with torch.no_grad():
            value = self.model.posterior(row).mean
            model = self.model.condition_on_observations(row, value)
        return self._evaluated(model, self.features)

    def take(self, rows: Rows) -> GaussianProcess:
        """See Posterior."""
        return GaussianProcess(self.model, self.features[rows], self.mean[rows], self.std[rows])


def _subset(values: FloatArray, seed: int) -> Rows:
    """Indices of the observations a fit can afford: the best, and a random rest."""
    if len(values) <= _MOST_OBSERVED:
        return np.arange(len(values))
    order = np.argsort(-values)
    best, rest = order[: _MOST_OBSERVED // 2], order[_MOST_OBSERVED // 2 :]
    drawn = np.random.default_rng(seed).choice(rest, _MOST_OBSERVED - len(best), replace=False)
    return np.concatenate([best, drawn])
