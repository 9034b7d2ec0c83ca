"""Stable, unique and novel: one hull over references and all settings together, one duplicates rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Structure

from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.stability.hull import LOWEST_FORMATION_ENERGY, formation_energy
from tests.benchmarks.generators.relaxing import relaxed
from tests.benchmarks.generators.store import Run, stored, structure

TOLERANCE = 0.1


@dataclass
class Tally:
    """What one run's relaxed samples came to. ``sun``: files of the stable, unique and novel ones."""

    calls: int = 0
    failed: int = 0
    stable: int = 0
    sun: list[Path] = field(default_factory=list)
    found: list[str] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.sun) / self.calls if self.calls else float("nan")


def judge(root: Path, runs: Sequence[Run], *, rounds: bool = False) -> dict[Run, Tally]:
    """A tally a run. Nothing of the system was in seeds or corpus, so a known phase counts as novel.

    e_above_hull at most TOLERANCE (eV/atom) after relaxation; unique within the run, by StructureMatcher, and
    where runs are ``rounds``, new against earlier ones.
    """
    diagrams = {system: hull(root, system, runs) for system in {run.system for run in runs}}
    seen = SeenStructures()
    return {
        run: _tally(root, run, diagrams[run.system], seen if rounds else SeenStructures()) for run in runs
    }


def hull(root: Path, system: str, runs: Sequence[Run]) -> PhaseDiagram:
    """The hull of the system's references and of what all runs relaxed."""
    answers = [content for _, content in stored(root / system / "references", "*.json")]
    energies = elements(root, system)
    for run in runs:
        if run.system == system:
            answers += [content for _, content in relaxed(root, run) if is_solid(content, energies)]
    return PhaseDiagram([_entry(content) for content in answers if "structure" in content])


def elements(root: Path, system: str) -> dict[str, float]:
    """The lowest energy of each element among the references, eV/atom."""
    found: dict[str, float] = {}
    for _, content in stored(root / system / "references", "*.json"):
        symbols = structure(content).symbol_set if "structure" in content else ()
        if len(symbols) == 1:
            found[symbols[0]] = min(content["energy_per_atom"], found.get(symbols[0], float("inf")))
    return found


def is_solid(content: dict[str, Any], energies: Mapping[str, float]) -> bool:
    """Whether the oracle had an answer, which lies no deeper than any solid: as campaigns have it, such an
    answer is a failure of the potential.

    content: of a sample. energies: of the elements, eV/atom.
    """
    if "structure" not in content:
        return False
    amounts = structure(content).composition.get_el_amt_dict()
    return formation_energy(amounts, content["energy_per_atom"], energies) >= LOWEST_FORMATION_ENERGY


def above_hull(diagram: PhaseDiagram, content: dict[str, Any]) -> float:
    """eV/atom, negative below the hull."""
    return float(diagram.get_e_above_hull(_entry(content), allow_negative=True) or 0.0)


def _entry(content: dict[str, Any]) -> PDEntry:
    composition = structure(content).composition
    return PDEntry(composition, content["energy_per_atom"] * composition.num_atoms)


def _tally(root: Path, run: Run, diagram: PhaseDiagram, seen: SeenStructures) -> Tally:
    tally, energies = Tally(), elements(root, run.system)
    for file, content in relaxed(root, run):
        tally.calls += 1
        if not is_solid(content, energies):
            tally.failed += 1
            continue
        above = above_hull(diagram, content)
        if above > TOLERANCE:
            continue
        tally.stable += 1
        found = structure(content)
        if seen.find(found) is None:
            seen.add(file.stem, found)
            tally.sun.append(file)
            tally.found.append(_named(found, content["spacegroup"], above))
    return tally


def _named(found: Structure, spacegroup: int, above: float) -> str:
    return f"{found.composition.reduced_formula} ({spacegroup}) {above:.3f}"
