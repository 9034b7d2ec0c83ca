"""Relaxations that benchmarks share: each is done once, as a campaign does it, and kept."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pymatgen.core import Composition, Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import Answer as NiobeAnswer
from niobe.flows.oracles.base import correction_of
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.potentials import UnphysicalAnswerError
from niobe.flows.oracles.potentials import potential as make_potential
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.prerelax import prerelax_oracle
from niobe.loop.campaign.competition import WINDOW, most_of_an_element
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Failure
from niobe.loop.generators.elements import elemental_candidates, elemental_references
from tests.benchmarks.generative import ROOT
from tests.loop.shared_crystals import shared_table

KEPT = ROOT / ".niobe/benchmarks/relaxations"
_NO_ANSWER = 1e3  # eV/atom
Answer = dict[str, Any]
Answers = dict[str, tuple[float, Structure]]


@functools.cache
def spec_of(potential: str) -> CampaignSpec:
    """A campaign with that oracle and everything else by default, but time."""
    return CampaignSpec.model_validate(
        {"id": "relaxations", "elements": ["H"], "oracle": {"name": potential, "wall_time": 900}}
    )


def kept(name: str, key: str, ask: Callable[[], Answer]) -> Answer:
    """What was answered under a key before, or is now."""
    known = _known(name)
    if key not in known:
        known[key] = ask()
        with (KEPT / f"{name}.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"key": key, **known[key]}) + "\n")
    return known[key]


def is_kept(name: str, key: str) -> bool:
    """Whether something was answered under a key before."""
    return key in _known(name)


@functools.cache
def _known(name: str) -> dict[str, Answer]:
    KEPT.mkdir(parents=True, exist_ok=True)
    file = KEPT / f"{name}.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return {found["key"]: found for found in map(json.loads, lines)}


def prerelaxed(element: str) -> Answers:
    """Each candidate of an element as CHGNet pre-relaxes it: energy in eV/atom, and structure."""
    found = {
        label: kept("prerelaxed", label, functools.partial(_prerelax, structure))
        for label, structure in elemental_candidates(element)
    }
    return {label: as_answer(answer) for label, answer in found.items() if answer["structure"]}


def as_answer(answer: Answer) -> tuple[float, Structure]:
    """Energy (eV/atom) and structure of what is kept."""
    return answer["energy"], Structure.from_dict(answer["structure"])


def reference(element: str, most: int) -> tuple[str, Structure, float]:
    """The lowest by 7net-0 of the few crystals that CHGNet holds to be the lowest of an element: label,
    structure and eV/atom.

    Where none of these has an answer, of the others. A campaign asks about more. most: relax so many only.
    """
    asked = {label for label, _ in elemental_references([element])}
    found = {label: answer for label, answer in prerelaxed(element).items() if label in asked}
    order = _lowest_few(found)[:most]
    answers = _answered(found, order) or _answered(found, [label for label in found if label not in order])
    best = min(answers, key=lambda label: answers[label]["energy"])
    energy, structure = as_answer(answers[best])
    return best, structure, energy


def _answered(found: Answers, labels: Sequence[str]) -> dict[str, Answer]:
    """What 7net-0 answers, by label, but for failures."""
    answers = {label: relaxed("7net-0", f"{label} prerelaxed", found[label][1]) for label in labels}
    return {label: answer for label, answer in answers.items() if answer["structure"]}


def _lowest_few(found: Answers) -> list[str]:
    """As a campaign's round 0 chooses them: near the lowest, no two alike, so many at most."""
    lowest, seen = min(energy for energy, _ in found.values()), SeenStructures()
    chosen: list[str] = []
    for label in sorted(found, key=lambda label: found[label][0]):
        energy, structure = found[label]
        if energy <= lowest + WINDOW and seen.find(structure) is None:
            seen.add(label, structure)
            chosen.append(label)
    return chosen[: most_of_an_element(spec_of("7net-0"))]


def relaxed(potential: str, key: str, structure: Structure) -> Answer:
    """Validated by an oracle: energy in eV/atom and structure, or a very high energy and the failure."""

    def ask() -> Answer:
        spec = spec_of(potential)
        work = KEPT / "work"
        found = validate_structure(spec, make_oracle(spec.oracle), structure, work)
        shutil.rmtree(work, ignore_errors=True)
        if isinstance(found, Failure):
            return {"energy": _NO_ANSWER, "structure": None, "failure": found.cause}
        return {"energy": found.energy_per_atom, "structure": found.structure}

    return kept(f"relaxed-{potential}", key, ask)


def unrelaxed(potential: str, key: str, structures: Sequence[Structure]) -> list[float]:
    """Energies as they stand, corrected, eV/atom; very high ones where one of them leaves physics."""

    def ask() -> Answer:
        oracle = ForceFieldOracle(spec_of(potential).oracle)
        found = []
        for structure in structures:
            atoms = structure.to_ase_atoms()
            atoms.calc = make_potential(potential)
            try:
                energy = float(atoms.get_potential_energy())
            except UnphysicalAnswerError:
                found.append(_NO_ANSWER)
                continue
            answer = NiobeAnswer(structure, energy, np.zeros((len(structure), 3)), steps=1)
            found.append(answer.energy_per_atom + correction_of(oracle, answer))
        return {"energies": found}

    return [float(energy) for energy in kept(f"unrelaxed-{potential}", key, ask)["energies"]]


def _prerelax(structure: Structure) -> Answer:
    work = KEPT / "work"
    oracle = prerelax_oracle(spec_of("7net-0"))
    try:
        answer = oracle.relax_briefly(structure, work)
    except Exception as error:  # noqa: BLE001 - as in a campaign, what it cannot answer for is set aside
        return {"energy": _NO_ANSWER, "structure": None, "failure": type(error).__name__}
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return {"energy": answer.energy_per_atom, "structure": answer.structure.as_dict()}


def known_phases(most_atoms: int) -> Iterator[tuple[dict[str, Any], Structure]]:
    """Rows of Materials Project's structures in the shared data, up to that size."""
    table = pq.read_table(shared_table())
    for row in table.to_pylist():
        if row["nsites"] <= most_atoms:
            lattice, sites = np.reshape(row["lattice"], (3, 3)), np.reshape(row["frac_coords"], (-1, 3))
            row["chemsys"] = Composition(row["formula"]).chemical_system
            yield row, Structure(lattice, row["numbers"], sites)
