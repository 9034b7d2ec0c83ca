"""Continuous-filter networks, SchNet and PhysNet, for crystals: sums over periodic images, mean over atoms.

Sources: Schütt et al., J. Chem. Phys. 148, 241722 (2018); Unke and Meuwly, J. Chem. Theory Comput. 15, 3678
(2019), without its charges and dispersion, which need dipoles to learn from.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from niobe.surrogates.networks.graphs import GaussianBasis, fade, mean_by_structure, sum_by
from niobe.surrogates.representations.composition import N_ELEMENTS


class ShiftedSoftplus(nn.Module):
    """ln(1/2 + e^x / 2), zero at zero."""

    def forward(self, x: Tensor) -> Tensor:
        """Each value by itself; shape kept."""
        return nn.functional.softplus(x) - math.log(2.0)


class SchNetInteraction(nn.Module):
    """Atomwise, filter by distance, atomwise; SchNet's interaction block."""

    def __init__(self, width: int, basis: int) -> None:
        super().__init__()
        self.sent = nn.Linear(width, width, bias=False)
        self.filter = nn.Sequential(nn.Linear(basis, width), ShiftedSoftplus(), nn.Linear(width, width))
        self.update = nn.Sequential(nn.Linear(width, width), ShiftedSoftplus(), nn.Linear(width, width))

    def forward(self, atoms: Tensor, batch: dict[str, Tensor], edges: Tensor, faded: Tensor) -> Tensor:
        """atoms: (n, width); edges: (e, basis); faded: (e, 1).

        batch: of GraphEncoder.
        """
        message = self.sent(atoms).index_select(0, batch["neighbour"]) * self.filter(edges) * faded
        return atoms + self.update(sum_by(message, batch["center"], len(atoms)))


class SchNet(nn.Module):
    """Embedding, interactions and an atomwise output that is averaged over atoms.

    outputs: numbers a structure. width: of an atom's state. layers: interactions. cutoff: Å. basis:
    Gaussians.
    """

    def __init__(
        self, outputs: int, *, width: int = 64, layers: int = 3, cutoff: float = 6.0, basis: int = 60
    ) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.embedding = nn.Embedding(N_ELEMENTS + 1, width)
        self.basis = GaussianBasis(0.0, cutoff, basis, width=math.sqrt(0.1))
        self.interactions = nn.ModuleList(SchNetInteraction(width, basis) for _ in range(layers))
        self.atomwise = nn.Sequential(nn.Linear(width, width // 2), ShiftedSoftplus())
        self.head = nn.Linear(width // 2, outputs)

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """What the output layer sees, (structures, width / 2)."""
        atoms = self.embedding(batch["numbers"])
        edges, faded = self.basis(batch["distances"]), fade(batch["distances"], self.cutoff)[:, None]
        for interaction in self.interactions:
            atoms = interaction(atoms, batch, edges, faded)
        return mean_by_structure(self.atomwise(atoms), batch)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Answers to a batch of the encoder, (structures, outputs)."""
        return self.head(self.embed(batch))


class ExponentialBasis(nn.Module):
    """PhysNet's radial functions, Gaussians in e^-r, times its polynomial cutoff: (e,) Å -> (e, size)."""

    centers: Tensor

    def __init__(self, cutoff: float, size: int) -> None:
        super().__init__()
        self.cutoff = cutoff
        last = math.exp(-cutoff)
        self.register_buffer("centers", torch.linspace(last, 1.0, size))
        self.sharpness = (2.0 / size * (1.0 - last)) ** -2

    def forward(self, distances: Tensor) -> Tensor:
        """distances: (e,), Å. Shape of the answer: (e, size)."""
        x = (distances / self.cutoff).clamp(max=1.0)
        smooth = 1 - 6 * x**5 + 15 * x**4 - 10 * x**3
        near = torch.exp(-distances)[:, None] - self.centers
        return smooth[:, None] * torch.exp(-self.sharpness * near**2)


class Residual(nn.Module):
    """x + W2 σ(W1 σ(x)); its last layer starts at zero."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        self.activation = ShiftedSoftplus()

    def forward(self, x: Tensor) -> Tensor:
        """x: (n, width), as the answer."""
        return x + self.outer(self.activation(self.inner(self.activation(x))))


class PhysNetModule(nn.Module):
    """PhysNet's module: attention-masked messages, residual blocks, and a reading of its own."""

    def __init__(self, width: int, basis: int) -> None:
        super().__init__()
        self.mask = nn.Linear(basis, width, bias=False)
        self.own, self.other = nn.Linear(width, width), nn.Linear(width, width)
        self.gate = nn.Parameter(torch.ones(width))
        self.refine, self.mix = Residual(width), nn.Linear(width, width)
        self.after, self.reading = Residual(width), Residual(width)
        self.activation = ShiftedSoftplus()

    def forward(self, atoms: Tensor, batch: dict[str, Tensor], edges: Tensor) -> tuple[Tensor, Tensor]:
        """atoms: (n, width); edges: (e, basis) -> refined atoms and their readings, (n, width) each.

        batch: of GraphEncoder.
        """
        seen = self.activation(atoms)
        sent = self.activation(self.other(seen)).index_select(0, batch["neighbour"]) * self.mask(edges)
        message = self.activation(self.own(seen)) + sum_by(sent, batch["center"], len(atoms))
        mixed = self.mix(self.activation(self.refine(message)))
        refined = self.after(self.gate * atoms + mixed)
        return refined, self.activation(self.reading(refined))


class PhysNet(nn.Module):
    """Modules in a row whose atomwise outputs add up; averaged over atoms, since targets are per atom.

    The modules' output layers are one layer on their readings side by side, which is the same sum.
    outputs: numbers a structure. width: of an atom's state. layers: modules. cutoff: Å. basis: radial
    functions.
    """

    def __init__(
        self, outputs: int, *, width: int = 64, layers: int = 3, cutoff: float = 6.0, basis: int = 32
    ) -> None:
        super().__init__()
        self.embedding = nn.Embedding(N_ELEMENTS + 1, width)
        self.basis = ExponentialBasis(cutoff, basis)
        self.modules_in_row = nn.ModuleList(PhysNetModule(width, basis) for _ in range(layers))
        self.head = nn.Linear(layers * width, outputs)

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """Mean readings of every module, (structures, layers × width)."""
        atoms, edges = self.embedding(batch["numbers"]), self.basis(batch["distances"])
        readings = []
        for module in self.modules_in_row:
            atoms, reading = module(atoms, batch, edges)
            readings.append(reading)
        return mean_by_structure(torch.cat(readings, dim=1), batch)

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Answers to a batch of the encoder, (structures, outputs)."""
        return self.head(self.embed(batch))
