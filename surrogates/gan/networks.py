"""Generator and critic, and their Wasserstein training with gradient penalty.

Sources: Arjovsky et al., ICML 2017; Gulrajani et al., NeurIPS 2017; straight-through Gumbel-softmax
choices after Jang et al., ICLR 2017. The generator chooses the space group first and then
only Wyckoff letters that it has.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gumbel_softmax

from surrogates.gan.vectors import CONDITION, GROUPS, MAX_ROLES, NONE, SLOT, WIDTH, valid_letters
from surrogates.gan.wyckoff import MAX_ORBITS

LATENT = 64
HIDDEN = 256
_PENALTY, _CRITIC_STEPS, _RATE = 10.0, 5, 2e-4
_FORBIDDEN = -30.0


def _body(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, HIDDEN),
        nn.LeakyReLU(0.2),
        nn.Linear(HIDDEN, HIDDEN),
        nn.LeakyReLU(0.2),
        nn.Linear(HIDDEN, outputs),
    )


class GeneratorNet(nn.Module):
    """Latent (n, LATENT) and condition (n, CONDITION) to rows (n, WIDTH)."""

    valid: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.groups = _body(LATENT + CONDITION, GROUPS)
        self.slots = _body(LATENT + CONDITION + GROUPS, MAX_ORBITS * SLOT + 6)
        allowed = torch.tensor(valid_letters(), dtype=torch.float32)
        self.register_buffer("valid", allowed, persistent=False)

    def forward(self, latent: Tensor, condition: Tensor, noise: torch.Generator | None = None) -> Tensor:
        given = torch.cat([latent, condition], dim=1)
        group = _choose(self.groups(given), noise)
        raw = self.slots(torch.cat([given, group], dim=1))
        slots = raw[:, :-6].reshape(-1, MAX_ORBITS, SLOT)
        closed = (1 - group @ self.valid)[:, None, :] * _FORBIDDEN
        letters = _choose(slots[..., : NONE + 1] + closed, noise)
        present = condition[:, :-1].reshape(len(condition), MAX_ROLES, -1)[:, None, :, -1]
        roles = _choose(slots[..., NONE + 1 : NONE + 1 + MAX_ROLES] + (1 - present) * _FORBIDDEN, noise)
        coordinates = torch.tanh(slots[..., -3:]) * 0.5
        taken = 1 - letters[..., NONE:]
        orbits = torch.cat([letters, roles * taken, coordinates * taken], dim=-1).flatten(1)
        return torch.cat([group, orbits, raw[:, -6:]], dim=1)


def _choose(logits: Tensor, noise: torch.Generator | None) -> Tensor:
    """A one-hot choice with straight-through gradients; with a seeded ``noise``, drawn from it."""
    if noise is None:
        return gumbel_softmax(logits, hard=True)
    uniform = torch.rand(logits.shape, generator=noise).clamp(1e-9, 1 - 1e-7)
    chosen = (logits - torch.log(-torch.log(uniform))).argmax(dim=-1, keepdim=True)
    return torch.zeros_like(logits).scatter(-1, chosen, 1.0)


class CriticNet(nn.Module):
    """Rows (n, WIDTH) and condition (n, CONDITION) to scores (n,)."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _body(WIDTH + CONDITION, 1)

    def forward(self, rows: Tensor, condition: Tensor) -> Tensor:
        score: Tensor = self.body(torch.cat([rows, condition], dim=1)).squeeze(-1)
        return score


class Trainer:
    """Alternates critic and generator steps on weighted draws of the data."""

    def __init__(self, generator: GeneratorNet, critic: CriticNet) -> None:
        self._generator, self._critic = generator, critic
        self._generator_step = torch.optim.Adam(generator.parameters(), lr=_RATE, betas=(0.5, 0.9))
        self._critic_step = torch.optim.Adam(critic.parameters(), lr=_RATE, betas=(0.5, 0.9))

    def run(self, rows: Tensor, conditions: Tensor, weights: Tensor, *, steps: int, batch: int) -> float:
        """Train for ``steps`` generator steps; returns the critic's last gap between real and made."""
        gap = 0.0
        for _ in range(steps):
            for _ in range(_CRITIC_STEPS):
                chosen = torch.multinomial(weights, batch, replacement=True)
                gap = self._train_critic(rows[chosen], conditions[chosen])
            self._train_generator(conditions[torch.multinomial(weights, batch, replacement=True)])
        return gap

    def _train_critic(self, real: Tensor, condition: Tensor) -> float:
        with torch.no_grad():
            made = self._generator(torch.randn(len(real), LATENT), condition)
        gap = self._critic(real, condition).mean() - self._critic(made, condition).mean()
        loss = -gap + _PENALTY * self._gradient_penalty(real, made, condition)
        self._critic_step.zero_grad()
        loss.backward()
        self._critic_step.step()
        return float(gap.detach())

    def _gradient_penalty(self, real: Tensor, made: Tensor, condition: Tensor) -> Tensor:
        share = torch.rand(len(real), 1)
        between = (share * real + (1 - share) * made).requires_grad_()
        (slope,) = torch.autograd.grad(self._critic(between, condition).sum(), between, create_graph=True)
        return ((slope.norm(dim=1) - 1) ** 2).mean()

    def _train_generator(self, condition: Tensor) -> None:
        made = self._generator(torch.randn(len(condition), LATENT), condition)
        loss = -self._critic(made, condition).mean()
        self._generator_step.zero_grad()
        loss.backward()
        self._generator_step.step()
