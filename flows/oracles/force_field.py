"""Force-field oracle: atomate2's force-field Makers on a potential loaded once a process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from niobe.config.potentials import LABELS
from niobe.config.spec import CampaignSpec
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import (
    KILOBAR,
    Answer,
    NotConvergedError,
    fmax_with_stress,
    relaxed_by,
    run_job,
)
from niobe.flows.oracles.calculators import asked, fingerprint
from niobe.flows.oracles.potentials import potential, wall_time, weights_digest, where
from niobe.loop.stability.corrections import scheme

if TYPE_CHECKING:
    from pymatgen.core import Structure


def which(spec: OracleSpec) -> dict[str, str]:
    """The arguments of ``potential``."""
    calculator = asked(spec) if spec.name == "ase" else ""
    return {"name": spec.name, "device": spec.device, "calculator": calculator}


def _calculator(spec: OracleSpec) -> dict[str, Any]:
    """The keyword arguments by which an atomate2 force-field Maker finds our potential again."""
    return {
        "force_field_name": {"@module": potential.__module__, "@callable": potential.__name__},
        "calculator_kwargs": which(spec),
        "ionic_step_data": ("energy",),
    }


def relax_maker(
    spec: OracleSpec,
    stepping: Mapping[str, float] | None = None,
    cell: Mapping[str, float | bool] | None = None,
) -> Any:
    """atomate2 ForceFieldRelaxMaker of cell and sites, with the campaign's fmax and steps.

    stepping: arguments of ASE's BFGS. cell: of its filter.
    """
    from atomate2.forcefields.jobs import ForceFieldRelaxMaker

    from niobe.flows.oracles.cells import CellFilter

    filtered = {"cell_filter": CellFilter, "filter_kwargs": dict(cell or {})}
    return ForceFieldRelaxMaker(
        **_calculator(spec),
        steps=spec.max_steps,
        relax_kwargs={"fmax": spec.fmax} | filtered | dict(stepping or {}),
        optimizer_kwargs={"optimizer": "BFGS"},
    )


def static_maker(spec: OracleSpec) -> Any:
    """atomate2 ForceFieldStaticMaker; takes one structure or a list of them."""
    from atomate2.forcefields.jobs import ForceFieldStaticMaker

    return ForceFieldStaticMaker(**_calculator(spec))


@dataclass(frozen=True)
class ForceFieldOracle:
    """A potential of ``POTENTIALS`` by name, or an ASE calculator by path.

    stepping: arguments of the BFGS that relaxes. pressure: under which it relaxes, GPa.
    """

    spec: OracleSpec
    stepping: Mapping[str, float] = field(default_factory=dict)
    pressure: float = 0.0
    is_dft: ClassVar[bool] = False

    @staticmethod
    def check_machine(spec: CampaignSpec) -> None:
        """Raises ConfigError where a calculator by path, or the device, cannot be used here."""
        for oracle in (spec.oracle, spec.phonon_oracle):
            if oracle.name == "ase":
                potential(**which(oracle))
            elif oracle.name not in {"emt", "lj"} and oracle.device == "cuda":
                where(oracle.device)

    @property
    def fingerprint(self) -> str:
        spec = self.spec
        which = fingerprint(spec) if spec.name == "ase" else weights_digest(spec.name)
        raw = f"force-field {spec.name} {which}"
        raw = f"{raw}, enthalpies at {self.pressure:.10g} GPa" if self.pressure else raw
        return f"{raw}, {scheme()}" if self.corrected else raw

    @property
    def corrected(self) -> bool:
        return self.spec.corrections == "mp2020" and LABELS[self.spec.name] in {"GGA/GGA+U", "declared"}

    def relax(self, structure: Structure, folder: Path) -> Answer:
        """Relax cell and sites, twice where the first leaves force or stress: the filter scales its forces.

        Raises NotConvergedError.
        """
        potential(**which(self.spec))
        return relaxed_by(lambda start: self._relax_once(start, folder), structure, self.spec.fmax)

    def _relax_once(self, structure: Structure, folder: Path) -> Answer:
        tight = self.spec.model_copy(update={"fmax": fmax_with_stress(structure, self.spec.fmax)})
        return self._relaxed(tight, structure, folder)

    def relax_briefly(self, structure: Structure, folder: Path) -> Answer:
        """Relax as far as ``max_steps`` reach, converged or not."""
        return self._relaxed(self.spec, structure, folder)

    def relax_at_volume(self, structure: Structure, folder: Path) -> Answer:
        """Relax sites and the shape of the cell. Raises NotConvergedError."""
        answer = self._relaxed(self.spec, structure, folder, constant_volume=True)
        if answer.max_force > self.spec.fmax:
            raise NotConvergedError(f"largest force {answer.max_force:.3g} eV/Å; fmax {self.spec.fmax}")
        return answer

    def _relaxed(self, spec: OracleSpec, structure: Structure, folder: Path, **cell: bool) -> Answer:
        from ase.units import GPa

        under = {"scalar_pressure": self.pressure * GPa} | cell
        maker = relax_maker(spec, self.stepping, under)
        return _answer(run_job(maker.make(structure), folder), self.pressure)

    def static(self, structures: Sequence[Structure], folder: Path) -> list[Answer]:
        """Energy and forces, one by one: a batch does not pay on a CPU."""
        potential(**which(self.spec))
        documents = run_job(static_maker(self.spec).make(list(structures)), folder)
        return [_answer(document, self.pressure) for document in documents]

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Loading the model takes none of them."""
        potential(**which(self.spec))
        static_maker(self.spec)
        return wall_time(seconds)


def _answer(document: Any, pressure: float) -> Answer:
    from pymatgen.core import Structure

    output = document.output
    relaxed = output.structure
    return Answer(
        structure=Structure(relaxed.lattice, [site.specie for site in relaxed], relaxed.frac_coords),
        energy=float(output.energy),
        forces=np.asarray(output.forces, dtype=float),
        steps=int(output.n_steps or 1),
        stress=None if output.stress is None else np.asarray(output.stress, dtype=float) * KILOBAR,
        pressure=pressure,
    )
