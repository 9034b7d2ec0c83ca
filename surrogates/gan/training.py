"""Training: skeletons by likelihood, geometry against a Wasserstein critic with gradient penalty.

Sources: Arjovsky et al., ICML 2017; Gulrajani et al., NeurIPS 2017; the pull of the geometry towards the
example its skeleton comes from is that of Isola et al., CVPR 2017.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from niobe.surrogates.gan.networks import LATENT, Critic, Geometry, Skeleton

Report = Callable[[int, int], None]
_PENALTY, _CRITIC_STEPS, _PULL = 10.0, 3, 10.0
_RATE, _SKELETON_RATE = 8e-4, 3e-3
_FINE_TUNING = 0.03


@dataclass(frozen=True)
class Examples:
    """n training examples as tensors; see Representation for the shapes. ``opened``: composition left out."""

    tokens: Tensor
    geometry: Tensor
    features: Tensor
    free: Tensor
    allowed: Tensor
    condition: Tensor
    opened: Tensor
    weights: Tensor

    def draw(self, n: int) -> Examples:
        """n of them by weight, half of them with the composition left open."""
        rows = torch.multinomial(self.weights, n, replacement=True)
        open_ = torch.rand(n, 1) < 0.5
        condition = torch.where(open_, self.opened[rows], self.condition[rows])
        return Examples(
            tokens=self.tokens[rows],
            geometry=self.geometry[rows],
            features=self.features[rows],
            free=self.free[rows],
            allowed=self.allowed[rows],
            condition=condition,
            opened=self.opened[rows],
            weights=self.weights[rows],
        )


class Trainer:
    """Alternates a skeleton step, critic steps and a geometry step on weighted draws of the examples.

    trained: the networks have learned from something else, which they are not to forget.
    """

    def __init__(self, skeleton: Skeleton, geometry: Geometry, critic: Critic, *, trained: bool) -> None:
        self._skeleton, self._geometry, self._critic = skeleton, geometry, critic
        scale = _FINE_TUNING if trained else 1.0
        rate, adam = scale * _RATE, partial(torch.optim.Adam, betas=(0.5, 0.9))
        self._skeleton_step = torch.optim.AdamW(
            skeleton.parameters(), lr=scale * _SKELETON_RATE, weight_decay=0.01
        )
        self._geometry_step = adam(geometry.parameters(), lr=rate)
        self._critic_step = adam(critic.parameters(), lr=rate)

    def run(self, examples: Examples, *, steps: int, batch: int, report: Report) -> dict[str, float]:
        """Train for ``steps``; the last tenth's mean critic gap and log-likelihood of a skeleton.

        The rates fall linearly to nothing. ``report`` is told the finished steps and their total.
        examples: what is drawn from. batch: examples a step.
        """
        sums, counted = {"critic_gap": 0.0, "log_likelihood": 0.0}, 0
        optimisers = (self._skeleton_step, self._geometry_step, self._critic_step)
        falling = [
            torch.optim.lr_scheduler.LinearLR(o, start_factor=1.0, end_factor=0.02, total_iters=steps)
            for o in optimisers
        ]
        for step in range(steps):
            found = self._step(examples, batch)
            for schedule in falling:
                schedule.step()
            if step >= steps - max(1, steps // 10):
                sums, counted = {name: sums[name] + found[name] for name in sums}, counted + 1
            report(step + 1, steps)
        return {name: total / counted for name, total in sums.items()}

    def _step(self, examples: Examples, batch: int) -> dict[str, float]:
        likelihood = self._train_skeleton(examples.draw(batch))
        gaps = [self._train_critic(examples.draw(batch)) for _ in range(_CRITIC_STEPS)]
        self._train_geometry(examples.draw(batch))
        return {"critic_gap": gaps[-1], "log_likelihood": likelihood}

    def _train_skeleton(self, real: Examples) -> float:
        likelihood = self._skeleton.likelihood(real.tokens, real.condition, real.allowed).mean()
        self._skeleton_step.zero_grad()
        (-likelihood).backward()
        self._skeleton_step.step()
        return float(likelihood.detach())

    def _train_critic(self, real: Examples) -> float:
        with torch.no_grad():
            made = self._make(real)
        gap = self._score(real.geometry, real).mean() - self._score(made, real).mean()
        loss = -gap + _PENALTY * self._gradient_penalty(made, real)
        self._critic_step.zero_grad()
        loss.backward()
        self._critic_step.step()
        return float(gap.detach())

    def _gradient_penalty(self, made: Tensor, real: Examples) -> Tensor:
        share = torch.rand(len(made), 1)
        between = (share * real.geometry + (1 - share) * made).requires_grad_()
        (slope,) = torch.autograd.grad(self._score(between, real).sum(), between, create_graph=True)
        return ((slope.norm(dim=1) - 1) ** 2).mean()

    def _train_geometry(self, real: Examples) -> None:
        made = self._make(real)
        away = ((made - real.geometry) ** 2).sum(dim=1) / real.free.sum(dim=1)
        loss = -self._score(made, real).mean() + _PULL * away.mean()
        self._geometry_step.zero_grad()
        loss.backward()
        self._geometry_step.step()

    def _make(self, real: Examples) -> Tensor:
        latent = torch.randn(len(real.tokens), LATENT)
        made: Tensor = self._geometry(latent, real.tokens[:, 0], real.features, real.condition, real.free)
        return made

    def _score(self, geometry: Tensor, real: Examples) -> Tensor:
        score: Tensor = self._critic(geometry, real.tokens[:, 0], real.features, real.condition)
        return score
