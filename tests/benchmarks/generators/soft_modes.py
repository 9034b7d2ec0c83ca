"""``python -m tests.benchmarks.generators.soft_modes``: do soft modes lead down, and to stable crystals?

Rutile NbO2 first, then parents that PhononDB calls unstable and 7net-0 does too. Resumable: each parent and
its children are one file. Where no child is stable, the lowest of them is followed on, a few generations far.
"""

from __future__ import annotations

import argparse
import shutil
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure
from rich.console import Console

from niobe.config.spec import CampaignSpec, Oracle, Phonons
from niobe.flows.oracles.calculation import phonons, validate_structure
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.potentials import UnphysicalAnswerError
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.records import Failure
from niobe.loop.generators import SoftModes, SoftParent
from niobe.loop.generators.prototypes import decorated_prototypes
from niobe.surrogates.protocols import Sample, SampleRequest
from tests.benchmarks.generators.settings import phonon_labels
from tests.benchmarks.generators.store import stored, write
from tests.benchmarks.publish import publish

_RUTILE = "A2B_tP6_136_f_a O-Nb"
_LONG_ENOUGH = 9.0  # Å: holds the zone boundary of rutile along its chains exactly
_PARENT_ATOMS, _CHILD_ATOMS, _CHILDREN, _GENERATIONS = 10, 48, 3, 4


def main() -> None:
    """Follow parents within the seconds given, then publish what there is."""
    options = _options()
    warnings.simplefilter("ignore")
    until = time.monotonic() + options.seconds
    unstable = 0
    for label, parent in _parents():
        if unstable > options.parents or time.monotonic() > until:
            break
        file = options.folder / f"{label}.json"
        if not file.is_file():
            started = time.monotonic()
            content = _follow(parent, options.folder / "work")
            write(file, content | {"seconds": time.monotonic() - started})
        _judge_children(file, options.folder / "work")
        _descend(file, options.folder / "work")
        found = stored_one(file)
        unstable += found["unstable"]
        Console().print(label, _told(found))
    if options.publish:
        _publish(options)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.generators.soft_modes")
    parser.add_argument("--parents", type=int, default=20, help="unstable parents besides rutile NbO2")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin no parent after this long")
    parser.add_argument("--folder", type=Path, default=Path("benchmark-soft-modes"), help="where it goes on")
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks")
    return parser.parse_args()


def _parents() -> Iterator[tuple[str, Structure]]:
    """Labels and structures: rutile NbO2, then what PhononDB calls unstable, the smallest first."""
    yield "00-rutile-NbO2", dict(decorated_prototypes(("Nb", "O"), 6))[_RUTILE]
    structures, stable = phonon_labels()
    unstable = [s for s, label in zip(structures, stable, strict=True) if not label]
    small = [s for s in unstable if len(s) <= _PARENT_ATOMS]
    for number, structure in enumerate(sorted(small, key=lambda s: (len(s), s.formula)), start=1):
        yield f"{number:02d}-{structure.composition.reduced_formula}", structure


def _follow(parent: Structure, work: Path) -> dict[str, Any]:
    """Relax, phonons, and of an unstable one its children relaxed, those that became equal once."""
    relaxed = _relax(parent, work)
    if "structure" in relaxed:
        relaxed |= _dynamics(Structure.from_dict(relaxed["structure"]), work)
    unstable = relaxed.get("outcome") == Stability.UNSTABLE
    if not unstable:
        return {"parent": relaxed, "unstable": False, "children": []}
    return {"parent": relaxed, "unstable": True, "children": _children(relaxed, 1, work)}


def _children(unstable: dict[str, Any], generation: int, work: Path) -> list[dict[str, Any]]:
    """Relaxed children of an answer with modes."""
    parent = Structure.from_dict(unstable["structure"])
    soft = SoftParent("parent", parent, tuple(unstable["modes"]))
    elements = tuple(sorted(e.symbol for e in parent.composition))
    request = SampleRequest(elements=elements, max_atoms=_CHILD_ATOMS, min_atoms=1)
    generator = SoftModes([soft], lambda s: _energy(_spec(parent), s, work))
    children = _distinct(generator.sample(request, _CHILDREN, seed=1).samples, work)
    return [child | {"generation": generation} for child in children]


