"""What answers inside the mock: a potential in this process, or one served over a Unix socket."""

from __future__ import annotations

import json
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from niobe.flows.oracles.mock_vasp.inputs import Array, Cell

SOCKET_PREFIX = "socket:"
_TIMEOUT = 600.0


class PotentialError(RuntimeError):
    """The potential could not answer."""


@dataclass(frozen=True)
class Response:
    """energy: eV; forces: eV/Å, shape (n_atoms, 3); stress: eV/Å³, shape (3, 3), positive in tension."""

    energy: float
    forces: Array
    stress: Array


class Potential(Protocol):
    """Answers for a cell. ``name`` says which potential and which weights."""

    @property
    def name(self) -> str: ...

    def __call__(self, cell: Cell) -> Response: ...


class LocalPotential:
    """One of the project's potentials, loaded in this process."""

    def __init__(self, name: str) -> None:
        from niobe.flows.oracles.potentials import potential, weights_digest

        self._calculator = potential(name)
        self.name = f"{name}-{weights_digest(name)}"

    def __call__(self, cell: Cell) -> Response:
        """Raises PotentialError where the structure or the answer lies outside physics."""
        from ase import Atoms

        from niobe.flows.oracles.potentials import UnphysicalAnswerError

        atoms = Atoms(cell.symbols, cell=cell.lattice, scaled_positions=cell.positions, pbc=True)
        try:
            self._calculator.calculate(atoms, ["energy", "forces", "stress"])
        except (UnphysicalAnswerError, NotImplementedError) as error:
            raise PotentialError(f"{type(error).__name__}: {error}") from None
        results = self._calculator.results
        return Response(float(results["energy"]), np.array(results["forces"]), _full(results["stress"]))


class ServedPotential:
    """A potential behind the Unix socket of ``mock-vasp-serve``; one JSON line each way per question."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_TIMEOUT)
        try:
            self._socket.connect(str(path))
        except OSError as error:
            raise PotentialError(f"socket:{path}: nothing answers ({error})") from None
        self._stream = self._socket.makefile("rw", encoding="utf-8")
        self.name = str(self._ask({})["name"])

    def __call__(self, cell: Cell) -> Response:
        """Raises PotentialError where the server could not answer."""
        answer = self._ask(question(cell))
        return Response(answer["energy"], np.array(answer["forces"]), np.array(answer["stress"]))

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def _ask(self, content: dict[str, Any]) -> dict[str, Any]:
        try:
            self._stream.write(json.dumps(content) + "\n")
            self._stream.flush()
            line = self._stream.readline()
        except OSError as error:
            raise PotentialError(f"mock-vasp-serve went away ({error})") from None
        answer: dict[str, Any] = json.loads(line) if line else {"error": "mock-vasp-serve went away"}
        if "error" in answer:
            raise PotentialError(answer["error"])
        return answer


def open_potential(name: str) -> Potential:
    """The potential that MOCK_VASP_POTENTIAL names: ``emt``, ``lj``, ``7net-0``, … or ``socket:PATH``."""
    if name.startswith(SOCKET_PREFIX):
        return ServedPotential(Path(name.removeprefix(SOCKET_PREFIX)))
    return LocalPotential(name)


def question(cell: Cell) -> dict[str, Any]:
    """A cell as the server is asked about it."""
    return {
        "symbols": cell.symbols,
        "lattice": cell.lattice.tolist(),
        "positions": cell.positions.tolist(),
    }


def answer_to(potential: Potential, content: dict[str, Any]) -> dict[str, Any]:
    """What the server answers to one question: its name to an empty one, else energy, forces and stress."""
    if not content:
        return {"name": potential.name}
    cell = Cell(
        tuple(content["symbols"]), np.array(content["lattice"], float), np.array(content["positions"], float)
    )
    try:
        found = potential(cell)
    except PotentialError as error:
        return {"error": str(error)}
    return {"energy": found.energy, "forces": found.forces.tolist(), "stress": found.stress.tolist()}


def _full(stress: Array) -> Array:
    """Voigt (6,) to (3, 3)."""
    xx, yy, zz, yz, xz, xy = stress
    return np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
