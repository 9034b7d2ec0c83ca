"""Force-field oracle: atomate2's force-field Makers on a potential loaded once a process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.config.potentials import LABELS
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import KILOBAR, Answer, most_stress, require_converged, residual, run_job
from niobe.flows.oracles.potentials import potential, wall_time, weights_digest
from niobe.loop.stability.corrections import scheme

if TYPE_CHECKING:
    from pymatgen.core import Structure


def _calculator(name: str) -> dict[str, Any]:
    """The keyword arguments by which an atomate2 force-field Maker finds our potential again."""
    return {
        "force_field_name": {"@module": potential.__module__, "@callable": potential.__name__},
        "calculator_kwargs": {"name": name},
        "ionic_step_data": ("energy",),
    }


def relax_maker(spec: OracleSpec, stepping: Mapping[str, float] | None = None) -> Any:
    """atomate2 ForceFieldRelaxMaker of cell and sites, with the campaign's fmax and steps.

    stepping: arguments of ASE's BFGS.
    """
    from atomate2.forcefields.jobs import ForceFieldRelaxMaker

    from niobe.flows.oracles.cells import CellFilter

    return ForceFieldRelaxMaker(
        **_calculator(spec.name),
        steps=spec.max_steps,
        relax_kwargs={"fmax": spec.fmax, "cell_filter": CellFilter} | dict(stepping or {}),
        optimizer_kwargs={"optimizer": "BFGS"},
    )


def static_maker(spec: OracleSpec) -> Any:
    """atomate2 ForceFieldStaticMaker; takes one structure or a list of them."""
    from atomate2.forcefields.jobs import ForceFieldStaticMaker

    return ForceFieldStaticMaker(**_calculator(spec.name))


@dataclass(frozen=True)
class ForceFieldOracle:
    """7net-0, 7net-l3i5, chgnet, emt or lj by name. stepping: arguments of the BFGS that relaxes."""

    spec: OracleSpec
    stepping: Mapping[str, float] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        raw = f"force-field {self.spec.name} {weights_digest(self.spec.name)}"
        return f"{raw}, {scheme()}" if self.corrected else raw

    @property
    def corrected(self) -> bool:
        return self.spec.corrections == "mp2020" and LABELS[self.spec.name] == "GGA/GGA+U"

    def relax(self, structure: Structure, folder: Path) -> Answer:
        """Relax cell and sites, twice where the first leaves force or stress: the filter scales its forces.

        Raises NotConvergedError.
        """
        potential(self.spec.name)
        answer = self._relax_once(structure, folder)
        if residual(answer, self.spec.fmax):
            answer = self._relax_once(answer.structure, folder)
        require_converged(answer, self.spec.fmax)
        return answer

    def _relax_once(self, structure: Structure, folder: Path) -> Answer:
        """To forces on the cell, volume × stress / atoms (eV/Å), that leave no more stress than may be."""
        from ase.units import GPa

        on_cell = most_stress(self.spec.fmax) * GPa * structure.volume / len(structure)
        tight = self.spec.model_copy(update={"fmax": min(self.spec.fmax, on_cell)})
        return _answer(run_job(relax_maker(tight, self.stepping).make(structure), folder))

    def relax_briefly(self, structure: Structure, folder: Path) -> Answer:
        """Relax as far as ``max_steps`` reach, converged or not."""
        return _answer(run_job(relax_maker(self.spec, self.stepping).make(structure), folder))

    def static(self, structures: Sequence[Structure], folder: Path) -> list[Answer]:
        """Energy and forces, one by one: a batch does not pay on a CPU."""
        potential(self.spec.name)
        documents = run_job(static_maker(self.spec).make(list(structures)), folder)
        return [_answer(document) for document in documents]

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Loading the model takes none of them."""
        potential(self.spec.name)
        static_maker(self.spec)
        return wall_time(seconds)


def _answer(document: Any) -> Answer:
    from pymatgen.core import Structure

    output = document.output
    relaxed = output.structure
    return Answer(
        structure=Structure(relaxed.lattice, [site.specie for site in relaxed], relaxed.frac_coords),
        energy=float(output.energy),
        forces=np.asarray(output.forces, dtype=float),
        steps=int(output.n_steps or 1),
        stress=None if output.stress is None else np.asarray(output.stress, dtype=float) * KILOBAR,
    )
