"""The pretrained CHGNet without what only training needs: an ASE calculator for one crystal on a processor.

It reads the model's weights and gives its numbers to single precision. Its layers are those of gated.py, its
graph is made from arrays, and forces and stress come from one pass backward, to the vectors of the bonds.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, all_changes
from numpy.typing import NDArray
from pymatgen.optimization.neighbors import find_points_in_spheres

from niobe.flows.oracles.kernels.gated import Gated

_OPTIONS = {
    "atom_fea_dim": 64,
    "bond_fea_dim": 64,
    "angle_fea_dim": 64,
    "n_conv": 4,
    "atom_conv_hidden_dim": 64,
    "update_bond": True,
    "bond_conv_hidden_dim": 64,
    "update_angle": True,
    "angle_layer_hidden_dim": 0,
    "mlp_first": True,
    "is_intensive": True,
    "non_linearity": "silu",
    "gMLP_norm": "layer",
    "readout_norm": "layer",
}
_UNSAID = {"mlp_out_bias": False, "conv_norm": None, "final_mlp": "MLP"}  # options a model need not name
_VOIGT = ((0, 1, 2, 1, 0, 0), (0, 1, 2, 2, 2, 1))


class LeanCHGNet(Calculator):
    """Energy, forces, stress and magnetic moments by the weights of a CHGNet model.

    Raises ValueError for a model of another structure than the pretrained one's.
    """

    implemented_properties = ("energy", "free_energy", "forces", "stress", "magmoms")

    def __init__(self, model: Any) -> None:
        super().__init__()
        _check(model)
        self.model = model.eval().requires_grad_(False)
        self._atom_gates = [Gated(layer.twoBody_atom, 3) for layer in model.atom_conv_layers]
        self._bond_gates = [Gated(layer.twoBody_bond, 4) for layer in model.bond_conv_layers]
        # the last angles are not read by any layer
        self._angle_gates = [Gated(layer.twoBody_bond, 4) for layer in model.angle_layers[:-1]]
        converter = model.graph_converter
        self._cutoffs = converter.atom_graph_cutoff, converter.bond_graph_cutoff

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: list[str] | None = None,
        system_changes: list[str] = all_changes,
    ) -> None:
        """Energy (eV), forces (eV/Å) and stress (eV/Å³), as ASE asks for them.

        atoms: None for those of the last call. properties, system_changes: as ASE's Calculator has them.
        """
        super().calculate(atoms, properties, system_changes)
        graph = _graph(self.atoms, *self._cutoffs)
        vectors = torch.tensor(graph.vectors, dtype=torch.float32, requires_grad=True)
        energy, moments = self._network(self.atoms.numbers, graph, vectors)
        (gradient,) = torch.autograd.grad(energy, vectors)
        slope = gradient.numpy().astype(np.float64)
        forces = np.zeros((len(self.atoms), 3))
        np.add.at(forces, graph.centers, -slope)
        np.add.at(forces, graph.neighbors, slope)
        virial = graph.vectors.T @ slope
        self.results = {
            "energy": energy.item(),
            "free_energy": energy.item(),
            "forces": forces,
            "stress": ((virial + virial.T) / 2 / self.atoms.get_volume())[_VOIGT],
            "magmoms": moments.detach().numpy(),
        }

    def _network(
        self, numbers: NDArray[np.int64], graph: _Graph, vectors: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Energy in eV and magnetic moments; differentiable in the vectors of the bonds."""
        model, short = self.model, graph.n_short
        elements = torch.from_numpy(numbers) - 1
        lengths = vectors.norm(dim=1)
        basis = model.bond_basis_expansion.rbf_expansion_ag(lengths)
        atoms = model.atom_embedding(elements)
        near, far = model.bond_embedding(basis).split([short, len(basis) - short])
        edge_weights = model.bond_weights_ag(basis).repeat(2, 1)
        angles, angle_weights = self._angles(graph, vectors[:short], lengths[:short])
        whole = torch.ones_like(angle_weights)
        for i, atom_gate in enumerate(self._atom_gates):
            met = [(0, atoms), (1, near), (1, far), (2, atoms)]
            sums = atom_gate(met, graph.edge_rows, edge_weights, graph.edge_centers, len(atoms))
            update = model.atom_conv_layers[i].mlp_out(sums)
            if i == len(self._bond_gates):
                break
            atoms = atoms + update
            met = [(0, near), (1, near), (2, angles), (3, atoms)]
            sums = self._bond_gates[i](met, graph.angle_rows, angle_weights, graph.angle_bonds, short)
            near = near + model.bond_conv_layers[i].mlp_out(sums)
            if i < len(self._angle_gates):
                met = [(0, near), (1, near), (2, angles), (3, atoms)]
                own = np.arange(len(angles))
                angles = angles + self._angle_gates[i](met, graph.angle_rows, whole, own, len(angles))
        moments = model.site_wise(atoms).abs().view(-1)
        energy = model.mlp(model.readout_norm(atoms + update)).sum()
        return energy + model.composition_model.fc.weight[0, elements].sum(), moments

    def _angles(
        self, graph: _Graph, vectors: torch.Tensor, lengths: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features of the angles and the weights of their messages."""
        model = self.model
        unit = vectors / lengths[:, None]
        first, second = torch.cat([unit, -unit])[graph.angle_edges]
        weights = model.bond_weights_bg(model.bond_basis_expansion.rbf_expansion_bg(lengths))
        one, other = (weights[bonds] for bonds in graph.angle_edges % max(len(vectors), 1))
        return model.angle_embedding(model.angle_basis_expansion(first, second)), one * other


def _check(model: Any) -> None:
    from chgnet.model.composition_model import AtomRef

    known, options = _OPTIONS | _UNSAID, _UNSAID | model.model_args
    other = {name: options[name] for name, value in known.items() if options[name] != value}
    if other:
        raise ValueError(f"CHGNet of another structure than the pretrained one's: {other}")
    if not isinstance(model.composition_model, AtomRef):
        raise ValueError("CHGNet without the reference energies of the elements")


@dataclass(frozen=True)
class _Graph:
    """Bonds of a crystal, each once and the short ones first; edge i and i + n_bonds are bond i's two ways.

    ``*_rows`` are what meets at an edge or angle, counted through the features in the order of _network.
    """

    vectors: NDArray[np.float64]
    centers: NDArray[np.int64]
    neighbors: NDArray[np.int64]
    n_short: int
    edge_centers: NDArray[np.int64]
    edge_rows: NDArray[np.int64]
    angle_edges: torch.Tensor
    angle_bonds: NDArray[np.int64]
    angle_rows: NDArray[np.int64]


def _graph(atoms: Atoms, cutoff: float, angle_cutoff: float) -> _Graph:
    cell, positions, n = np.ascontiguousarray(atoms.cell), np.ascontiguousarray(atoms.positions), len(atoms)
    pbc = atoms.pbc.astype(np.int64)
    centers, neighbors, images, lengths = find_points_in_spheres(
        positions, positions, r=cutoff, pbc=pbc, lattice=cell, tol=1e-8
    )
    if len(np.unique(centers[lengths > 1e-8])) < n:
        warnings.warn(
            "an atom has no neighbour within CHGNet's reach; its energy is not to be trusted", stacklevel=2
        )
    one_way = (neighbors > centers) | ((neighbors == centers) & (images @ [1e6, 1e3, 1.0] > 0))
    order = np.flatnonzero(one_way)
    order = order[np.argsort(lengths[order] >= angle_cutoff, kind="stable")]
    centers, neighbors, images = centers[order], neighbors[order], images[order]
    n_bonds, short = len(order), int((lengths[order] < angle_cutoff).sum())
    edge_centers, edge_neighbors = np.r_[centers, neighbors], np.r_[neighbors, centers]
    bonds = np.tile(np.arange(n_bonds), 2)
    near = np.r_[centers[:short], neighbors[:short]]
    meet = near[:, None] == near
    np.fill_diagonal(meet, False)
    first, second = np.nonzero(meet)
    n_angles, one, other = len(first), first % max(short, 1), second % max(short, 1)
    angle_parts = (one, short + other, 2 * short + np.arange(n_angles), 2 * short + n_angles + near[first])
    return _Graph(
        vectors=positions[centers] - positions[neighbors] - images @ cell,
        centers=centers,
        neighbors=neighbors,
        n_short=short,
        edge_centers=edge_centers,
        edge_rows=np.stack([edge_centers, n + bonds, n + n_bonds + edge_neighbors], axis=1),
        angle_edges=torch.from_numpy(np.stack([first, second])),
        angle_bonds=one,
        angle_rows=np.stack(angle_parts, axis=1),
    )
