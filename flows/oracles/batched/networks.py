"""Potentials as torch-sim asks them.

torch-sim 0.3, the last for Python 3.11, and sevenn 0.13 each ship a SevenNet for another version of the
other, and none ships CHGNet.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from ase.units import GPa
from torch_sim.models.interface import ModelInterface

from niobe.flows.oracles.potentials import CHGNETS


class _Network(ModelInterface):
    """A network of single precision. device: ``cpu`` or ``cuda``."""

    _dtype = torch.float32
    _compute_stress = _compute_forces = True

    def __init__(self, device: str) -> None:
        super().__init__()
        self._device = torch.device(device)

    def __call__(self, state: Any) -> dict[str, torch.Tensor]:
        answer: dict[str, torch.Tensor] = super().__call__(state)
        return answer


class SevenNet(_Network):
    """A SevenNet without modalities, with the convolutions as SevenNet has them."""

    def __init__(self, checkpoint: str, device: str) -> None:
        from sevenn.util import load_checkpoint

        super().__init__(device)
        network = load_checkpoint(checkpoint).build_model()
        network.set_is_batch_data(True)
        network.eval_type_map = torch.tensor(True)
        self.reach = torch.tensor(network.cutoff)
        network.eval()
        self.network = network.to(self._device)

    def forward(self, state: Any) -> dict[str, torch.Tensor]:
        """Energies (n,), eV, forces (atoms, 3), eV/Å, and stresses (n, 3, 3), eV/Å³, negative where a cell is
        compressed. state: of torch-sim."""
        import sevenn._keys as key
        from torch_geometric.data import Batch

        graphs = [self._graph(state, row) for row in range(state.n_systems)]
        found = self.network(Batch.from_data_list(graphs).to(self._device))
        return {
            "energy": found[key.PRED_TOTAL_ENERGY].detach(),
            "forces": found[key.PRED_FORCE].detach(),
            "stress": -found[key.PRED_STRESS].detach()[:, _VOIGT],
        }

    def _graph(self, state: Any, row: int) -> Any:
        import sevenn._keys as key
        from sevenn.atom_graph_data import AtomGraphData
        from torch_sim.neighbors import vesin_nl_ts

        there = state.system_idx == row
        places, numbers = state.positions[there], state.atomic_numbers[there].long()
        cell = state.row_vector_cell[row]
        edges, images = vesin_nl_ts(positions=places, cell=cell, pbc=True, cutoff=self.reach)
        graph = {
            key.NODE_FEATURE: numbers,
            key.ATOMIC_NUMBERS: numbers,
            key.POS: places,
            key.EDGE_IDX: edges,
            key.EDGE_VEC: places[edges[1]] - places[edges[0]] + images @ cell,
            key.CELL: cell,
            key.CELL_SHIFT: images,
            key.CELL_VOLUME: torch.det(cell),
            key.NUM_ATOMS: torch.tensor(len(numbers), device=self._device),
            key.INFO: {},
        }
        return AtomGraphData(**graph)


_VOIGT = [[0, 3, 5], [3, 1, 4], [5, 4, 2]]
"""Places of a stress tensor's components in SevenNet's six (xx yy zz xy yz zx, of the sign of a pressure)."""


class CHGNet(_Network):
    """A CHGNet. name: of ``CHGNETS``."""

    def __init__(self, name: str, device: str) -> None:
        from chgnet.model import CHGNet as Model

        super().__init__(device)
        network = Model.load(model_name=CHGNETS[name], use_device=device, verbose=False)
        network.eval()
        self.network = network

    def forward(self, state: Any) -> dict[str, torch.Tensor]:
        """As ``SevenNet.forward``. state: of torch-sim."""
        structures = state.to_structures()
        graphs = [self.network.graph_converter(one).to(self._device) for one in structures]
        found = self.network(graphs, task="efs")
        sizes = torch.tensor([len(one) for one in structures], device=self._device)
        return {
            "energy": found["e"].detach().reshape(-1) * (sizes if self.network.is_intensive else 1),
            "forces": torch.cat([forces.detach() for forces in found["f"]]),
            "stress": torch.stack([stress.detach() for stress in found["s"]]) * float(np.float32(GPa)),
        }


@functools.cache
def network(name: str, device: str) -> _Network:
    """The potential, loaded once a process. name: of ``BATCHED``. device: ``cpu`` or ``cuda``."""
    return CHGNet(name, device) if name in CHGNETS else SevenNet(name, device)
