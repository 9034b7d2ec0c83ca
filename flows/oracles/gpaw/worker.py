"""The program that runs GPAW, in a process of its own: it needs ASE and GPAW, and nothing of Niobe.

``worker.py --version`` prints what is installed; ``worker.py FOLDER`` reads ``task.json`` there and writes
``answer.json``, each step of a relaxation to ``step.json``, both whole or not at all. A failure that is known
is an answer with ``error``: ``electrons`` (not converged), ``setups`` (no dataset) or ``memory``. It ends
when its input does, which is when who started it has died. Energies in eV, lengths in Å.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import threading
from pathlib import Path
from typing import Any

_CAREFUL = {"mixer": {"method": "fullspin", "beta": 0.02, "nmaxold": 5, "weight": 100.0}}
"""Of the second try at electrons that did not converge."""
_APART = (0.98, 1.02)
"""Cutoffs, as shares, between which the energy's slope is taken for the Pulay stress. Further apart is too
steep: at 0.96 and 1.04 MgO at 450 eV keeps 2 GPa too much of it, 1.6 % of the volume."""
_PULAY_DENSITY = 3.5
"""k-points per Å⁻¹ at most for that slope, which hardly feels the mesh: 0.05 GPa of CaO's 3.4 at 600 eV."""
_SYMMETRIES: tuple[dict[str, Any], ...] = ({}, {"tolerance": 1e-3}, {"point_group": False})
"""What GPAW is told of symmetry, tolerances in Å, one after the other where what it finds is no group: steps
of a relaxation leave a cell some 1e-6 Å off its symmetry."""
_BOX = 150.0
"""Å³/atom, above which only molecules of a gas are let pass."""
_GIB = 2**30


def versions() -> dict[str, Any]:
    """GPAW, its datasets, and the elements that these hold. Raises ImportError where there is no GPAW."""
    from importlib.metadata import version

    from ase.data import chemical_symbols
    from gpaw import __version__, setup_paths

    there = [
        symbol
        for symbol in chemical_symbols[1:]
        if any(next(Path(path).glob(f"{symbol}.PBE*"), None) for path in setup_paths)
    ]
    return {"gpaw": __version__, "data": version("gpaw-data"), "elements": there}


def main(folder: Path) -> None:
    """Do what ``task.json`` says.

    folder: that it lies in, and what is written too.
    """
    threading.Thread(target=_end_with_input, daemon=True).start()
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    if task["memory"]:
        most = int(task["memory"] * _GIB)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    try:
        answer = _answered(task, folder)
    except Exception as error:
        known = _known(error)
        if known is None:
            raise
        answer = {"error": known, "message": f"{type(error).__name__}: {error}"}
    _write(folder / "answer.json", answer)


def _answered(task: dict[str, Any], folder: Path) -> dict[str, Any]:
    ask, no_group, left = _relaxed if task["relax"] else _statics, _no_group(), list(_SYMMETRIES)
    while True:
        protocol = task["protocol"] | {"symmetry": left.pop(0)}
        try:
            return ask(task | {"protocol": protocol}, folder)
        except no_group:
            if not left:
                raise


def _no_group() -> type[Exception]:
    """What GPAW raises where the symmetries that it finds are no group."""
    from gpaw.new.symmetry import SymmetryAnalysisBug

    found: type[Exception] = SymmetryAnalysisBug
    return found


def _end_with_input() -> None:
    from ase.parallel import world

    if world.rank == 0:  # mpiexec gives the first rank its input, and ends the others with it
        while os.read(0, 1):
            pass
        os._exit(1)


def _known(error: Exception) -> str | None:
    from gpaw import KohnShamConvergenceError

    if isinstance(error, KohnShamConvergenceError):
        return "electrons"
    if isinstance(error, MemoryError):
        return "memory"
    return "setups" if isinstance(error, FileNotFoundError) and "setup" in str(error).lower() else None


def _statics(task: dict[str, Any], folder: Path) -> dict[str, Any]:
    answers = [_lowest(task, content, folder) for content in task["structures"]]
    return {"answers": answers}


