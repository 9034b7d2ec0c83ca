"""What every oracle can do, and how an atomate2 Maker's answer becomes ours."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from niobe.loop.stability.corrections import mp2020_correction

if TYPE_CHECKING:
    from pymatgen.core import Structure


FIND_FMAX = 0.005
"""eV/Å: forces on the atoms of a find are below this."""
KILOBAR = 0.1
"""GPa."""
_MOST_STRESS, _MOST_STRESS_OF_FINDS = 0.5, 0.1  # GPa


def most_stress(fmax: float) -> float:
    """Largest stress component (GPa) beyond the pressure that a relaxation to ``fmax`` (eV/Å) may leave: 0.1
    of a find's, else 0.5."""
    return _MOST_STRESS_OF_FINDS if fmax <= FIND_FMAX else _MOST_STRESS


def fmax_with_stress(structure: Structure, fmax: float) -> float:
    """To which forces (eV/Å) a relaxation has to go that ends by atoms and cell alike: the force on the cell,
    volume × stress / atoms, then leaves no more than ``most_stress``.

    structure: where it starts. fmax: of the atoms, eV/Å.
    """
    from ase.units import GPa

    return min(fmax, float(most_stress(fmax) * GPa * structure.volume / len(structure)))


class NotConvergedError(RuntimeError):
    """The relaxation ended with forces above fmax, or with stress."""


class CalculationDiedError(RuntimeError):
    """The program was killed, crashed or left its files incomplete, more often than it may be tried again."""


class NoCureError(RuntimeError):
    """custodian knew what was wrong and its corrections did not help."""


class UnknownFingerprintError(RuntimeError):
    """A program that says what it is only when it answers has not answered yet."""


@dataclass(frozen=True)
class Answer:
    """energy: eV for the cell, uncorrected; forces: eV/Å, shape (n_atoms, 3); steps: ionic steps taken.

    parameters: of the DFT run, as pymatgen's entries have them; None for a potential's answer.
    stress: GPa, shape (3, 3), positive where the cell is compressed, as VASP has it; None where the oracle
    gives none. pressure: under which it was asked, GPa. potcars: name and hash of each element's POTCAR.
    seconds: what it took, where that was before it is asked for: among others, in a batch.
    """

    structure: Structure
    energy: float
    forces: NDArray[np.float64]
    steps: int
    parameters: Mapping[str, Any] | None = None
    stress: NDArray[np.float64] | None = None
    pressure: float = 0.0
    potcars: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def energy_per_atom(self) -> float:
        return self.energy / len(self.structure)

    @property
    def enthalpy_per_atom(self) -> float:
        """E + pV, eV/atom: what phases compete by under a pressure; at 0 GPa the energy."""
        from ase.units import GPa

        return self.energy_per_atom + self.pressure * GPa * self.structure.volume / len(self.structure)

    @property
    def max_force(self) -> float:
        """Largest force on an atom, eV/Å."""
        return float(np.linalg.norm(self.forces, axis=1).max())

    @property
    def max_stress(self) -> float | None:
        """Largest component of the stress beyond that of the pressure, GPa."""
        return None if self.stress is None else float(np.abs(self.stress - self.pressure * np.eye(3)).max())


class Oracle(Protocol):
    """Answers for a structure. fingerprint: code, model or functional, and what else energies hang on."""

    @property
    def fingerprint(self) -> str:
        """Two energies may meet in one hull only where this is equal."""

    @property
    def corrected(self) -> bool:
        """Whether its energies are raw and get MP2020 corrections before they meet others."""

    def relax(self, structure: Structure, folder: Path) -> Answer:
        """Relax cell and sites. Raises NotConvergedError, or what the backend raises."""

    def static(self, structures: Sequence[Structure], folder: Path) -> list[Answer]:
        """Energy and forces as the structures stand, in the same order."""

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Stop what runs inside once ``seconds`` of wall time are used."""


@runtime_checkable
class AsksTogether(Protocol):
    """An oracle that may be asked about many structures at once; its fingerprint is not looked at to tell."""

    @property
    def at_once(self) -> int:
        """How many atoms it is asked about at once; 0: structures are asked about one by one."""

    def having_relaxed(self, structures: Sequence[Structure], seconds: float) -> Oracle:
        """This oracle, which has relaxed these structures together and answers when it is asked to.

        What did not come to an end so, it relaxes when it is asked. seconds: for each of them.
        """


def residual(answer: Answer, fmax: float) -> str:
    """What a relaxation to ``fmax`` (eV/Å) left too much of, forces or stress, in words; "" where nothing."""
    if not answer.max_force <= fmax:
        return f"largest force {answer.max_force:.3g} eV/Å; fmax {fmax}"
    stress, most = answer.max_stress, most_stress(fmax)
    return "" if stress is None or stress <= most else f"stress of {stress:.3g} GPa; at most {most}"


def require_converged(answer: Answer, fmax: float) -> None:
    """Raises NotConvergedError for what ``residual`` names."""
    if left := residual(answer, fmax):
        raise NotConvergedError(f"{left}, after {answer.steps} steps")


def relaxed_by(relax: Callable[[Structure], Answer], structure: Structure, fmax: float) -> Answer:
    """The answer of a relaxation, run once more from its end where it left force or stress. Steps: of
    both.

    relax: one run of it. structure: where it starts. fmax: of the atoms, eV/Å. Raises NotConvergedError.
    """
    answer = relax(structure)
    if residual(answer, fmax):
        again = relax(answer.structure)
        answer = replace(again, steps=answer.steps + again.steps)
    require_converged(answer, fmax)
    return answer


@dataclass
class Deadline:
    """Until when a program may run. at: seconds since the epoch; infinite for as long as it likes."""

    at: float = float("inf")

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """What runs inside has ``seconds`` of wall time."""
        self.at = time.time() + seconds
        try:
            yield
        finally:
            self.at = float("inf")


def correction_of(oracle: Oracle, answer: Answer) -> float:
    """What an answer's energy lacks of the campaign's scale, eV/atom.

    Raises CorrectionError where it cannot be brought there.
    """
    if not oracle.corrected:
        return 0.0
    return mp2020_correction(answer.structure, answer.parameters) / len(answer.structure)


def run_job(job: Any, folder: Path) -> Any:
    """Run a job or flow of an atomate2 Maker in ``folder`` and return the output of its last job.

    The documents stay in memory: what the campaign keeps of them goes into the structure record.
    """
    from jobflow import JobStore, run_locally
    from maggma.stores import MemoryStore

    folder.mkdir(parents=True, exist_ok=True)
    store = JobStore(MemoryStore(), additional_stores={"data": MemoryStore()})
    here = Path.cwd()
    try:
        responses = run_locally(
            job, log=False, store=store, create_folders=True, root_dir=folder, raise_immediately=True
        )
    finally:
        os.chdir(here)
    last = job.jobs[-1] if hasattr(job, "jobs") else job
    while hasattr(last, "jobs"):
        last = last.jobs[-1]
    return responses[last.uuid][max(responses[last.uuid])].output
