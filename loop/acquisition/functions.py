"""Acquisition functions by name, each a value per candidate; the higher the better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.acquisition.objectives import Objectives
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    import torch
    from botorch.acquisition import AcquisitionFunction
    from botorch.models.model import Model

_UCB_BETA = 2.0
_SAMPLES = 64
_CHUNK = 1024
_REFERENCE_ABOVE_HULL = 0.5
LEAST = 1e-12
_SURE = 1e-3


@dataclass(frozen=True)
class View:
    """What a function sees of n candidates; values are to be maximised.

    mean, std: −e_above_hull (eV/atom); feasible, stable, succeeds: probabilities, the first that of both
    others; novelty: 0 to 1; p_target: the probability of being what is looked for; fresh: how much of its
    first std a candidate has left now that others are chosen; all of shape (n,). best: the value to improve
    on. observed: (m, 3), what was found so far: value, dynamically stable (1, 0 or 0.5 where undecided),
    novelty 0. taken: rows chosen already, pending in the batch. objectives: what is wanted besides stability.
    """

    mean: FloatArray
    std: FloatArray
    feasible: FloatArray
    stable: FloatArray
    succeeds: FloatArray
    novelty: FloatArray
    p_target: FloatArray
    fresh: FloatArray
    best: float
    observed: FloatArray
    taken: tuple[int, ...]
    seed: int
    objectives: Objectives | None = None


def log_ei(view: View) -> FloatArray:
    """Log expected improvement (Ament et al., NeurIPS 2023) plus log feasibility. Shape (n,)."""
    from botorch.acquisition import LogExpectedImprovement

    function = LogExpectedImprovement(_table(view.mean[:, None], view.std[:, None]), best_f=view.best)
    return _evaluate(function, len(view.mean)) + np.log(view.feasible)


def log_nei(view: View) -> FloatArray:
    """Log noisy expected improvement over what was found (qLogNEI, same source) plus log feasibility.

    Shape (n,).
    """
    from botorch.acquisition import qLogNoisyExpectedImprovement

    mean, std, baseline = _with_observed(view, columns=1)
    function = qLogNoisyExpectedImprovement(
        _table(mean, std),
        X_baseline=baseline,
        sampler=_sampler(view.seed),
        X_pending=_pending(view),
        prune_baseline=False,
        cache_root=False,
    )
    return _evaluate(function, len(view.mean)) + np.log(view.feasible)


def log_nehvi(view: View) -> FloatArray:
    """Log noisy expected hypervolume improvement over (−e_above_hull, P(dynamically stable), novelty).

    Daulton et al., NeurIPS 2021; log form by Ament et al., NeurIPS 2023. The reference point is 0.5 eV/atom
    above the hull, probability 0, novelty 0. A campaign with objectives has these beside −e_above_hull and a
    reference point of its own, and log feasibility is added. Shape (n,).
    """
    if view.objectives is None:
        mean, std, baseline = _with_observed(view, columns=3)
        return _hypervolume_improvement(view, mean, std, baseline, [-_REFERENCE_ABOVE_HULL, 0.0, 0.0])
    wanted = view.objectives
    mean = np.column_stack([view.mean, wanted.mean]) / wanted.scale
    std = np.maximum(np.column_stack([view.std, wanted.std]) / wanted.scale, _SURE)
    observed = wanted.observed if len(wanted.observed) else wanted.reference[None, :]
    mean, std, baseline = _joined(mean, std, observed / wanted.scale)
    limits = (wanted.reference / wanted.scale).tolist()
    return _hypervolume_improvement(view, mean, std, baseline, limits) + np.log(view.feasible)


def _hypervolume_improvement(
    view: View, mean: FloatArray, std: FloatArray, baseline: torch.Tensor, reference: list[float]
) -> FloatArray:
    """By BoTorch's Python code: it would compile a kernel first, and wait for ever for the lock of a worker
    that was killed as it did so."""
    from botorch.acquisition.multi_objective import logei

    logei._load_attempted = True
    function = logei.qLogNoisyExpectedHypervolumeImprovement(
        _table(mean, std),
        ref_point=reference,
        X_baseline=baseline,
        sampler=_sampler(view.seed),
        X_pending=_pending(view),
        prune_baseline=True,
        cache_root=False,
    )
    return _evaluate(function, len(view.mean))


def ucb(view: View) -> FloatArray:
    """Upper confidence bound, two standard deviations: eV/atom, shape (n,)."""
    return view.mean + _UCB_BETA * view.std


def greedy(view: View) -> FloatArray:
    """The mean alone: eV/atom, shape (n,)."""
    return view.mean


def max_uncertainty(view: View) -> FloatArray:
    """The standard deviation alone: eV/atom, shape (n,)."""
    return view.std


def thompson(view: View) -> FloatArray:
    """One draw from each candidate's posterior: eV/atom, shape (n,)."""
    return view.mean + view.std * np.random.default_rng(view.seed).standard_normal(len(view.mean))


