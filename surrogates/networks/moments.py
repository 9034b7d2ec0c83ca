"""Moment network: gated graph convolutions that see angles through moments of directions.

The gate is CGCNN's (Xie and Grossman, PRL 120, 145301 (2018)) without the second nonlinearity. The moments
are sums of spherical harmonics over neighbours, whose squared lengths hold three-body information at the
cost of pairs (the density trick of Drautz, PRB 99, 014104 (2019)). Magpie's element properties enter atoms,
its composition statistics the readout.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from niobe.surrogates.networks.graphs import GaussianBasis, fade, harmonics, mean_by_structure, sum_by
from niobe.surrogates.representations.composition import N_MAGPIE, element_table

_DEGREES = (3, 5)
ACTIVATIONS: dict[str, type[nn.Module]] = {"silu": nn.SiLU, "gelu": nn.GELU, "relu": nn.ReLU}
READOUTS = ("mean", "attention")


class MomentLayer(nn.Module):
    """One convolution: (atoms, width) -> (atoms, width).

    width: of an atom's state. basis: radial functions. channels: of the moments. activation: a module.
    """

    def __init__(self, width: int, basis: int, channels: int, activation: str) -> None:
        super().__init__()
        self.channels = channels
        self.center = nn.Linear(width, 2 * width)
        self.neighbour = nn.Linear(width, 2 * width, bias=False)
        self.edge = nn.Linear(basis, 2 * width, bias=False)
        self.update = nn.Sequential(
            nn.Linear(2 * width + 2 * channels, width), ACTIVATIONS[activation](), nn.Linear(width, width)
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, atoms: Tensor, batch: dict[str, Tensor], edges: Tensor, sphere: Tensor) -> Tensor:
        """atoms: (n, width). batch: of GraphEncoder. edges: (e, basis). sphere: (e, 8), harmonics."""
        normed = self.norm(atoms)
        sent = self.neighbour(normed).index_select(0, batch["neighbour"])
        met = self.center(normed).index_select(0, batch["center"])
        gate, core = (sent + met + self.edge(edges)).chunk(2, dim=1)
        message = nn.functional.silu(gate) * core * edges[:, -1:]
        density = sum_by(message, batch["center"], len(atoms))
        return atoms + self.update(
            torch.cat([normed, density, *self._moments(message, batch, sphere)], dim=1)
        )

    def _moments(self, message: Tensor, batch: dict[str, Tensor], sphere: Tensor) -> list[Tensor]:
        """Squared length of each degree's moments, (atoms, channels) each."""
        weighted = sphere[:, :, None] * message[:, None, : self.channels]
        moments = sum_by(weighted, batch["center"], len(batch["numbers"]))
        return [
            (part**2).sum(1) / size for part, size in zip(moments.split(_DEGREES, 1), _DEGREES, strict=True)
        ]


class MomentNet(nn.Module):
    """Graph, composition and volume to ``outputs`` numbers a structure.

    outputs: numbers a structure. width: of an atom's state. layers: convolutions. cutoff: Å. basis: radial
    functions. channels: of the moments. readout: mean or attention. activation: silu, gelu or relu.
    """

    properties: Tensor

    def __init__(
        self,
        outputs: int,
        *,
        width: int = 64,
        layers: int = 3,
        cutoff: float = 6.0,
        basis: int = 24,
        channels: int = 16,
        readout: str = "mean",
        activation: str = "silu",
    ) -> None:
        super().__init__()
        if readout not in READOUTS or activation not in ACTIVATIONS:
            allowed = f"{', '.join(READOUTS)}; {', '.join(ACTIVATIONS)}"
            raise ValueError(
                f"readout {readout!r} or activation {activation!r} is unknown; allowed: {allowed}"
            )
        table = torch.tensor(element_table(), dtype=torch.float32)
        self.cutoff = cutoff
        self.register_buffer("properties", table)
        self.known = nn.Linear(table.shape[1], width)
        self.learned = nn.Embedding(len(table), width)
        nn.init.normal_(self.learned.weight, std=0.1)
        self.basis = GaussianBasis(0.5, cutoff, basis)
        self.layers = nn.ModuleList(
            MomentLayer(width, basis + 1, min(channels, width), activation) for _ in range(layers)
        )
        self.rows = nn.Linear(N_MAGPIE + 1, width)
        self.atom_head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU())
        self.weight = nn.Linear(width, 1) if readout == "attention" else None
        self.head = nn.Sequential(nn.Linear(2 * width, 2 * width), nn.SiLU(), nn.Linear(2 * width, outputs))

    def embed(self, batch: dict[str, Tensor]) -> Tensor:
        """What the head sees: (structures, 2 width)."""
        atoms = self.known(self.properties[batch["numbers"]]) + self.learned(batch["numbers"])
        faded = fade(batch["distances"], self.cutoff)[:, None]
        edges = torch.cat([self.basis(batch["distances"]) * faded, faded], dim=1)
        sphere = harmonics(batch["vectors"])
        for layer in self.layers:
            atoms = layer(atoms, batch, edges, sphere)
        pooled = self._pool(self.atom_head(atoms), batch)
        return torch.cat([pooled, nn.functional.silu(self.rows(batch["rows"]))], dim=1)

    def _pool(self, atoms: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """Atoms (n, width) to structures: their mean, or weighted by a learned positive weight."""
        if self.weight is None:
            return mean_by_structure(atoms, batch)
        weights = self.weight(atoms).clamp(-10, 10).exp()
        total = sum_by(weights, batch["owner"], len(batch["atoms"]))
        return sum_by(weights * atoms, batch["owner"], len(batch["atoms"])) / total

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        """Answers to a batch of the encoder, (structures, outputs)."""
        return self.head(self.embed(batch))
