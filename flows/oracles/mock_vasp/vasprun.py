"""vasprun.xml, written as the run goes, so that a run that dies leaves it cut short as in life."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Any
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from niobe.flows.oracles.mock_vasp import VERSION
from niobe.flows.oracles.mock_vasp.electrons import Electrons, born_charges, dielectric_tensor, moments
from niobe.flows.oracles.mock_vasp.inputs import Array, Cell, Inputs
from niobe.flows.oracles.mock_vasp.ionic import IonicStep

KBAR = 1602.1766208  # 1 eV/Å³ in kB
_DEFAULTS: dict[str, Any] = {
    "PREC": "normal",
    "ENMAX": 300.0,
    "EDIFF": 1e-4,
    "NELM": 60,
    "ISMEAR": 1,
    "SIGMA": 0.2,
    "ISYM": 2,
    "ISIF": 2,
    "EDIFFG": 1e-3,
    "POTIM": 0.5,
    "LORBIT": 0,
    "GGA": "--",
    "METAGGA": "--",
    "LHFCALC": False,
    "LASPH": False,
    "LUSE_VDW": False,
    "IVDW": 0,
    "AEXX": 0.0,
    "LEPSILON": False,
    "PSTRESS": 0.0,
}


class VasprunFile:
    """The file as it grows. ``stamp`` says which mock and which potential."""

    def __init__(self, stream: IO[str], inputs: Inputs, electrons: Electrons, stamp: str) -> None:
        self._stream = stream
        self._inputs = inputs
        self._electrons = electrons
        self._write('<?xml version="1.0" encoding="ISO-8859-1"?>\n<modeling>\n')
        self._write(_generator(stamp))
        self._write(_tags("incar", inputs.incar))
        self._write(_kpoints(inputs))
        self._write(_parameters(inputs, electrons))
        self._write(_atominfo(inputs))
        self._write(_structure(inputs.cell, "initialpos"))
        self._last = inputs.cell

    def step(self, step: IonicStep, scf_energies: Sequence[float], last: bool) -> None:
        """One <calculation>. scf_energies: eV, of each electronic step; electrons come with the last step."""
        energies = [*scf_energies, step.response.energy]
        parts = ["<calculation>\n", *(_scf(energy) for energy in energies[:-1])]
        parts += [_scf(energies[-1], full=True), _structure(step.cell)]
        parts += [_varray("forces", step.response.forces), _varray("stress", -KBAR * step.response.stress)]
        parts += [_energy(step.response.energy)]
        if last:
            parts += [_eigenvalues(self._electrons, len(self._inputs.kpoints.points)), _dos(self._electrons)]
            parts += [_response_functions(self._inputs)] if self._inputs.tag("LEPSILON", False) else []
        self._write("".join([*parts, "</calculation>\n"]))
        self._last = step.cell

    def dynamical_matrix(self, force_constants: Array) -> None:
        """force_constants: eV/Å², shape (3N, 3N). VASP writes minus them over the root of the masses."""
        self._write(_dynmat(self._inputs, force_constants))

    def close(self) -> None:
        self._write(_structure(self._last, "finalpos") + "</modeling>\n")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _generator(stamp: str) -> str:
    items = {"program": "mock-vasp", "version": f"{VERSION} {stamp}", "subversion": "not VASP"}
    return f"<generator>\n{''.join(_item(name, value) for name, value in items.items())}</generator>\n"


def _item(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return f' <i type="logical" name="{name}">{"T" if value else "F"}</i>\n'
    if isinstance(value, int):
        return f' <i type="int" name="{name}">{value}</i>\n'
    if isinstance(value, float):
        return f' <i name="{name}">{value:.12g}</i>\n'
    if isinstance(value, str):
        return f' <i type="string" name="{name}">{escape(value)}</i>\n'
    kind = ' type="int"' if all(isinstance(item, int) for item in value) else ""
    return f' <v{kind} name="{name}">{" ".join(str(item) for item in value)}</v>\n'


def _tags(name: str, tags: Mapping[str, Any]) -> str:
    return f"<{name}>\n{''.join(_item(key, value) for key, value in tags.items())}</{name}>\n"


def _parameters(inputs: Inputs, electrons: Electrons) -> str:
    steps = inputs.tag("NSW", 0)
    derived = {
        "NELECT": inputs.electrons,
        "NBANDS": electrons.bands,
        "ISPIN": electrons.spins,
        "NSW": steps,
        "IBRION": inputs.tag("IBRION", -1 if steps < 1 else 0),
        "MAGMOM": [float(value) for value in moments(inputs)],
    }
    return _tags("parameters", {**_DEFAULTS, **inputs.incar, **derived})


def _kpoints(inputs: Inputs) -> str:
    kpoints = inputs.kpoints
    head = ""
    if kpoints.mesh is not None:
        head = (
            f'<generation param="{kpoints.style}">\n'
            f' <v type="int" name="divisions">{_row(kpoints.mesh)}</v>\n'
            f' <v name="usershift">{_row(kpoints.shift)}</v>\n</generation>\n'
        )
    elif kpoints.style == "Line":
        head = '<generation param="listgenerated">\n</generation>\n'
    points = _varray("kpointlist", kpoints.points) + _varray("weights", kpoints.weights[:, None])
    return f"<kpoints>\n{head}{points}</kpoints>\n"


def _atominfo(inputs: Inputs) -> str:
    kinds = [index for index, (_, count) in enumerate(inputs.cell.species, 1) for _ in range(count)]
    atoms = "".join(
        f"<rc><c>{symbol:2}</c><c>{kind}</c></rc>\n"
        for symbol, kind in zip(inputs.cell.symbols, kinds, strict=True)
    )
    types = "".join(
        f"<rc><c>{count}</c><c>{part.symbol:2}</c><c>{part.mass}</c><c>{part.valence}</c>"
        f"<c>{escape(part.title)}</c></rc>\n"
        for part, (_, count) in zip(inputs.potcar, inputs.cell.species, strict=True)
    )
    return (
        f"<atominfo>\n<atoms>{len(inputs.cell.symbols)}</atoms>\n<types>{len(inputs.potcar)}</types>\n"
        '<array name="atoms">\n<dimension dim="1">ion</dimension>\n<field type="string">element</field>\n'
        f'<field type="int">atomtype</field>\n<set>\n{atoms}</set>\n</array>\n'
        '<array name="atomtypes">\n<dimension dim="1">type</dimension>\n'
        '<field type="int">atomspertype</field>\n'
        '<field type="string">element</field>\n<field>mass</field>\n<field>valence</field>\n'
        f'<field type="string">pseudopotential</field>\n<set>\n{types}</set>\n</array>\n</atominfo>\n'
    )


def _structure(cell: Cell, name: str = "") -> str:
    label = f' name="{name}"' if name else ""
    return (
        f"<structure{label}>\n<crystal>\n{_varray('basis', cell.lattice)}"
        f'<i name="volume">{cell.volume:.8f}</i>\n'
        f"{_varray('rec_basis', np.linalg.inv(cell.lattice).T)}</crystal>\n"
        f"{_varray('positions', cell.positions)}</structure>\n"
    )


def _scf(energy: float, full: bool = False) -> str:
    return f"<scstep>\n{_energy(energy, extra=('alphaZ',) if full else ())}</scstep>\n"


def _energy(energy: float, extra: Iterable[str] = ()) -> str:
    names = [(name, 0.0) for name in extra]
    names += [("e_fr_energy", energy), ("e_wo_entrp", energy), ("e_0_energy", energy)]
    items = "".join(f' <i name="{name}">{value:.8f}</i>\n' for name, value in names)
    return f"<energy>\n{items}</energy>\n"


def _eigenvalues(electrons: Electrons, n_points: int) -> str:
    spins = ""
    for spin, levels in enumerate(electrons.levels, 1):
        block = _rows(levels)
        points = (f'<set comment="kpoint {index}">\n{block}</set>\n' for index in range(1, n_points + 1))
        spins += f'<set comment="spin {spin}">\n{"".join(points)}</set>\n'
    return (
        '<eigenvalues>\n<array>\n<dimension dim="1">band</dimension>\n<dimension dim="2">kpoint</dimension>\n'
        '<dimension dim="3">spin</dimension>\n<field>eigene</field>\n<field>occ</field>\n'
        f"<set>\n{spins}</set>\n</array>\n</eigenvalues>\n"
    )


def _dos(electrons: Electrons) -> str:
    spins = "".join(
        f'<set comment="spin {spin}">\n{_rows(table)}</set>\n' for spin, table in enumerate(electrons.dos, 1)
    )
    return (
        f'<dos>\n<i name="efermi">{electrons.fermi:.8f}</i>\n<total>\n<array>\n'
        '<dimension dim="1">gridpoints</dimension>\n<dimension dim="2">spin</dimension>\n'
        "<field>energy</field>\n<field>total</field>\n<field>integrated</field>\n"
        f"<set>\n{spins}</set>\n</array>\n</total>\n</dos>\n"
    )


def _response_functions(inputs: Inputs) -> str:
    names = ["epsilon", "epsilon_rpa"] if inputs.tag("LRPA", False) else ["epsilon"]
    parts = [_varray(name, dielectric_tensor()) for name in names]
    parts += [_varray("epsilon_ion", np.zeros((3, 3)))] if inputs.tag("IBRION", -1) > 6 else []
    charges = "".join(f"<set>\n{_vectors(charge)}</set>\n" for charge in born_charges(inputs))
    return "".join(parts) + (
        f'<array name="born_charges">\n<dimension dim="1">ion</dimension>\n{charges}</array>\n'
    )


def _dynmat(inputs: Inputs, force_constants: Array) -> str:
    each = zip(inputs.potcar, inputs.cell.species, strict=True)
    masses = np.repeat([part.mass for part, (_, count) in each for _ in range(count)], 3)
    hessian = -force_constants / np.sqrt(np.outer(masses, masses))
    values, vectors = np.linalg.eigh(hessian)
    return (
        f"<dynmat>\n{_varray('hessian', hessian)}"
        f'<v name="eigenvalues">{_row(values)}</v>\n{_varray("eigenvectors", vectors.T)}</dynmat>\n'
    )


def _varray(name: str, table: NDArray[np.floating[Any]]) -> str:
    return f'<varray name="{name}">\n{_vectors(table)}</varray>\n'


def _vectors(table: NDArray[np.floating[Any]]) -> str:
    return "".join(f"<v>{_row(row)}</v>\n" for row in table)


def _rows(table: Array) -> str:
    return "".join(f"<r>{_row(row)}</r>\n" for row in table)


def _row(values: Iterable[float]) -> str:
    return " ".join(str(v) if isinstance(v, int) else f"{v:.8f}" for v in values)
