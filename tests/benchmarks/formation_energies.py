"""``python -m tests.benchmarks.formation_energies``: are energies on Materials Project's scale?

Formation energies of known compounds by each universal potential, corrected and against the references that a
campaign would have, beside Materials Project's; and how far each compound lies above the hull of its system.
At Materials Project's structure first, then relaxed. Resumed where it was stopped.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Structure

from niobe.config.potentials import LABELS
from niobe.loop.stability.hull import formation_energy
from tests.benchmarks.publish import publish
from tests.benchmarks.relaxations import known_phases, reference, relaxed, unrelaxed

SYSTEMS = (
    *("Mn-O", "Fe-O", "Co-O", "Ni-O", "O-W", "O-V", "O-Ti", "F-Fe", "Li-P"),
    *("In-Li", "Se-Ta", "S-Zn", "Hf-Pd", "Pd-Ti", "C-Si", "Au-Be", "Cd-Mg", "Ca-Si", "B-Ti", "In-P"),
    *("Cu-O-Sr", "Ni-Sc-Sn", "Al-Fe-Y", "La-Ni-Si", "Ag-Cs-F", "Li-Si", "Mg-O-Si"),
)
POTENTIALS = [n for n in LABELS if n != "vasp" and LABELS[n] in {"GGA/GGA+U", "MP2020"}]
_ATOMS, _FEW = 12, 3
_MAE = "formation energy, MAE, eV/atom"
_WAYS = ("as on Materials Project", "relaxed")
Phase = tuple[dict[str, Any], Structure]


def main() -> None:
    """Ask what is missing, compare and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.formation_energies")
    parser.add_argument("--minutes", type=float, default=1e6, help="relax nothing further afterwards")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.monotonic()
    phases = dict(_phases())
    systems, potentials = [], []
    for potential in POTENTIALS:
        for way in _WAYS:
            if way == "relaxed" and time.monotonic() - started > 60 * options.minutes:
                continue
            errors = {system: _errors(potential, way, found) for system, found in phases.items()}
            potentials.append(_row(potential, way, errors))
            print(potentials[-1], flush=True)
            systems += [_system_row(potential, way, *pair) for pair in errors.items() if len(pair[1])]
    _publish(potentials, systems, time.monotonic() - started)


def _phases() -> Iterator[tuple[str, list[Phase]]]:
    """By system, the compounds of the system and of its subsystems."""
    found: dict[str, list[Phase]] = defaultdict(list)
    for row, structure in known_phases(_ATOMS):
        if row["nelements"] > 1:
            for system in SYSTEMS:
                if set(row["chemsys"].split("-")) <= set(system.split("-")):
                    found[system].append((row, structure))
    yield from ((system, found[system]) for system in SYSTEMS)


def _errors(potential: str, way: str, phases: list[Phase]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Errors of formation energy and of e_above_hull, eV/atom, shape (answered, 2)."""
    energies = {
        row["material_id"]: _energy(potential, way, row["material_id"], structure)
        for row, structure in phases
    }
    answered = [row for row, _ in phases if energies[row["material_id"]] < 100]
    elements = {symbol for row in answered for symbol in row["chemsys"].split("-")}
    references = {symbol: _reference(potential, way, symbol) for symbol in sorted(elements)}
    entries = [PDEntry(Composition(symbol), energy) for symbol, energy in references.items()]
    compositions = [Composition(row["formula"]).fractional_composition for row in answered]
    for row, composition in zip(answered, compositions, strict=True):
        entries.append(PDEntry(composition, energies[row["material_id"]]))
    diagram = PhaseDiagram(entries) if entries else None
    errors = []
    for row, composition, entry in zip(answered, compositions, entries[len(references) :], strict=True):
        formed = formation_energy(composition.get_el_amt_dict(), energies[row["material_id"]], references)
        above = diagram.get_e_above_hull(entry) if diagram else np.nan
        errors.append([formed - row["e_form"], above - row["e_hull"]])
    return np.array(errors).reshape(-1, 2)


def _reference(potential: str, way: str, element: str) -> float:
    label, structure, _ = reference(element, _FEW)
    return _energy(potential, way, label, structure)


def _energy(potential: str, way: str, key: str, structure: Structure) -> float:
    if way == "relaxed":
        return float(relaxed(potential, f"{key} as known", structure)["energy"])
    return unrelaxed(potential, key, [structure])[0]


def _row(potential: str, way: str, errors: dict[str, Any]) -> dict[str, Any]:
    every = np.concatenate(list(errors.values()))
    return {
        "potential": potential,
        "structures": way,
        "compounds": len(every),
        _MAE: round(float(np.abs(every[:, 0]).mean()), 4),
        "mean error": round(float(every[:, 0].mean()), 4),
        "e_above_hull, MAE, eV/atom": round(float(np.abs(every[:, 1]).mean()), 4),
        "bar": "≤ 0.06",
    }


def _system_row(potential: str, way: str, system: str, errors: Any) -> dict[str, Any]:
    mean = np.abs(errors).mean(axis=0)
    return {
        "system": system,
        "potential": potential,
        "structures": way,
        "compounds": len(errors),
        _MAE: round(float(mean[0]), 4),
        "e_above_hull, MAE, eV/atom": round(float(mean[1]), 4),
    }


def _publish(potentials: list[dict[str, Any]], systems: list[dict[str, Any]], seconds: float) -> None:
    worst = max(systems, key=lambda row: row[_MAE])
    without = sorted(set(SYSTEMS) - {row["system"] for row in systems})
    notes = [
        f"compounds of at most {_ATOMS} atoms in ../shared/data/dev_mp_structures.parquet, subsystems' too; "
        f"none of {', '.join(without)}",
        f"references: of what a campaign asks for each element the {_FEW} lowest as they stand, relaxed by "
        "7net-0; the lowest of them, answered for by each potential in the same way as the compounds",
        "e_above_hull: in the hull of these compounds and the elements, beside that of Materials Project, "
        "which also has what the data lacks",
        "the seconds are of the last call; what was answered in calls before was kept",
    ]
    publish(
        "formation_energies",
        page="potentials",
        title="Formation energies against Materials Project's",
        headline="; ".join(
            f"{row['potential']} {row['structures']}: {row[_MAE]} eV/atom" for row in potentials
        ),
        command="python -m tests.benchmarks.formation_energies",
        rows=potentials,
        seconds=seconds,
        notes=notes,
        order=61,
    )
    publish(
        "formation_energies-systems",
        page="potentials",
        title="Formation energies against Materials Project's, system by system",
        headline=f"worst: {worst['system']} by {worst['potential']}, {worst[_MAE]} eV/atom",
        command="python -m tests.benchmarks.formation_energies",
        rows=sorted(systems, key=lambda row: SYSTEMS.index(row["system"])),
        seconds=seconds,
        notes=notes,
        order=62,
    )


if __name__ == "__main__":
    main()
