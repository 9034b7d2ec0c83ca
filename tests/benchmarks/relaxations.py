"""Relaxations that benchmarks share: each is done once, as a campaign does it, and kept."""

from __future__ import annotations

import functools
import json
import shutil
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from pymatgen.core import Composition, Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import correction_of
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.prerelax import prerelax_oracle
from niobe.loop.documents.records import Failure
from niobe.loop.generators.elements import elemental_candidates, elemental_references
from tests.benchmarks.generative import ROOT
from tests.loop.shared_crystals import shared_table

KEPT = ROOT / ".niobe/benchmarks/relaxations"
_NO_ANSWER = 1e3  # eV/atom
_FEW, _NEAR = 3, 0.1  # candidates, eV/atom
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


def reference(potential: str, element: str) -> tuple[str, float]:
    """What a campaign with that oracle measures against, label and eV/atom.

    Potentials other than 7net-0 are asked for the lowest few by that, from where it relaxed them.
    """
    if potential == "7net-0":
        energies = {
            label: relaxed(potential, label, structure)["energy"]
            for label, structure in elemental_references([element])
        }
    else:
        energies = {
            label: relaxed(potential, f"{label} by 7net-0", structure)["energy"]
            for label, structure in _lowest_few(element)
        }
    best = min(energies, key=energies.__getitem__)
    return best, energies[best]


def _lowest_few(element: str) -> list[tuple[str, Structure]]:
    answers = {
        label: relaxed("7net-0", label, structure) for label, structure in elemental_references([element])
    }
    order = sorted(answers, key=lambda label: answers[label]["energy"])
    first = [label for label in order if answers[label]["energy"] < answers[order[0]]["energy"] + _NEAR]
    distinct = {round(answers[label]["energy"], 3): label for label in reversed(first)}
    return [(label, as_answer(answers[label])[1]) for _, label in sorted(distinct.items())[:_FEW]]


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


def unrelaxed(potential: str, key: str, structure: Structure) -> float:
    """Energy as it stands, corrected, eV/atom."""

    def ask() -> Answer:
        oracle = ForceFieldOracle(spec_of(potential).oracle)
        (answer,) = oracle.static([structure], KEPT / "work")
        shutil.rmtree(KEPT / "work", ignore_errors=True)
        return {"energy": answer.energy_per_atom + correction_of(oracle, answer)}

    return float(kept(f"unrelaxed-{potential}", key, ask)["energy"])


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
