"""Networks that see the composition only: ElemNet, and a CNN on an image of the periodic table."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn

from niobe.surrogates.representations.composition import N_ELEMENTS

_ELEMNET_WIDTHS = (1024,) * 4 + (512,) * 3 + (256,) * 3 + (128,) * 3 + (64,) * 2 + (32,)
_DROPPED_AFTER = {4: 0.2, 7: 0.1, 10: 0.3, 13: 0.2}


class ElemNet(nn.Module):
    """17 dense layers on element fractions, the last one the output. Jha et al., Sci. Rep. 8, 17593 (2018).

    shrink: divides the published widths, for small data.
    """

    def __init__(self, outputs: int, *, shrink: int = 1) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = N_ELEMENTS
        for number, published in enumerate(_ELEMNET_WIDTHS, start=1):
            width = max(published // shrink, 4)
            layers += [nn.Linear(before, width), nn.ReLU()]
            if number in _DROPPED_AFTER:
                layers.append(nn.Dropout(_DROPPED_AFTER[number]))
            before = width
        self.hidden = nn.Sequential(*layers).apply(_he)
        self.head = nn.Linear(before, outputs)

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """What the output layer sees, (structures, 32)."""
        return self.hidden(batch["rows"])

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Answers to a batch of the encoder, (structures, outputs)."""
        return self.head(self.embed(batch))


class PeriodicTableCNN(nn.Module):
    """Convolutions over the periodic table, a channel a block. Zheng et al., Chem. Sci. 9, 8426 (2018).

    outputs: numbers a structure. width: channels of a convolution. layers: convolutions.
    """

    def __init__(self, outputs: int, *, width: int = 48, layers: int = 3) -> None:
        super().__init__()
        widths = [4, *[width] * layers]
        steps: list[nn.Module] = []
        for before, after in itertools.pairwise(widths):
            steps += [nn.Conv2d(before, after, kernel_size=3, padding=1), nn.SiLU()]
        self.convolutions = nn.Sequential(*steps).apply(_he)
        self.dense = nn.Sequential(nn.Linear(width * 9 * 18, 2 * width), nn.SiLU()).apply(_he)
        self.head = nn.Linear(2 * width, outputs)

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """What the output layer sees, (structures, 2 width)."""
        image = batch["rows"].reshape(-1, 4, 9, 18)
        return self.dense(torch.flatten(self.convolutions(image), 1))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Answers to a batch of the encoder, (structures, outputs)."""
        return self.head(self.embed(batch))


def _he(module: nn.Module) -> None:
    """Initial weights that keep the signal's size through many layers. He et al., ICCV 2015."""
    if isinstance(module, nn.Linear | nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
