"""``python -m tests.benchmarks.second_opinions``: what are other potentials' opinions worth?

Known compounds are taken for the finds of a campaign by 7net-0 whose hull is built from all of them, and the
other potentials are asked as a campaign asks them. Resumed where it was stopped.
"""

from __future__ import annotations

import argparse
import hashlib
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition, Structure

from niobe.config.oracles.claims import UNIVERSAL, second_oracles
from niobe.loop.campaign.confirming import kendall_tau
from tests.benchmarks.publish import publish
from tests.benchmarks.relaxations import known_phases, reference, relaxed

ORACLE = "7net-0"
OTHERS = second_oracles(ORACLE, [])
_COMPOUNDS, _LEAST_IN_A_SYSTEM = 100, 3
_ATOMS = 8
_ON_HULL = 1e-3  # eV/atom: Materials Project's e_hull is rounded
_WINDOWS = (0.1, 0.02)
"""eV/atom: the default of hull_tolerance, and about what two universal potentials differ by."""
_NO_ANSWER = 100.0


@dataclass(frozen=True)
class Phase:
    """A crystal of Materials Project. e_hull: eV/atom, its own; NaN of an element."""

    key: str
    composition: Composition
    structure: Structure
    e_hull: float


def main() -> None:
    """Relax what is missing, compare and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.second_opinions")
    parser.add_argument("--minutes", type=float, default=1e6, help="relax nothing further afterwards")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.monotonic()
    heights: dict[str, dict[str, float]] = {}
    compounds: list[Phase] = []
    for phases in chosen_systems():
        if time.monotonic() - started > 60 * options.minutes:
            break
        above = {name: heights_in(name, phases) for name in UNIVERSAL}
        answered = [phase for phase in phases if all(phase.key in found for found in above.values())]
        for phase in answered:
            if len(phase.composition) > 1:
                compounds.append(phase)
                heights[phase.key] = {name: found[phase.key] for name, found in above.items()}
        print(len(compounds), phases[0].composition.chemical_system, flush=True)
    report(compounds, heights, time.monotonic() - started)


def chosen_systems() -> Iterator[list[Phase]]:
    """Compounds of binary systems and their elements, in an order that follows from a hash, 100 in all."""
    systems: dict[str, list[Phase]] = defaultdict(list)
    for row, structure in known_phases(_ATOMS):
        if len(structure.composition) == 2:
            phase = Phase(row["material_id"], structure.composition, structure, row["e_hull"])
            systems[row["chemsys"]].append(phase)
    left = _COMPOUNDS
    for system in sorted(systems, key=lambda name: hashlib.sha1(name.encode()).hexdigest()):
        if left > 0 and len(systems[system]) >= _LEAST_IN_A_SYSTEM:
            left -= len(systems[system])
            yield [*systems[system], *(_element(symbol) for symbol in system.split("-"))]


def _element(symbol: str) -> Phase:
    """Of what a campaign asks for the lowest as it stands, relaxed by 7net-0."""
    label, structure, _ = reference(symbol, 1)
    return Phase(label, structure.composition, structure, float("nan"))


def heights_in(potential: str, phases: Sequence[Phase]) -> dict[str, float]:
    """How far each compound lies above what it would fall into by one potential, eV/atom; below 0: stable."""
    answers = {phase.key: relaxed(potential, f"{phase.key} as known", phase.structure) for phase in phases}
    entries = {
        phase.key: PDEntry(phase.composition, answers[phase.key]["energy"] * phase.composition.num_atoms)
        for phase in phases
        if answers[phase.key]["energy"] < _NO_ANSWER
    }
    if any(len(phase.composition) == 1 and phase.key not in entries for phase in phases):
        return {}
    diagram = PhaseDiagram(list(entries.values()))
    return {
        key: float(diagram.get_phase_separation_energy(entry) or 0.0)
        for key, entry in entries.items()
        if not entry.is_element
    }


def report(compounds: Sequence[Phase], heights: Mapping[str, Mapping[str, float]], seconds: float) -> None:
    """Agreement per potential, and the share of Materials Project's stable ones by k of n."""
    rows = [_of_potential(name, heights) for name in OTHERS]
    worth = [row for window in _WINDOWS for row in _worth(window, compounds, heights)]
    notes = [
        f"{len(compounds)} compounds of binary systems, at most {_ATOMS} atoms, in "
        "../shared/data/dev_mp_structures.parquet, which caps e_hull at 0.08 eV/atom for most; of "
        "what a campaign asks for each element the lowest as it stands, "
        "relaxed; each potential on the hull of its own answers for a system",
        f"finds: what {ORACLE} puts within the window above its hull; confirmed by k of {len(OTHERS)}: so "
        f"many of {', '.join(OTHERS)} put it within the same window of theirs",
        "the seconds are of the last call; what was answered in calls before was kept",
    ]
    command = "python -m tests.benchmarks.second_opinions"
    publish(
        "second_opinions",
        page="potentials",
        title=f"Second opinions on what {ORACLE} finds",
        headline="; ".join(f"{row['potential']}: τ {row['Kendall τ']}" for row in rows),
        command=command,
        rows=rows,
        seconds=seconds,
        notes=notes,
        order=63,
    )
    publish(
        "second_opinions-worth",
        page="potentials",
        title="What k of n is worth",
        headline="; ".join(
            f"within {row['window, eV/atom']}, {row['confirmed by']}: {row['stable on Materials Project']}"
            for row in worth
        ),
        command=command,
        rows=worth,
        seconds=seconds,
        notes=notes,
        order=64,
    )


def _of_potential(name: str, heights: Mapping[str, Mapping[str, float]]) -> dict[str, Any]:
    own = np.array([found[ORACLE] for found in heights.values()])
    theirs = np.array([found[name] for found in heights.values()])
    apart = theirs - own
    tau = kendall_tau(own.tolist(), theirs.tolist())
    both = [(own <= window) == (theirs <= window) for window in _WINDOWS]
    return {
        "potential": name,
        "compounds": len(own),
        "Kendall τ": None if tau is None else round(tau, 3),
        "median difference, eV/atom": round(float(np.median(apart)), 4),
        "spread (10 to 90 %), eV/atom": round(float(np.ptp(np.quantile(apart, [0.1, 0.9]))), 4),
        **{
            f"same verdict within {w}": round(float(s.mean()), 3) for w, s in zip(_WINDOWS, both, strict=True)
        },
    }


def _worth(
    window: float, compounds: Sequence[Phase], heights: Mapping[str, Mapping[str, float]]
) -> Iterator[dict[str, Any]]:
    finds = [phase for phase in compounds if heights[phase.key][ORACLE] <= window]
    for k in range(len(OTHERS), -1, -1):
        agreed = [p for p in finds if sum(heights[p.key][name] <= window for name in OTHERS) == k]
        stable = sum(phase.e_hull < _ON_HULL for phase in agreed)
        yield {
            "window, eV/atom": window,
            "confirmed by": f"{k} of {len(OTHERS)}",
            "finds": len(agreed),
            "stable on Materials Project": f"{stable} of {len(agreed)}",
            "share": round(stable / len(agreed), 3) if agreed else None,
        }


if __name__ == "__main__":
    main()
