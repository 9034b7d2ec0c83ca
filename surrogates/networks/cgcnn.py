"""CGCNN as published: Xie and Grossman, Phys. Rev. Lett. 120, 145301 (2018), Eq. 5.

The published sum runs over 12 neighbours; here it runs over whole shells of at least 12.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from niobe.surrogates.networks.graphs import GaussianBasis, mean_by_structure, sum_by
from niobe.surrogates.representations.elements import cgcnn_table

N_EDGE = 41


class GatedConvolution(nn.Module):
    """v' = softplus(v + BN(Σ σ(BN(z W_f)) ⊙ softplus(BN(z W_s)))), z = (v_i, v_j, u_ij)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.full = nn.Linear(2 * width + N_EDGE, 2 * width)
        self.norm_pairs = nn.BatchNorm1d(2 * width)
        self.norm_atoms = nn.BatchNorm1d(width)

    def forward(self, atoms: Tensor, batch: dict[str, Tensor], edges: Tensor) -> Tensor:
        """atoms: (n, width); edges: (e, 41).

        batch: of GraphEncoder.
        """
        gate, core = self.norm_pairs(self._pairs(atoms, batch, edges)).chunk(2, dim=1)
        message = torch.sigmoid(gate) * nn.functional.softplus(core)
        met = sum_by(message, batch["center"], len(atoms))
        return nn.functional.softplus(atoms + self.norm_atoms(met))

    def _pairs(self, atoms: Tensor, batch: dict[str, Tensor], edges: Tensor) -> Tensor:
        """z W + b, with the products of atoms computed once an atom rather than once an edge."""
        width = atoms.shape[1]
        own, other, edge = self.full.weight.split([width, width, N_EDGE], dim=1)
        centers = nn.functional.linear(atoms, own, self.full.bias).index_select(0, batch["center"])
        neighbours = nn.functional.linear(atoms, other).index_select(0, batch["neighbour"])
        return centers + neighbours + nn.functional.linear(edges, edge)


class Cgcnn(nn.Module):
    """92 element features, 3 convolutions of width 64 and one hidden layer of 128, as published.

    outputs: numbers a structure. layers: convolutions. cutoff: where the grid of distances ends, Å.
    """

    table: Tensor

    def __init__(
        self, outputs: int, *, width: int = 64, layers: int = 3, hidden: int = 128, cutoff: float = 8.0
    ) -> None:
        super().__init__()
        self.register_buffer("table", torch.tensor(cgcnn_table(), dtype=torch.float32))
        self.embedding = nn.Linear(self.table.shape[1], width)
        self.basis = GaussianBasis(0.0, cutoff, N_EDGE)
        self.convolutions = nn.ModuleList(GatedConvolution(width) for _ in range(layers))
        self.hidden = nn.Linear(width, hidden)
        self.head = nn.Linear(hidden, outputs)

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """What the output layer sees, (structures, hidden)."""
        atoms = self.embedding(self.table[batch["numbers"]])
        edges = self.basis(batch["distances"])
        for convolution in self.convolutions:
            atoms = convolution(atoms, batch, edges)
        pooled = mean_by_structure(atoms, batch)
        return nn.functional.softplus(self.hidden(nn.functional.softplus(pooled)))

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Answers to a batch of the encoder, (structures, outputs)."""
        return self.head(self.embed(batch))
