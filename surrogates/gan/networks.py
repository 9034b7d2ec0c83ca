"""The GAN's three networks: which skeleton, which geometry for it, and how real the two look together.

A skeleton is drawn token by token (a gated recurrent unit, Cho et al., EMNLP 2014): a critic has no gradient
to give to discrete choices, and learned by likelihood they do not collapse. Geometry is what the adversarial
pair learns: a generator conditional on skeleton and request, and a Wasserstein critic.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from niobe.surrogates.gan.conditions import CONDITION
from niobe.surrogates.gan.representation import LATTICE, Representation

LATENT = 32
Mask = Callable[[Tensor, int], Tensor]
_HIDDEN, _EMBEDDED, _DROPOUT = 256, 32, 0.1
_FORBIDDEN = -1e9


class Skeleton(nn.Module):
    """The probability of each next token, given those before it and the condition."""

    def __init__(self, representation: Representation) -> None:
        super().__init__()
        self.length, self.start = representation.length, representation.vocabulary
        self.end = representation.vocabulary - 1
        self.embed = nn.Embedding(self.start + 1, 2 * _EMBEDDED)
        self.first = nn.Linear(CONDITION, _HIDDEN)
        self.cell = nn.GRU(2 * _EMBEDDED + CONDITION, _HIDDEN, batch_first=True)
        self.drop = nn.Dropout(_DROPOUT)
        self.head = nn.Linear(_HIDDEN, representation.vocabulary)

    def likelihood(self, tokens: Tensor, condition: Tensor, allowed: Tensor) -> Tensor:
        """Log-likelihood of token sequences (n, length), ``allowed`` (n, length, vocabulary). Shape (n,).

        tokens: (n, length). condition: (n, c). allowed: (n, length, vocabulary).
        """
        start = torch.full_like(tokens[:, :1], self.start)
        inputs = self._inputs(torch.cat([start, tokens[:, :-1]], dim=1), condition)
        hidden, _ = self.cell(inputs, torch.tanh(self.first(condition))[None])
        logits = self.head(self.drop(hidden)).masked_fill(~allowed, _FORBIDDEN)
        chosen = logits.log_softmax(dim=-1).gather(-1, tokens[..., None]).squeeze(-1)
        return chosen.sum(dim=1)

    def draw(
        self, condition: Tensor, allowed: Mask, noise: torch.Generator, *, temperature: float = 1.0
    ) -> Tensor:
        """Sequences (n, length); ``allowed(tokens, step)`` answers for m rows with a mask (m, vocabulary).

        Below 1 the ``temperature`` favours likely tokens.
        condition: (n, c). noise: the generator that draws. allowed: a step's choices, (n, vocabulary), from
        the tokens so far.
        """
        tokens = torch.full((len(condition), self.length), self.end)
        state = torch.tanh(self.first(condition))[None]
        open_ = torch.arange(len(condition))
        before = torch.full((len(condition), 1), self.start)
        for step in range(self.length):
            hidden, state = self.cell(self._inputs(before, condition[open_]), state)
            logits = self.head(hidden[:, 0]).masked_fill(~allowed(tokens[open_], step), _FORBIDDEN)
            before = _one_each((logits / temperature).softmax(dim=-1), noise)
            tokens[open_, step] = before[:, 0]
            going = before[:, 0] != self.end
            open_, state, before = open_[going], state[:, going], before[going]
        return tokens

    def _inputs(self, tokens: Tensor, condition: Tensor) -> Tensor:
        repeated = condition[:, None, :].expand(-1, tokens.shape[1], -1)
        return torch.cat([self.drop(self.embed(tokens)), repeated], dim=-1)


def _one_each(probabilities: Tensor, noise: torch.Generator) -> Tensor:
    """One column of each row by its probability. Shape (n, 1). One random number a row."""
    sums = probabilities.cumsum(dim=1)
    point = torch.rand(len(sums), 1, generator=noise) * sums[:, -1:]
    return torch.searchsorted(sums, point, right=True).clamp(max=sums.shape[1] - 1)


class Geometry(nn.Module):
    """Latent (n, LATENT), first token (n,), features and condition to geometry (n, width)."""

    def __init__(self, representation: Representation) -> None:
        super().__init__()
        self.embed = nn.Embedding(representation.vocabulary, _EMBEDDED)
        inputs = LATENT + _EMBEDDED + representation.n_features + CONDITION
        self.body = _body(inputs, representation.width)

    def forward(
        self, latent: Tensor, first: Tensor, features: Tensor, condition: Tensor, free: Tensor
    ) -> Tensor:
        """Geometries (n, width) of skeletons, what they fix at 0.

        latent: (n, latents). first: (n,), first tokens. features: (n, n_features). condition: (n, c). free:
        (n, width).
        """
        raw = self.body(torch.cat([latent, self.embed(first), features, condition], dim=1))
        pairs = nn.functional.normalize(raw[:, LATTICE:].reshape(len(raw), -1, 2), dim=-1)
        return torch.cat([raw[:, :LATTICE], pairs.flatten(1)], dim=1) * free


class Critic(nn.Module):
    """Geometry (n, width), first token (n,), features and condition to scores (n,)."""

    def __init__(self, representation: Representation) -> None:
        super().__init__()
        self.embed = nn.Embedding(representation.vocabulary, _EMBEDDED)
        inputs = representation.width + _EMBEDDED + representation.n_features + CONDITION
        self.body = _body(inputs, 1)

    def forward(self, geometry: Tensor, first: Tensor, features: Tensor, condition: Tensor) -> Tensor:
        """geometry: (n, width). first: (n,), first tokens. features: (n, n_features). condition: (n, c)."""
        given = torch.cat([geometry, self.embed(first), features, condition], dim=1)
        score: Tensor = self.body(given).squeeze(-1)
        return score


@dataclass
class Networks:
    """What a checkpoint holds."""

    skeleton: Skeleton
    geometry: Geometry
    critic: Critic

    @classmethod
    def fresh(cls, representation: Representation) -> Networks:
        return cls(Skeleton(representation), Geometry(representation), Critic(representation))

    def named(self) -> dict[str, nn.Module]:
        return {"skeleton": self.skeleton, "geometry": self.geometry, "critic": self.critic}


def _body(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, _HIDDEN),
        nn.LeakyReLU(0.2),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.LeakyReLU(0.2),
        nn.Linear(_HIDDEN, _HIDDEN),
        nn.LeakyReLU(0.2),
        nn.Linear(_HIDDEN, outputs),
    )
