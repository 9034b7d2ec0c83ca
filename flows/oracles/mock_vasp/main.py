"""mock-vasp: reads a VASP working folder and leaves in it what VASP would."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path

from niobe.config.errors import ConfigError
from niobe.flows.oracles.mock_vasp import VERSION, text_files
from niobe.flows.oracles.mock_vasp.electrons import placeholder
from niobe.flows.oracles.mock_vasp.faults import (
    Fault,
    FaultsError,
    fault_of_run,
    scf_steps,
    spoilt,
    strike_after,
    strike_midway,
)
from niobe.flows.oracles.mock_vasp.incar import RefusedError
from niobe.flows.oracles.mock_vasp.inputs import Inputs, read_inputs
from niobe.flows.oracles.mock_vasp.ionic import IonicStep, hessian, ionic_steps, wants_hessian
from niobe.flows.oracles.mock_vasp.potential import Potential, PotentialError, open_potential
from niobe.flows.oracles.mock_vasp.vasprun import VasprunFile

VARIABLE = "MOCK_VASP_POTENTIAL"
_DEFAULT_POTENTIAL = "7net-0"
_SCF_START = 0.01


class Run:
    """One run: its files, open as long as it lasts."""

    def __init__(self, inputs: Inputs, potential: Potential, fault: Fault | None, stack: ExitStack) -> None:
        self.inputs = inputs
        self.fault = fault
        self.potential = potential
        electrons = placeholder(inputs)
        self.title = f"mock-vasp {potential.name}"
        streams = [
            stack.enter_context((inputs.folder / name).open("w", encoding="utf-8"))
            for name in text_files.OUTPUTS
        ]
        self.vasprun = VasprunFile(streams[0], inputs, electrons, potential.name)
        self.outcar = text_files.OutcarFile(streams[1], inputs, electrons, potential.name)
        self.oszicar, self.xdatcar = streams[2:]
        self.magnetic = electrons.spins == 2
        self._energy = 0.0

    def relax(self) -> None:
        """All ionic steps, and what follows the last."""
        steps = spoilt(self.fault, ionic_steps(self.inputs, self.potential), self.inputs)
        for step in steps:
            soft_stop = _told_to_stop(self.inputs.folder)
            last = step.converged or soft_stop or step.number >= self.inputs.tag("NSW", 0)
            self._write(step, last)
            strike_midway(self.fault)
            if last:
                self._end(step, soft_stop)
                return

    def _write(self, step: IonicStep, last: bool) -> None:
        count = scf_steps(self.fault, self.inputs.tag("NELM", 60))
        scf = [step.response.energy + _SCF_START / 10**number for number in range(count - 1)]
        self.vasprun.step(step, scf, last)
        self.outcar.step(step)
        change = step.response.energy - self._energy
        line = text_files.oszicar_lines(step, scf, change, self.magnetic)
        self._energy = step.response.energy
        for stream, text in (
            (self.oszicar, line),
            (self.xdatcar, text_files.xdatcar_frame(self.title, step)),
            (sys.stdout, line),
        ):
            stream.write(text)
            stream.flush()
        movable = None if self.inputs.movable.all() else self.inputs.movable
        contcar = text_files.poscar_text(self.title, step.cell, movable)
        (self.inputs.folder / "CONTCAR").write_text(contcar, encoding="utf-8")

    def _end(self, step: IonicStep, soft_stop: bool) -> None:
        if soft_stop:
            self.outcar.say(text_files.SOFT_STOP)
        elif step.converged and self.inputs.tag("NSW", 0) > 0:
            self.outcar.say(text_files.CONVERGED)
        if wants_hessian(self.inputs):
            self.vasprun.dynamical_matrix(hessian(self.inputs, self.potential))
        self.outcar.tables()
        self.vasprun.close()
        self.outcar.close()


def run(folder: Path) -> None:
    """Read ``folder`` and run there.

    Raises RefusedError with nothing changed; PotentialError, FaultsError or ConfigError where the run ends.
    """
    inputs = read_inputs(folder)
    text_files.begin(folder)
    potential = open_potential(os.environ.get(VARIABLE, _DEFAULT_POTENTIAL))
    fault = fault_of_run(inputs)
    with ExitStack() as stack:
        Run(inputs, potential, fault, stack).relax()
    strike_after(fault, folder)


def _told_to_stop(folder: Path) -> bool:
    """Whether a STOPCAR asks for the end (LSTOP or LABORT)."""
    file = folder / "STOPCAR"
    if not file.is_file():
        return False
    tag, _, value = file.read_text(encoding="utf-8").upper().partition("=")
    return tag.strip() in {"LSTOP", "LABORT"} and value.strip(" .").startswith("T")


def main() -> None:
    """``mock-vasp`` in place of vasp_std, vasp_gam or vasp_ncl."""
    from threadpoolctl import threadpool_limits

    print(f" mock-vasp {VERSION}: not VASP", flush=True)
    try:
        with threadpool_limits(limits=1):
            run(Path.cwd())
    except (RefusedError, PotentialError, FaultsError, ConfigError) as error:
        print(f" mock-vasp refuses: {error}", flush=True)
        sys.exit(f"mock-vasp: {error}")