def _descend(file: Path, work: Path) -> None:
    """Follow the lowest unstable descendant on until one is stable, each generation stored."""
    content = stored_one(file)
    while not _reaches_stable(content) and (lowest := _to_follow(content)):
        started = time.monotonic()
        content["children"] += _children(lowest, lowest["generation"] + 1, work)
        lowest["followed"] = True
        content["seconds"] += time.monotonic() - started
        write(file, content)
        _judge_children(file, work)
        content = stored_one(file)


def _to_follow(content: dict[str, Any]) -> dict[str, Any] | None:
    """The lowest descendant not followed yet, where it is unstable and young enough."""
    young = [
        child
        for child in content["children"]
        if child.get("outcome") == Stability.UNSTABLE
        and child["generation"] < _GENERATIONS
        and not child.get("followed")
    ]
    return min(young, key=lambda child: float(child["energy_per_atom"]), default=None)


def _distinct(samples: Sequence[Sample], work: Path) -> list[dict[str, Any]]:
    """Relaxed children; of those that became equal one."""
    children: list[dict[str, Any]] = []
    seen = SeenStructures()
    for sample in samples:
        child = _relax(sample.structure, work) | {"origin": dict(sample.origin)}
        if "structure" in child:
            relaxed = Structure.from_dict(child["structure"])
            if seen.find(relaxed):
                continue
            seen.add("child", relaxed)
        children.append(child)
    return children


def _judge_children(file: Path, work: Path) -> None:
    """Phonons of the children that have none yet, stored one by one."""
    content = stored_one(file)
    for child in content["children"]:
        if "structure" in child and "outcome" not in child:
            started = time.monotonic()
            child |= _dynamics(Structure.from_dict(child["structure"]), work)
            content["seconds"] += time.monotonic() - started
            write(file, content)


def _spec(structure: Structure) -> CampaignSpec:
    oracle = Oracle(name="7net-0", fmax=0.01, max_steps=400, wall_time=3600.0, retries=0)
    elements = tuple(element.symbol for element in structure.composition)
    phonons_ = Phonons(min_length=_LONG_ENOUGH)
    return CampaignSpec(id="soft-modes", elements=elements, oracle=oracle, prerelax=None, phonons=phonons_)


def _energy(spec: CampaignSpec, structure: Structure, work: Path) -> float:
    try:
        (answer,) = ForceFieldOracle(spec.oracle).static([structure], work)
    except UnphysicalAnswerError:
        return float("inf")
    return answer.energy_per_atom


def _relax(structure: Structure, work: Path) -> dict[str, Any]:
    spec = _spec(structure)
    answer = validate_structure(spec, ForceFieldOracle(spec.oracle), structure, work)
    shutil.rmtree(work, ignore_errors=True)
    if isinstance(answer, Failure):
        return {"failed": answer.message}
    relaxed = Structure.from_dict(answer.structure)
    return {
        "structure": answer.structure,
        "energy_per_atom": answer.energy_per_atom,
        "spacegroup": answer.spacegroup,
        "n_atoms": len(relaxed),
        "shortest_pairs": _metal_distances(relaxed),
    }


def _dynamics(structure: Structure, work: Path) -> dict[str, Any]:
    spec = _spec(structure)
    found = phonons(spec, ForceFieldOracle(spec.phonon_oracle), structure, work)
    shutil.rmtree(work, ignore_errors=True)
    if isinstance(found, Failure):
        return {"outcome": "undecided", "modes": [], "lowest_frequency": None}
    verdict = found[0].verdict
    return {
        "outcome": verdict.outcome.value,
        "lowest_frequency": verdict.lowest_frequency,
        "modes": found[0].modes,
        **({"structure": found[0].bands["structure"]} if found[0].bands else {}),
    }


