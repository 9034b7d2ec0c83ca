"""``python -m tests.benchmarks.dft.order_of_energies``: how potentials order phases, beside GPAW.

Known compounds of some binary systems; each oracle relaxes them, and the elements, on a hull of its own.
Resumed where it was stopped.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping

import numpy as np
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Structure

from niobe.loop.campaign.confirming import kendall_tau
from tests.benchmarks.dft.answers import NO_ANSWER, Answer, by_gpaw, within_minutes
from tests.benchmarks.publish import publish
from tests.benchmarks.relaxations import is_kept, known_phases, reference, relaxed

NAME, PROTOCOL = "tests.benchmarks.dft.order_of_energies", "fast"
SYSTEMS, MOST = ("Li-Pd", "Mg-Sn", "In-Li", "Ca-Mg"), 3
POTENTIALS = ("7net-0", "7net-l3i5", "7net-mf-0-pbe", "chgnet")
ATOMS, _WINDOW = 6, 0.1
Phases = dict[str, Structure]
Heights = dict[str, float]


def main() -> None:
    """Ask what is missing, system by system, compare and publish."""
    started = time.monotonic()
    warnings.simplefilter("ignore")
    heights: dict[str, dict[str, Heights]] = {}
    for system, phases in within_minutes(NAME, map(chosen, SYSTEMS), _answered):
        answers = {
            name: {key: relaxed(name, f"{key} as known", phase) for key, phase in phases.items()}
            for name in POTENTIALS
        }
        starts = {key: Structure.from_dict(found["structure"]) for key, found in answers["7net-0"].items()}
        answers["GPAW"] = {key: by_gpaw(PROTOCOL, key, start) for key, start in starts.items()}
        heights[system] = {name: _heights(phases, found) for name, found in answers.items()}
    report(heights, time.monotonic() - started)


def _answered(chosen: tuple[str, Phases]) -> bool:
    return all(is_kept(f"gpaw-{PROTOCOL}", key) for key in chosen[1])


def chosen(system: str) -> tuple[str, Phases]:
    """A system's smallest known compounds, and its elements as 7net-0 has them."""
    rows = [(row, structure) for row, structure in known_phases(ATOMS) if row["chemsys"] == system]
    found = [(row["nsites"], row["material_id"], structure) for row, structure in rows]
    compounds = {key: structure for _, key, structure in sorted(found, key=lambda row: row[:2])[:MOST]}
    elements = (reference(symbol, 1) for symbol in system.split("-"))
    return system, compounds | {label: structure for label, structure, _ in elements}


def _heights(phases: Phases, answers: Mapping[str, Answer]) -> Heights:
    """Above what each compound would fall into, below 0 where it is stable, eV/atom."""
    entries = {
        key: PDEntry(phase.composition, answers[key]["energy"] * len(phase))
        for key, phase in phases.items()
        if answers[key]["energy"] < NO_ANSWER
    }
    diagram = PhaseDiagram(list(entries.values()))
    compounds = {key: entry for key, entry in entries.items() if not entry.is_element}
    return {key: float(diagram.get_phase_separation_energy(e) or 0.0) for key, e in compounds.items()}


def report(heights: Mapping[str, Mapping[str, Heights]], seconds: float) -> None:
    """A row for each potential."""
    dft = {key: height for found in heights.values() for key, height in found["GPAW"].items()}
    rows = []
    for name in POTENTIALS:
        own = {key: height for found in heights.values() for key, height in found[name].items()}
        keys = [key for key in dft if key in own]
        theirs, mine = np.array([own[key] for key in keys]), np.array([dft[key] for key in keys])
        tau = kendall_tau(theirs.tolist(), mine.tolist())
        differ = np.maximum(theirs, 0) - np.maximum(mine, 0)
        stable = (theirs <= 0, mine <= 0)
        rows.append(
            {
                "potential": name,
                "compounds": len(keys),
                "Kendall τ": None if tau is None else round(tau, 3),
                "e_above_hull, MAE, eV/atom": round(float(np.abs(differ).mean()), 4),
                "mean difference": round(float(differ.mean()), 4),
                "stable by both": f"{int((stable[0] & stable[1]).sum())} of {int(stable[1].sum())} of GPAW's",
                "stable by it alone": int((stable[0] & ~stable[1]).sum()),
                f"within {_WINDOW} by one only": int(((theirs <= _WINDOW) != (mine <= _WINDOW)).sum()),
            }
        )
    publish(
        "gpaw-order",
        page="dft",
        title="The order of energies: potentials beside GPAW",
        command=f"python -m {NAME}",
        headline="; ".join(
            f"{row['potential']}: τ {row['Kendall τ']}, MAE {row['e_above_hull, MAE, eV/atom']} eV/atom"
            for row in rows
        ),
        rows=rows,
        seconds=seconds,
        order=20,
        notes=[
            f"{len(dft)} compounds of {', '.join(heights)} of at most {ATOMS} atoms in "
            "../shared/data/dev_mp_structures.parquet, which caps e_hull at 0.08 eV/atom for most",
            f"GPAW by protocol `{PROTOCOL}` (PBE), relaxed from 7net-0's cell; elements as 7net-0 has them "
            "lowest; each oracle on the hull of its own answers",
            "τ: of how far each lies above what it would fall into; MAE: of e_above_hull, 0 on the hull",
            "what confirmation by GPAW changes is what is stable by one only",
            "the seconds are of the last call; what was answered in calls before was kept",
        ],
    )


if __name__ == "__main__":
    main()
