"""What the graph networks share: sums over neighbours and atoms, radial bases and the cutoff's fade."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def sum_by(values: Tensor, index: Tensor, size: int) -> Tensor:
    """Sum of rows by index: values (m, ...), index (m,) -> (size, ...)."""
    return values.new_zeros(size, *values.shape[1:]).index_add(0, index, values)


def mean_by_structure(values: Tensor, batch: dict[str, Tensor]) -> Tensor:
    """Mean over each structure's atoms: (atoms, d) -> (structures, d)."""
    atoms = batch["atoms"]
    return sum_by(values, batch["owner"], len(atoms)) / atoms[:, None].to(values.dtype)


def fade(distances: Tensor, cutoff: float) -> Tensor:
    """A cosine from 1 at zero distance to 0 at the cutoff, with zero slope there. Shape kept."""
    return 0.5 * (torch.cos(math.pi * (distances / cutoff).clamp(max=1.0)) + 1.0)


class GaussianBasis(nn.Module):
    """Gaussians on a grid of distances: (edges,) Å -> (edges, size).

    start, stop: of the grid, Å. size: Gaussians. width: of each, Å; the grid's step if left out.
    """

    centers: Tensor

    def __init__(self, start: float, stop: float, size: int, width: float | None = None) -> None:
        super().__init__()
        self.register_buffer("centers", torch.linspace(start, stop, size))
        self.width = width if width is not None else (stop - start) / (size - 1)

    def forward(self, distances: Tensor) -> Tensor:
        """distances: (edges,), Å. Shape of the answer: (edges, size)."""
        return torch.exp(-(((distances[:, None] - self.centers) / self.width) ** 2))


def harmonics(vectors: Tensor) -> Tensor:
    """Real harmonics of degree 1 and 2 of directions, squares of each adding to 1: (e, 3) -> (e, 8)."""
    x, y, z = torch.nn.functional.normalize(vectors, dim=1).unbind(1)
    root3 = math.sqrt(3.0)
    second = [
        root3 * x * y,
        root3 * y * z,
        root3 * x * z,
        0.5 * root3 * (x * x - y * y),
        0.5 * (3 * z * z - 1),
    ]
    return torch.stack([x, y, z, *second], dim=1)