def _relaxed(task: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Relax, from where an earlier try had come; then the energy that counts."""
    (content,) = task["structures"]
    if (folder / "step.json").exists():
        content = content | json.loads((folder / "step.json").read_text(encoding="utf-8"))
    best = _lowest(task, content, folder) if len(content["moments"]) > 1 else None
    moments = content["moments"][best["which"] if best else 0]
    atoms = _atoms(content, moments)
    left = _relax(task, atoms, folder)
    if _is_static(task["protocol"], content, atoms):
        end = {"energy": float(atoms.get_potential_energy()), **_place(atoms)}
    else:
        end = _lowest(task, content | _place(atoms) | {"moments": [moments]}, folder)
    return {"answers": [end | {"forces": left.pop("forces")}], **left}


def _is_static(settings: dict[str, Any], content: dict[str, Any], atoms: Any) -> bool:
    """Whether a static run where the relaxation that began at ``content`` ended would repeat its last step:
    plane waves are those of each cell in turn, the mesh is that of the first."""
    cutoff, density = settings["relaxing"]
    size = _mesh(_atoms(content, None), density)
    return bool(cutoff == settings["cutoff"] and size == _mesh(atoms, settings["density"]))


def _relax(task: dict[str, Any], atoms: Any, folder: Path) -> dict[str, Any]:
    """Steps taken and what they left, forces and stress (eV/Å³, Voigt); the cell stays where ``cell`` of the
    task is false, and its stress is not asked."""
    import numpy as np
    from ase.filters import FrechetCellFilter
    from ase.optimize import BFGS

    cutoff, density = task["protocol"]["relaxing"]
    settings, size = task["protocol"] | {"cutoff": cutoff}, _mesh(atoms, density)
    probed = _mesh(atoms, min(density, _PULAY_DENSITY))
    pulay = _pulay(atoms, settings, probed, folder) if task["cell"] else 0.0
    atoms.calc = _WithPulay(_gpaw(atoms, settings, size, folder), pulay)
    optimizer = BFGS(FrechetCellFilter(atoms) if task["cell"] else atoms, logfile=str(folder / "relax.log"))
    if task["curvature"]:
        optimizer.H0 = np.array(task["curvature"])
    optimizer.attach(lambda: _write(folder / "step.json", _place(atoms)))
    optimizer.run(fmax=task["fmax"], steps=task["steps"])
    return {
        "steps": int(optimizer.nsteps),
        "forces": atoms.get_forces().tolist(),
        "stress": atoms.get_stress().tolist() if task["cell"] else None,
    }


def _lowest(task: dict[str, Any], content: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The answer of the start of ``moments`` that ends lowest, by the protocol's own cutoff and mesh."""
    settings = task["protocol"]
    found = []
    for which, moments in enumerate(content["moments"]):
        atoms = _atoms(content, moments)
        atoms.calc = _gpaw(atoms, settings, _mesh(atoms, settings["density"]), folder)
        energy = _patient(atoms, settings, folder)
        found.append(
            {"which": which, "energy": energy, "forces": atoms.get_forces().tolist(), **_place(atoms)}
        )
    return min(found, key=lambda answer: answer["energy"])


def _patient(atoms: Any, settings: dict[str, Any], folder: Path) -> float:
    """The energy; electrons that did not converge are asked once more, with careful mixing."""
    from gpaw import KohnShamConvergenceError

    try:
        return float(atoms.get_potential_energy())
    except KohnShamConvergenceError:
        size = _mesh(atoms, settings["density"])
        atoms.calc = _gpaw(atoms, settings, size, folder, **_CAREFUL)
        return float(atoms.get_potential_energy())


def _pulay(atoms: Any, settings: dict[str, Any], size: tuple[int, ...], folder: Path) -> float:
    """What the stress lacks of a complete basis, times volume: (2/3) · cutoff · dE/dcutoff, eV."""
    cutoff = settings["cutoff"]
    energies = []
    for share in _APART:
        probe = atoms.copy()
        probe.calc = _gpaw(probe, settings | {"cutoff": share * cutoff}, size, folder)
        energies.append(probe.get_potential_energy())
    slope = (energies[1] - energies[0]) / ((_APART[1] - _APART[0]) * cutoff)
    return float(2 / 3 * cutoff * slope)


def _gpaw(atoms: Any, settings: dict[str, Any], size: tuple[int, ...], folder: Path, **more: Any) -> Any:
    from gpaw import GPAW

    empty, more_an_atom = settings["empty"]
    return GPAW(
        mode={"name": "pw", "ecut": settings["cutoff"]},
        nbands=-(empty + more_an_atom * len(atoms)),
        xc="PBE",
        kpts={"size": size, "gamma": True},
        occupations={"name": "fermi-dirac", "width": settings["width"]},
        convergence={"energy": settings["energy"]},
        maxiter=settings["iterations"],
        symmetry=settings["symmetry"],
        txt=str(folder / "gpaw.txt"),
        **more,
    )


class _WithPulay:
    """A calculator whose stress has a constant (eV) over the volume added to its diagonal."""

    def __init__(self, calculator: Any, pulay: float) -> None:
        self._calculator, self._pulay = calculator, pulay

    def __getattr__(self, name: str) -> Any:
        return getattr(self._calculator, name)

    def get_stress(self, atoms: Any) -> Any:
        stress = self._calculator.get_stress(atoms).copy()
        stress[:3] += self._pulay / atoms.get_volume()
        return stress


def _mesh(atoms: Any, density: float) -> tuple[int, ...]:
    """Points of a Γ-centred mesh along each reciprocal vector; of a molecule in a box Γ alone."""
    from math import ceil, pi

    if atoms.get_volume() > _BOX * len(atoms):
        return (1, 1, 1)
    lengths = [float((vector**2).sum() ** 0.5) for vector in atoms.cell.reciprocal()]
    return tuple(max(1, ceil(2 * pi * length * density)) for length in lengths)


def _atoms(content: dict[str, Any], moments: list[float] | None) -> Any:
    """With the shortest lattice vectors: those of a centred cell may lie askew, where a mesh of the same
    density has twice as many k-points. ``basis`` leads to them from those given."""
    import numpy as np
    from ase import Atoms
    from ase.geometry import minkowski_reduce

    cell, basis = minkowski_reduce(np.array(content["cell"]))
    info = {"basis": basis}
    atoms = Atoms(content["symbols"], positions=content["positions"], cell=cell, pbc=True, info=info)
    if moments is not None:
        atoms.set_initial_magnetic_moments(moments)
    return atoms


def _place(atoms: Any) -> dict[str, Any]:
    """Sites and cell along the lattice vectors that were given."""
    import numpy as np

    cell = np.linalg.solve(atoms.info["basis"], atoms.cell[:])
    return {"cell": cell.tolist(), "positions": atoms.positions.tolist()}


def _write(file: Path, content: dict[str, Any]) -> None:
    from ase.parallel import world

    if world.rank == 0:
        part = file.with_suffix(".part")
        part.write_text(json.dumps(content), encoding="utf-8")
        part.replace(file)


if __name__ == "__main__":
    if sys.argv[1:] == ["--version"]:
        print(json.dumps(versions()))
    else:
        main(Path(sys.argv[1]))
