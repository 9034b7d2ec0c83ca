"""Force-field oracle: ASE's optimiser on a potential loaded once a process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, chdir, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from niobe.config.potentials import LABELS
from niobe.config.spec import CampaignSpec
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import (
    Answer,
    NotConvergedError,
    fmax_with_stress,
    most_stress,
    relaxed_by,
    residual,
)
from niobe.flows.oracles.batched import asking as batched
from niobe.flows.oracles.calculators import asked, fingerprint
from niobe.flows.oracles.potentials import potential, wall_time, weights_digest, where
from niobe.loop.stability.corrections import scheme

if TYPE_CHECKING:
    from ase import Atoms
    from ase.optimize import BFGS
    from pymatgen.core import Structure

    from niobe.flows.oracles.cells import CellFilter


def which(spec: OracleSpec) -> dict[str, str]:
    """The arguments of ``potential``."""
    calculator = asked(spec) if spec.name == "ase" else ""
    return {"name": spec.name, "device": spec.device, "calculator": calculator}


@dataclass(frozen=True)
class ForceFieldOracle:
    """A potential of ``POTENTIALS`` by name, or an ASE calculator by path.

    stepping: arguments of ASE's BFGS, for what starts far from a minimum; without any, springs between atoms
    are its first guess. pressure: under which it relaxes, GPa. relaxed: structures that are relaxed already,
    see ``having_relaxed``.
    """

    spec: OracleSpec
    stepping: Mapping[str, float] = field(default_factory=dict)
    pressure: float = 0.0
    relaxed: tuple[tuple[Structure, Answer], ...] = ()
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
        for start, answer in self.relaxed:
            if start is structure:
                return answer
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
        """Relax sites and cell; of a single step, the answer as the structure stands."""
        from ase.units import GPa

        from niobe.flows.oracles.cells import CellFilter

        with self._atoms(structure, folder) as atoms:
            steps = 0
            if spec.max_steps > 1:
                moved = CellFilter(atoms, scalar_pressure=self.pressure * GPa, **cell)
                with self._search(moved) as search:
                    search.run(fmax=spec.fmax, steps=spec.max_steps)
                steps = search.nsteps
            return _answer(atoms, steps + 1, self.pressure)

    def _search(self, moved: CellFilter) -> BFGS:
        from ase.optimize import BFGS

        from niobe.flows.oracles.cells import SpringBFGS

        return BFGS(moved, logfile=None, **self.stepping) if self.stepping else SpringBFGS(moved)

    @property
    def at_once(self) -> int:
        """See AsksTogether; 0 but on a GPU: a batch does not pay on a CPU."""
        return batched.at_once(self.spec.name, self.spec.device, self.pressure)

    def having_relaxed(self, structures: Sequence[Structure], seconds: float) -> ForceFieldOracle:
        """See AsksTogether; by FIRE, to the forces and stresses that ``relax`` goes to."""
        goal = batched.Goal(self.spec.fmax, self.spec.max_steps, seconds, most_stress(self.spec.fmax))
        outcomes = batched.relaxed(self.spec.name, where(self.spec.device), structures, goal)
        pairs = zip(structures, outcomes, strict=True)
        ends = [(one, end) for one, end in pairs if not isinstance(end, Exception)]
        return replace(self, relaxed=tuple(pair for pair in ends if not residual(pair[1], self.spec.fmax)))

    def relax_briefly_together(
        self, structures: Sequence[Structure], seconds: float
    ) -> list[Answer | Exception]:
        """As ``relax_briefly``, of all; an exception in the place of what has no answer so.

        seconds: for each of them.
        """
        goal = batched.Goal(self.spec.fmax, self.spec.max_steps, seconds)
        return batched.relaxed(self.spec.name, where(self.spec.device), structures, goal)

    def static(self, structures: Sequence[Structure], folder: Path) -> list[Answer]:
        """Energy and forces; one by one but on a GPU."""
        if self.at_once and len(structures) > 1:
            return list(map(_or_raise, batched.static(self.spec.name, where(self.spec.device), structures)))
        potential(**which(self.spec))
        answers = []
        for structure in structures:
            with self._atoms(structure, folder) as atoms:
                answers.append(_answer(atoms, 1, self.pressure))
        return answers

    def within(self, seconds: float) -> AbstractContextManager[None]:
        """Loading the model takes none of them."""
        potential(**which(self.spec))
        return wall_time(seconds)

    @contextmanager
    def _atoms(self, structure: Structure, folder: Path) -> Iterator[Atoms]:
        """The crystal with the potential; what a calculator writes lies in ``folder``, and a default that it
        sets for torch is undone."""
        from atomate2.forcefields.utils import revert_default_dtype
        from pymatgen.io.ase import AseAtomsAdaptor

        atoms = AseAtomsAdaptor.get_atoms(structure, msonable=False)
        atoms.calc = potential(**which(self.spec))
        atoms.calc.reset()  # or it answers for a crystal within 1e-15 Å of the last one what it said of that
        folder.mkdir(parents=True, exist_ok=True)
        with chdir(folder), revert_default_dtype():
            yield atoms


def _or_raise(outcome: Answer | Exception) -> Answer:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _answer(atoms: Atoms, steps: int, pressure: float) -> Answer:
    """What the potential says of atoms as they stand now. steps: geometries asked about."""
    from ase.units import GPa
    from pymatgen.core import Structure

    return Answer(
        structure=Structure(
            atoms.cell.array, atoms.get_chemical_symbols(), atoms.positions, coords_are_cartesian=True
        ),
        energy=float(atoms.get_potential_energy()),
        forces=np.asarray(atoms.get_forces(), dtype=float),
        steps=steps,
        stress=-atoms.get_stress(voigt=False) / GPa,
        pressure=pressure,
    )
