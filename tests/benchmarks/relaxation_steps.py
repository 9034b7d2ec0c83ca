"""``python -m tests.benchmarks.relaxation_steps``: what relaxations cost by their first guess of the springs.

Relaxed by the default oracle are candidates that earlier runs asked about, from where the pre-relaxation
potential left them, and compounds of metals as Materials Project has them; then each once more, from where it
ended, to the forces of a find, and by a potential that gives a second opinion.
"""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from pymatgen.core import Structure

from niobe.config.spec import Oracle
from niobe.flows.oracles.base import FIND_FMAX, Answer, NotConvergedError
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.loop.documents.structures import candidate_structure
from tests.benchmarks.complete_hull import read
from tests.benchmarks.generative import ROOT, RUNS, SYSTEMS
from tests.benchmarks.known_phases import ground_states
from tests.benchmarks.publish import publish

_SEED, _EACH = 1, 6
_METALS = ("In-Li", "Hf-Pd", "Cd-Mg", "Pd-Ti")
_ASE: Mapping[str, float] = {"alpha": 70.0}
_SAME = 1e-3  # eV/atom
_FOLDER = ROOT / ".niobe/benchmarks/relaxation_steps"


class Pair(NamedTuple):
    """One relaxation from both guesses: ASE's, and springs between atoms."""

    ase: Answer
    springs: Answer

    @property
    def lower(self) -> float:
        """By how much the springs ended lower, eV/atom."""
        return self.ase.energy_per_atom - self.springs.energy_per_atom


def main() -> None:
    """Relax and publish."""
    warnings.simplefilter("ignore")
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    for label, structures in (*_candidates(), ("compounds of metals", _metals())):
        first = _pairs(Oracle(), structures)
        ends = [pair.ase.structure for pair in first]
        rows.append(_row(label, "the oracle", first))
        rows.append(_row(label, "to a find's forces", _pairs(Oracle(fmax=FIND_FMAX), ends)))
        rows.append(_row(label, "a second opinion: chgnet", _pairs(Oracle(name="chgnet"), ends)))
    publish(
        "relaxation-steps",
        page="campaign",
        title="Evaluations of a relaxation, by the first guess of its Hessian",
        command="python -m tests.benchmarks.relaxation_steps",
        rows=rows,
        seconds=time.monotonic() - started,
        seeds=[_SEED],
        headline=f"{sum(row['ASE'] for row in rows) / sum(row['springs'] for row in rows):.2f} times as many "
        "evaluations with ASE's first guess as with springs between atoms",
        notes=[
            "candidates: calls of the runs in tests/benchmarks/runs, from where CHGNet left them; compounds "
            f"of {', '.join(_METALS)}: Materials Project's ground states",
            "ASE: BFGS from 70 eV/Å² for sites and cell alike; springs: from a network of them",
            "number: of relaxations that converge from both",
            "lower, higher: crystals that end over 1 meV/atom lower or higher from springs than from ASE's",
        ],
        order=21,
    )


def _candidates() -> list[tuple[str, list[Structure]]]:
    found = []
    for system in SYSTEMS:
        runs = [read(file) for file in sorted((RUNS / system).glob("offspring-*.json.gz"))]
        calls = [call for run in runs for call in run.calls if call.validation and call.prerelaxed]
        chosen = random.Random(_SEED).sample(calls, _EACH)
        found.append((f"candidates of {system}", [candidate_structure(call) for call in chosen]))
    return found


def _metals() -> list[Structure]:
    return [structure for system in _METALS for _, structure in ground_states(system) if len(structure) > 1]


def _pairs(asked: Oracle, structures: Sequence[Structure]) -> list[Pair]:
    """Relaxations that converge from both guesses."""
    slow, quick = ForceFieldOracle(asked, _ASE), ForceFieldOracle(asked)
    pairs = []
    for structure in structures:
        with suppress(NotConvergedError):
            pairs.append(Pair(slow.relax(structure, _FOLDER), quick.relax(structure, _FOLDER)))
    return pairs


def _row(label: str, what: str, pairs: Sequence[Pair]) -> dict[str, Any]:
    ase, springs = (sum(getattr(pair, guess).steps for pair in pairs) for guess in Pair._fields)
    return {
        "crystals": label,
        "relaxation": what,
        "number": len(pairs),
        "ASE": ase,
        "springs": springs,
        "ASE ÷ springs": round(ase / springs, 2),
        "lower": sum(pair.lower > _SAME for pair in pairs),
        "higher": sum(pair.lower < -_SAME for pair in pairs),
    }


if __name__ == "__main__":
    main()