def p_target(view: View) -> FloatArray:
    """Log probability of being a target, plus log feasibility, less for what resembles a chosen one.

    Shape (n,).
    """
    return np.log(np.maximum(view.p_target, LEAST) * view.feasible * view.fresh)


def p_hull(view: View) -> FloatArray:
    """As p_target, but what is not dynamically stable is wanted as much. Shape (n,)."""
    return np.log(np.maximum(view.p_target * view.succeeds, LEAST) * view.fresh)


FUNCTIONS: dict[str, Callable[[View], FloatArray]] = {
    "p_target": p_target,
    "p_hull": p_hull,
    "qlogei": log_ei,
    "qlognei": log_nei,
    "qlognehvi": log_nehvi,
    "ucb": ucb,
    "greedy": greedy,
    "max_uncertainty": max_uncertainty,
    "thompson": thompson,
}
HULL_AWARE = frozenset({"p_target", "p_hull"})
NOVELTY_AWARE = frozenset({"qlognehvi"})
LOGARITHMIC = frozenset({*HULL_AWARE, "qlogei", "qlognei", "qlognehvi"})


def _with_observed(view: View, *, columns: int) -> tuple[FloatArray, FloatArray, torch.Tensor]:
    """Means and stds of candidates, then of what was found, and the row numbers of the latter."""
    sure = np.full(len(view.mean), _SURE)
    mean = np.stack([view.mean, view.stable, view.novelty], axis=1)[:, :columns]
    std = np.stack([view.std, sure, sure], axis=1)[:, :columns]
    observed = view.observed[:, :columns]
    if not len(observed):
        observed = np.array([[-_REFERENCE_ABOVE_HULL, 0.0, 0.0]])[:, :columns]
    return _joined(mean, std, observed)


def _joined(
    mean: FloatArray, std: FloatArray, observed: FloatArray
) -> tuple[FloatArray, FloatArray, torch.Tensor]:
    import torch

    rows = torch.arange(len(mean), len(mean) + len(observed), dtype=torch.float64)[:, None]
    return (
        np.concatenate([mean, observed]),
        np.concatenate([std, np.full(observed.shape, 1e-4)]),
        rows,
    )


def _pending(view: View) -> torch.Tensor | None:
    import torch

    return torch.tensor(view.taken, dtype=torch.float64)[:, None] if view.taken else None


def _sampler(seed: int) -> object:
    import torch
    from botorch.sampling import SobolQMCNormalSampler

    return SobolQMCNormalSampler(torch.Size([_SAMPLES]), seed=seed)


def _evaluate(function: AcquisitionFunction, n: int) -> FloatArray:
    """The function at rows 0 … n − 1 of its table, in chunks. Shape (n,)."""
    import torch

    values = []
    with torch.no_grad():
        for start in range(0, n, _CHUNK):
            rows = torch.arange(start, min(start + _CHUNK, n), dtype=torch.float64).reshape(-1, 1, 1)
            values.append(function(rows).numpy())
    return np.concatenate(values)


def _table(mean: FloatArray, std: FloatArray) -> Model:
    """A BoTorch model whose input is a row number: independent normals, mean and std of shape (n, m)."""
    import torch
    from botorch.models.model import Model
    from botorch.posteriors import GPyTorchPosterior
    from gpytorch.distributions import MultitaskMultivariateNormal, MultivariateNormal

    means, variances = torch.from_numpy(mean), torch.from_numpy(std**2)

    class Table(Model):
        num_outputs = mean.shape[1]

        def posterior(self, X: torch.Tensor, *_: object, **__: object) -> GPyTorchPosterior:
            rows = X[..., 0].long()
            normals = [
                MultivariateNormal(means[rows, k], torch.diag_embed(variances[rows, k]))
                for k in range(means.shape[1])
            ]
            if len(normals) == 1:
                return GPyTorchPosterior(normals[0])
            return GPyTorchPosterior(MultitaskMultivariateNormal.from_independent_mvns(normals))

    return Table()