def _metal_distances(structure: Structure) -> list[float]:
    """Distances of Nb to its nearest Nb, Å: short and long ones alternate where chains dimerise."""
    metal = [site for site in structure if site.specie.symbol == "Nb"]
    return [
        round(min(n.nn_distance for n in structure.get_neighbors(s, 6.0) if n.specie == s.specie), 3)
        for s in metal
        if any(n.specie == s.specie for n in structure.get_neighbors(s, 6.0))
    ]


def stored_one(file: Path) -> dict[str, Any]:
    """One parent's file."""
    return next(content for _, content in stored(file.parent, file.name))


def _told(content: dict[str, Any]) -> str:
    parts = [_line(content["parent"])]
    parts += [
        f"{'→' * child['generation']} {_line(child)}, {_drop(content, child):.1f} meV/atom lower"
        for child in content["children"]
    ]
    return "; ".join(parts)


def _line(answer: dict[str, Any]) -> str:
    if "structure" not in answer:
        return f"failed: {answer['failed'][:60]}"
    lowest = answer["lowest_frequency"]
    shown = "–" if lowest is None else f"{lowest:.2f} THz"
    return f"space group {answer['spacegroup']}, {answer['n_atoms']} atoms, {answer['outcome']} ({shown})"


def _drop(content: dict[str, Any], child: dict[str, Any]) -> float:
    if "energy_per_atom" not in child:
        return float("nan")
    return 1e3 * float(content["parent"]["energy_per_atom"] - child["energy_per_atom"])


def _publish(options: argparse.Namespace) -> None:
    everything = list(stored(options.folder, "*.json"))
    found = {file.stem: content for file, content in everything if content["unstable"]}
    rutile = found.pop("00-rutile-NbO2", None)
    lower = [_best_drop(content) > 0 for content in found.values()]
    stable = [_reaches_stable(content, generations=1) for content in found.values()]
    later = [_reaches_stable(content) for content in found.values()]
    rows = [
        {
            "what": "rutile NbO2: a dimerised child, lower and dynamically stable",
            "bar": "yes",
            "figure": "not run" if rutile is None else _told(rutile),
        },
        {
            "what": "parents with a child of lower energy",
            "bar": "≥ 80 % of ≥ 20",
            "figure": f"{sum(lower)} of {len(lower)}",
        },
        {
            "what": "parents with a dynamically stable child",
            "bar": "≥ 30 % of ≥ 20",
            "figure": f"{sum(stable)} of {len(stable)}",
        },
        {
            "what": f"parents with a dynamically stable descendant in {_GENERATIONS} generations",
            "bar": "reported",
            "figure": f"{sum(later)} of {len(later)}",
        },
    ]
    pairs = [] if rutile is None else [child.get("shortest_pairs") for child in rutile["children"]]
    publish(
        "soft_modes",
        page="generators",
        title="Soft modes",
        command=f"python -m tests.benchmarks.generators.soft_modes --parents {options.parents} --publish",
        rows=rows,
        seconds=sum(content["seconds"] for _, content in everything),
        notes=[
            f"Nearest Nb–Nb distances in rutile's children, Å: {pairs}.",
            *[f"{label}: {_told(content)}." for label, content in found.items()],
        ],
        order=31,
    )


def _best_drop(content: dict[str, Any]) -> float:
    drops = [_drop(content, child) for child in content["children"]]
    return float(np.nanmax(drops)) if drops and not np.isnan(drops).all() else float("-inf")


def _reaches_stable(content: dict[str, Any], generations: int = _GENERATIONS) -> bool:
    return any(
        child.get("outcome") == Stability.STABLE
        and _drop(content, child) > 0
        and child["generation"] <= generations
        for child in content["children"]
    )


if __name__ == "__main__":
    main()
