"""OUTCAR, OSZICAR, CONTCAR, XDATCAR and the files that only have to be there."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from niobe.flows.oracles.mock_vasp import VERSION
from niobe.flows.oracles.mock_vasp.electrons import Electrons, born_charges, dielectric_tensor, moments
from niobe.flows.oracles.mock_vasp.inputs import Array, Cell, Inputs
from niobe.flows.oracles.mock_vasp.ionic import IonicStep
from niobe.flows.oracles.mock_vasp.vasprun import KBAR

CONVERGED = "reached required accuracy - stopping structural energy minimisation"
SOFT_STOP = "soft stop encountered!  aborting job ..."
OUTPUTS = ("vasprun.xml", "OUTCAR", "OSZICAR", "XDATCAR")
_RULE = " " + "-" * 104


class OutcarFile:
    """The part of an OUTCAR that parsers read, in the words they look for."""

    def __init__(self, stream: IO[str], inputs: Inputs, electrons: Electrons, stamp: str) -> None:
        self._stream = stream
        self._inputs = inputs
        self._electrons = electrons
        self._moments = moments(inputs)
        self._started = time.monotonic()
        mesh = 1000 * len(inputs.cell.symbols)
        spin = electrons.spins
        self._say(
            f" mock-vasp {VERSION} {stamp}: not VASP; no electrons were harmed or computed",
            " running on    1 total cores",
            *(f" POTCAR:    {part.title}" for part in inputs.potcar),
            f"   k-points           NKPTS = {len(inputs.kpoints.points)}   k-points in BZ     NKDIM = "
            f"{len(inputs.kpoints.points)}   number of bands    NBANDS= {electrons.bands}",
            f"   total plane-waves  NPLWV = {mesh}",
            f"   ISPIN  = {spin}    spin polarized calculation?",
            f"   NELM   = {inputs.tag('NELM', 60)};   NSW    = {inputs.tag('NSW', 0)}",
            f"   IBRION = {inputs.tag('IBRION', -1)}    ionic relax: 0-MD 1-quasi-New 2-CG",
            f"   LEPSILON= {'T' if inputs.tag('LEPSILON', False) else 'F'}    determine dielectric tensor",
            f"   NELECT = {inputs.electrons:.4f}    total number of electrons",
        )

    def step(self, step: IonicStep) -> None:
        """Energies, stress, positions and forces of one ionic step."""
        energy, response = step.response.energy, step.response
        stress = -KBAR * response.stress
        self._say(
            f"--------------------------------------- Iteration {step.number:6d}(   1)  "
            "---------------------------------------",
            f" number of electron {self._inputs.electrons:14.7f} magnetization {self._moments.sum():14.7f}",
            f" E-fermi : {self._electrons.fermi:8.4f}     XC(G=0):   0.0000     alpha+bet :   0.0000",
            f"  free  energy   TOTEN  = {energy:18.8f} eV",
            f"  energy  without entropy= {energy:18.8f}  energy(sigma->0) = {energy:18.8f}",
            f"  in kB  {_row(stress[[0, 1, 2, 0, 1, 2], [0, 1, 2, 1, 2, 0]])}",
            f"  external pressure = {np.trace(stress) / 3:12.2f} kB  Pullay stress =        0.00 kB",
            f"  volume of cell : {step.cell.volume:12.4f}",
            " POSITION                                       TOTAL-FORCE (eV/Angst)",
            _RULE,
            *(
                f" {_row(place)}   {_row(force)}"
                for place, force in zip(step.cell.positions @ step.cell.lattice, response.forces, strict=True)
            ),
            _RULE,
            f"    total drift: {_row(response.forces.sum(axis=0))}",
        )

    def tables(self) -> None:
        """Magnetisation labels and, with LEPSILON, Born charges."""
        self._say(*_atom_table("total charge", np.zeros(len(self._moments))))
        if self._electrons.spins == 2:
            self._say(*_atom_table("magnetization (x)", self._moments))
        if self._inputs.tag("LEPSILON", False):
            self._say(*_dielectric(self._inputs))

    def say(self, message: str) -> None:
        self._say(f" {message}")

    def close(self) -> None:
        """Timings, by whose presence a run is known to have ended."""
        used = time.monotonic() - self._started
        self._say(
            " General timing and accounting informations for this job:",
            f"                  Total CPU time used (sec): {used:12.3f}",
            f"                            User time (sec): {used:12.3f}",
            "                          System time (sec):        0.000",
            f"                         Elapsed time (sec): {used:12.3f}",
            "                   Maximum memory used (kb):      1000.",
            "                   Average memory used (kb):          0.",
        )

    def _say(self, *lines: str) -> None:
        self._stream.write("\n".join(lines) + "\n")
        self._stream.flush()


def oszicar_lines(step: IonicStep, scf_energies: Sequence[float], change: float, magnetic: bool) -> str:
    """The electronic steps and the summary of one ionic step.

    scf_energies: of each electronic step, eV. change: of the energy in this step, eV. magnetic: whether
    moments are printed.
    """
    lines = ["       N       E                     dE             d eps       ncg     rms          rms(c)"]
    before = 0.0
    for number, energy in enumerate([*scf_energies, step.response.energy], 1):
        lines.append(
            f"DAV: {number:3d} {energy:20.12E} {energy - before:14.5E}   0.00000E+00    1  0.000E+00"
        )
        before = energy
    moment = "  mag=     0.0000" if magnetic else ""
    energy = step.response.energy
    lines.append(f"{step.number:4d} F= {energy:.8E} E0= {energy:.8E}  d E ={change:.6E}{moment}")
    return "\n".join(lines) + "\n"


def poscar_text(title: str, cell: Cell, movable: NDArray[np.bool_] | None = None) -> str:
    """A POSCAR; with ``movable`` (shape (n_atoms, 3)), of selective dynamics.

    title: above the table. cell: the structure.
    """
    symbols, counts = zip(*cell.species, strict=True)
    lines = [title, "1.0", *(_long(vector) for vector in cell.lattice)]
    lines += [" ".join(symbols), " ".join(str(count) for count in counts)]
    lines += ["Selective dynamics"] if movable is not None else []
    lines += ["Direct"]
    flags = [""] * len(cell.symbols) if movable is None else [_flags(row) for row in movable]
    lines += [f"{_long(row)}{flag}" for row, flag in zip(cell.positions, flags, strict=True)]
    return "\n".join(lines) + "\n"


def xdatcar_frame(title: str, step: IonicStep) -> str:
    """One configuration with its lattice."""
    head = poscar_text(title, step.cell).splitlines()[:7]
    rows = [_long(row) for row in step.cell.positions]
    return "\n".join([*head, f"Direct configuration= {step.number:5d}", *rows]) + "\n"


def begin(folder: Path) -> None:
    """Empty what an earlier run left, before anyone who watches takes it for this run's.

    CHGCAR and WAVECAR, which later jobs copy, stay empty.
    """
    for name in (*OUTPUTS, "CONTCAR", "CHGCAR", "WAVECAR"):
        (folder / name).write_text("", encoding="utf-8")


def _atom_table(title: str, values: Array) -> list[str]:
    rows = [
        f"{index:5d} {0.0:11.3f}{0.0:8.3f}{value:8.3f}{value:8.3f}" for index, value in enumerate(values, 1)
    ]
    return [
        "",
        f" {title}",
        "",
        "# of ion       s       p       d       tot",
        "------------------------------------------",
        *rows,
        "--------------------------------------------------",
        f"tot   {0.0:10.3f}{0.0:8.3f}{values.sum():8.3f}{values.sum():8.3f}",
        "",
    ]


def _dielectric(inputs: Inputs) -> list[str]:
    rule = " " + "-" * 38
    epsilon = [f" {_row(row)}" for row in dielectric_tensor()]
    lines = [" MACROSCOPIC STATIC DIELECTRIC TENSOR (made up by mock-vasp)", rule, *epsilon, rule, ""]
    lines += [" BORN EFFECTIVE CHARGES (including local field effects) (in |e|, cumulative output)", rule]
    for ion, charge in enumerate(born_charges(inputs), 1):
        lines += [f" ion {ion:4d}", *(f"    {axis} {_row(row)}" for axis, row in enumerate(charge, 1))]
    return [*lines, rule]


def _flags(row: NDArray[np.bool_]) -> str:
    return "".join("   T" if flag else "   F" for flag in row)


def _long(row: Array) -> str:
    return " ".join(f"{value:20.16f}" for value in row)


def _row(row: Sequence[float] | Array) -> str:
    return " ".join(f"{value:12.6f}" for value in row)
