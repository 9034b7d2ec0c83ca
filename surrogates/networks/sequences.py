"""A recurrent network over the Wyckoff sequence: space group first, then one token a site."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from niobe.surrogates.representations.composition import N_ELEMENTS

N_GROUPS, N_LETTERS = 231, 28


class WyckoffRNN(nn.Module):
    """GRU over (element, letter, share of atoms) that starts from the space group. Cho et al., EMNLP 2014.

    outputs: numbers a structure. width: of the state. layers: of the recurrent network.
    """

    def __init__(self, outputs: int, *, width: int = 64, layers: int = 1) -> None:
        super().__init__()
        self.group = nn.Embedding(N_GROUPS, width)
        self.element, self.letter = nn.Embedding(N_ELEMENTS + 1, width), nn.Embedding(N_LETTERS, width)
        self.share = nn.Linear(1, width, bias=False)
        self.recurrent = nn.GRU(width, width, num_layers=layers, batch_first=True)
        self.dense = nn.Sequential(nn.Linear(2 * width, width), nn.SiLU())
        self.head = nn.Linear(width, outputs)

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """What the output layer sees, (structures, width)."""
        tokens = self.element(batch["elements"]) + self.letter(batch["letters"])
        tokens = tokens + self.share(batch["shares"][:, :, None])
        start = self.group(batch["group"])[None].repeat(self.recurrent.num_layers, 1, 1)
        states, _ = self.recurrent(tokens, start)
        mean = (states * batch["shares"][:, :, None]).sum(1)
        last = states[torch.arange(len(states)), batch["sites"] - 1]
        return self.dense(torch.cat([mean, last], dim=1))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Answers to a batch of the encoder, (structures, outputs)."""
        return self.head(self.embed(batch))
