"""``python -m tests.benchmarks.batched_relaxations``: relaxations a minute, many at once by torch-sim.

Beside one core of a processor that relaxes one after the other as a campaign does. torch-sim is installed by
``pip install 'niobe-crystals[batched]'``.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from ase.units import GPa
from numpy.typing import NDArray
from pymatgen.core import Structure

from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import Answer
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.potentials import where
from tests.benchmarks.publish import publish
from tests.benchmarks.relaxations import known_phases

NAME, POTENTIAL = "tests.benchmarks.batched_relaxations", "7net-0"
ATOMS, SHAKEN = 12, 0.1  # Å
FMAX, STEPS = 0.05, 500  # eV/Å
CELLS = {"cpu": 16, "cuda": 1024}
ALONE = 16
ENERGY, FORCE, STRESS = 1e-4, 1e-3, 0.01
"""eV/atom, eV/Å and GPa by which an answer in a batch may differ from one alone: single precision."""
_SAME_END = 2e-3  # eV/atom


@dataclass(frozen=True)
class Batch:
    """Answers of torch-sim, in the order of the structures.

    energies: eV/atom, shape (n,). forces: eV/Å, of all atoms, shape (atoms, 3). stresses: GPa, shape
    (n, 3, 3), positive where a cell is compressed. seconds: that they took.
    """

    energies: NDArray[np.float64]
    forces: NDArray[np.float64]
    stresses: NDArray[np.float64]
    seconds: float


def main() -> None:
    """Compare answers, relax both ways and publish."""
    parser = argparse.ArgumentParser(prog=f"python -m {NAME}")
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "cpu"))
    parser.add_argument("--cells", type=int, help="relaxed in a batch; else 16 on a CPU, 1024 on a GPU")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    device, started = where(asked.device), time.monotonic()
    cells = crystals(asked.cells or CELLS[device])
    apart = differences(device, cells[:ALONE])
    batch, alone = relaxed_together(device, cells), relaxed_alone(cells[:ALONE])
    report(device, cells, apart, batch, alone, time.monotonic() - started)


def crystals(most: int) -> list[Structure]:
    """Known compounds of 12 atoms, their sites shaken by 0.1 Å, again and again until there are so many.

    most: how many.
    """
    known = [phase for _, phase in known_phases(ATOMS) if len(phase) == ATOMS]
    chosen = itertools.islice(itertools.cycle(known[:: max(1, len(known) // most)]), most)
    return [phase.copy().perturb(SHAKEN, seed=seed) for seed, phase in enumerate(chosen)]


def model(device: str) -> Any:
    """7net-0 as torch-sim asks it, written out here: torch-sim 0.3, the last for Python 3.11, and sevenn 0.13
    each ship one for another version of the other. device: ``cpu`` or ``cuda``."""
    import sevenn._keys as key
    from sevenn.atom_graph_data import AtomGraphData
    from sevenn.util import load_checkpoint
    from torch_geometric.data import Batch as Graphs
    from torch_sim.models.interface import ModelInterface
    from torch_sim.neighbors import vesin_nl_ts

    class Sevennet(ModelInterface):
        _device, _dtype = torch.device(device), torch.float32
        _compute_stress = _compute_forces = True

        def __init__(self) -> None:
            super().__init__()
            network = load_checkpoint(POTENTIAL).build_model()
            network.set_is_batch_data(True)
            network.eval_type_map = torch.tensor(True)
            self.reach = torch.tensor(network.cutoff)
            self.network = network.to(self._device).eval()

        def forward(self, state: Any) -> dict[str, torch.Tensor]:
            graphs = [self._graph(state, row) for row in range(state.n_systems)]
            found = self.network(Graphs.from_data_list(graphs).to(self._device))
            stress = _tensor(found[key.PRED_STRESS].detach())
            energy, forces = (found[what].detach() for what in (key.PRED_TOTAL_ENERGY, key.PRED_FORCE))
            return {"energy": energy, "forces": forces, "stress": stress}

        def _graph(self, state: Any, row: int) -> Any:
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

    return Sevennet()


def _tensor(stress: torch.Tensor) -> torch.Tensor:
    """SevenNet's six numbers (xx yy zz xy yz zx, of the sign of a pressure) as ASE's tensors."""
    rows = [[0, 3, 5], [3, 1, 4], [5, 4, 2]]
    return -stress[:, rows]


def asked_together(device: str, structures: Sequence[Structure]) -> Batch:
    """Energies, forces and stresses as the structures stand. device: ``cpu`` or ``cuda``."""
    import torch_sim

    network, started = model(device), time.monotonic()
    state = torch_sim.initialize_state(list(structures), network.device, network.dtype)
    found = network(state)
    return _batch(structures, found["energy"], found["forces"], found["stress"], started)


def relaxed_together(device: str, structures: Sequence[Structure]) -> Batch:
    """Sites and cells relaxed by FIRE in Fréchet's coordinates of the cell, what has converged making room
    for the next on a GPU. device: ``cpu`` or ``cuda``."""
    import torch_sim

    network, started = model(device), time.monotonic()
    end = torch_sim.optimize(
        list(structures),
        network,
        optimizer=torch_sim.frechet_cell_fire,
        convergence_fn=torch_sim.generate_force_convergence_fn(FMAX, include_cell_forces=True),
        max_steps=STEPS,
        autobatcher=device == "cuda",
    )
    found: Any = end
    return _batch(structures, found.energy, found.forces, found.stress, started)


def _batch(structures: Sequence[Structure], energy: Any, forces: Any, stress: Any, started: float) -> Batch:
    energies = energy.detach().cpu().double().numpy()
    return Batch(
        energies / np.array([len(structure) for structure in structures]),
        forces.detach().cpu().double().numpy(),
        -stress.detach().cpu().double().numpy() / GPa,
        time.monotonic() - started,
    )


def relaxed_alone(structures: Sequence[Structure]) -> tuple[list[Answer], float]:
    """One after the other, as a campaign relaxes on one core of a processor: answers and seconds."""
    oracle = ForceFieldOracle(OracleSpec(name=POTENTIAL, device="cpu", fmax=FMAX, max_steps=STEPS))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with TemporaryDirectory() as folder:
        oracle.static(structures[:1], Path(folder))
        started = time.monotonic()
        answers = [oracle.relax_briefly(structure, Path(folder)) for structure in structures]
    torch.set_num_threads(threads)
    return answers, time.monotonic() - started


def differences(device: str, structures: Sequence[Structure]) -> dict[str, float]:
    """The largest between what a batch answers and what Niobe's potential answers alone on a processor.

    device: of the batch. structures: as they stand.
    """
    oracle = ForceFieldOracle(OracleSpec(name=POTENTIAL, device="cpu"))
    batch = asked_together(device, structures)
    with TemporaryDirectory() as folder:
        alone = oracle.static(structures, Path(folder))
    stresses = np.array([answer.stress for answer in alone])
    return {
        "energy, eV/atom": float(np.abs(batch.energies - [a.energy_per_atom for a in alone]).max()),
        "force, eV/Å": float(np.abs(batch.forces - np.vstack([a.forces for a in alone])).max()),
        "stress, GPa": float(np.abs(batch.stresses - stresses).max()),
    }


def agree(apart: dict[str, float]) -> bool:
    """Whether ``differences`` are within single precision."""
    return all(found <= most for found, most in zip(apart.values(), (ENERGY, FORCE, STRESS), strict=True))


def report(
    device: str,
    cells: Sequence[Structure],
    apart: dict[str, float],
    batch: Batch,
    alone: tuple[list[Answer], float],
    seconds: float,
) -> None:
    """Publish relaxations a minute both ways."""
    answers, took = alone
    one, many = 60 * len(answers) / took, 60 * len(cells) / batch.seconds
    there = torch.cuda.get_device_name() if device == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    ends = np.abs(batch.energies[: len(answers)] - [answer.energy_per_atom for answer in answers])
    rows = [
        {"how": "Niobe, one after the other", "where": "one CPU core", "relaxations": len(answers)}
        | {"seconds": round(took, 1), "relaxations a minute": round(one, 1), "÷ one core": 1.0},
        {"how": "torch-sim, in a batch", "where": there, "relaxations": len(cells)}
        | {"seconds": round(batch.seconds, 1), "relaxations a minute": round(many, 1)}
        | {"÷ one core": round(many / one, 2)},
    ]
    publish(
        f"batched-relaxations-{device}",
        page="potentials",
        title=f"Relaxations in a batch by torch-sim, {device.upper()}",
        headline=f"{many:.0f} relaxations of {ATOMS} atoms a minute, {many / one:.2g} times one CPU core",
        command=f"python -m {NAME} --device {device}",
        rows=rows,
        seconds=seconds,
        order=40,
        notes=[
            f"{POTENTIAL}; known compounds of {ATOMS} atoms of ../shared/data/dev_mp_structures.parquet, "
            f"sites shaken by {SHAKEN} Å; sites and cell relaxed to {FMAX} eV/Å within {STEPS} steps, by "
            "FIRE in the batch and by BFGS that begins with springs one after the other",
            "largest differences of answers before relaxing, batch and alone: "
            + ", ".join(f"{what} {found:.1e}" for what, found in apart.items())
            + f"; allowed {ENERGY:g}, {FORCE:g}, {STRESS:g}: {'met' if agree(apart) else 'not met'}",
            f"{int((ends <= _SAME_END).sum())} of {len(ends)} end within {1e3 * _SAME_END:g} meV/atom of "
            "each other both ways",
        ],
    )


if __name__ == "__main__":
    main()
