"""GPAW oracle: PBE in plane waves, by a protocol of stated accuracy, in a process of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from ase.units import GPa

from niobe.config.errors import ConfigError
from niobe.config.settings import Settings
from niobe.config.spec import CampaignSpec
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import (
    Answer,
    CalculationDiedError,
    Deadline,
    fmax_with_stress,
    require_converged,
)
from niobe.flows.oracles.gpaw.curvature import curvature
from niobe.flows.oracles.gpaw.process import ask, installed, python
from niobe.flows.oracles.gpaw.protocols import GASES, PROTOCOLS, Protocol, starting_moments
from niobe.flows.oracles.potentials import MAX_VOLUME_PER_ATOM, MIN_VOLUME_PER_ATOM, UnphysicalAnswerError
from niobe.loop.crystals.validity import collapsed_distance

if TYPE_CHECKING:
    from pymatgen.core import Structure


@dataclass
class GpawOracle:
    """Relaxation and static runs by ``oracle.protocol``. Energies are raw PBE, as MP2020 is VASP's."""

    spec: OracleSpec
    is_dft = True
    corrected = False
    _deadline: Deadline = field(default_factory=Deadline, init=False)

    @staticmethod
    def check_machine(spec: CampaignSpec) -> None:
        """Raises ConfigError where GPAW, what starts its ranks, or a PAW dataset of an element is missing."""
        if Settings().gpaw_ranks > 1 and shutil.which("mpiexec") is None:
            raise ConfigError("oracle gpaw: several ranks need mpiexec, which is not there; allowed: 1 rank")
        missing = sorted(set(spec.elements) - set(installed(python())["elements"]))
        if missing:
            raise ConfigError(f"oracle gpaw: gpaw-data has no PBE dataset of {', '.join(missing)}")

    @property
    def protocol(self) -> Protocol:
        """How accurately it is asked."""
        return PROTOCOLS[self.spec.protocol]

    @property
    def fingerprint(self) -> str:
        """Code, datasets and all that energies hang on. Raises ConfigError where GPAW is not installed."""
        there = installed(python())
        which = f"GPAW {there['gpaw']} gpaw-data {there['data']}"
        return f"{which} {self.spec.protocol} ({self.protocol.words()}), uncorrected"

    def relax(self, structure: Structure, folder: Path) -> Answer:
        """Relax cell and sites with the Pulay stress put right; of a gas of molecules the sites only.

        The search begins with the curvature of a potential, which moves its path and not its end.
        Forces and stress are what the relaxation left; the energy is of a static run afterwards, with plane
        waves and mesh of the last cell.
        Raises NotConvergedError.
        """
        gas = _is_gas(structure)
        fmax = self.spec.fmax if gas else fmax_with_stress(structure, self.spec.fmax)
        bends = None if gas else curvature(structure).tolist()
        more = {"cell": not gas, "fmax": fmax, "steps": self.spec.max_steps, "curvature": bends}
        content = self._asked([structure], folder, relax=True, **more)
        (found,) = content["answers"]
        answer = _answer(structure, found, content["steps"], content["stress"])
        require_converged(answer, self.spec.fmax)
        return answer

    def static(self, structures: Sequence[Structure], folder: Path) -> list[Answer]:
        """Energy and forces as the structures stand, one process for all."""
        content = self._asked(structures, folder, relax=False)
        return [_answer(*pair, 1) for pair in zip(structures, content["answers"], strict=True)]

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Kill what runs inside once ``seconds`` of wall time are used."""
        return self._deadline.within(seconds)

    def _asked(self, structures: Sequence[Structure], folder: Path, **more: Any) -> dict[str, Any]:
        for structure in structures:
            _check(structure)
        task = {
            "structures": [self._content(structure) for structure in structures],
            "protocol": self.protocol.settings(),
            "memory": Settings().gpaw_memory,
        }
        place = folder / ("relax" if more["relax"] else "static")
        (place / "step.json").unlink(missing_ok=True)
        return self._bounded(lambda: ask(task | more, place, self._deadline.at))

    def _bounded(self, run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """Run again what died, from where its relaxation had come, ``retries`` times."""
        for _ in range(self.spec.retries):
            try:
                return run()
            except CalculationDiedError:
                continue
        return run()

    def _content(self, structure: Structure) -> dict[str, Any]:
        symbols = [site.specie.symbol for site in structure]
        return {
            "symbols": symbols,
            "cell": structure.lattice.matrix.tolist(),
            "positions": structure.cart_coords.tolist(),
            "moments": starting_moments(symbols, orderings=self.protocol.orderings),
        }


def _is_gas(structure: Structure) -> bool:
    """Whether it is one element that is a gas of molecules."""
    return len(structure.composition) == 1 and structure[0].specie.symbol in GASES


def _check(structure: Structure) -> None:
    """Raises UnphysicalAnswerError for what GPAW would answer without a word."""
    volume = structure.volume / len(structure)
    most = np.inf if _is_gas(structure) else MAX_VOLUME_PER_ATOM
    if not MIN_VOLUME_PER_ATOM <= volume <= most:
        raise UnphysicalAnswerError(f"volume {volume:.3g} Å³/atom; allowed {MIN_VOLUME_PER_ATOM} to {most:g}")
    if collapsed_distance(structure):
        raise UnphysicalAnswerError("sites are closer than any bond")


def _answer(
    structure: Structure, answer: dict[str, Any], steps: int, stress: Sequence[float] | None = None
) -> Answer:
    from ase.stress import voigt_6_to_full_3x3_stress
    from pymatgen.core import Structure

    species = [site.specie.symbol for site in structure]
    end = Structure(answer["cell"], species, answer["positions"], coords_are_cartesian=True)
    forces = np.asarray(answer["forces"], dtype=float)
    full = None if stress is None else -voigt_6_to_full_3x3_stress(np.array(stress)) / GPa
    return Answer(end, float(answer["energy"]), forces, steps, stress=full)
