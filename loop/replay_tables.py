"""Tables to replay, from parquet files of structures with known energies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from config.errors import ConfigError
from loop.replay import Table
from surrogates.protocols import FloatArray

if TYPE_CHECKING:
    import pandas as pd
    from pymatgen.core import Structure

_STRUCTURE = ("lattice", "numbers", "frac_coords")
_LOWEST = 0.02
_CLASSES = (("oxide", {"O"}), ("chalcogenide", {"S", "Se", "Te"}), ("halide", {"F", "Cl", "Br", "I"}),
            ("pnictide", {"N", "P", "As", "Sb", "Bi"}))  # fmt: skip


def read_frame(path: Path, *columns: str) -> pd.DataFrame:
    """A parquet file with the structure columns and ``columns``. Raises ConfigError where one is missing."""
    import pandas as pd

    if not path.is_file():
        raise ConfigError(f"{path}: no such table")
    frame = pd.read_parquet(path)
    missing = [name for name in (*_STRUCTURE, *columns) if name not in frame]
    if missing:
        raise ConfigError(f"{path}: no column {missing[0]!r}; it has {', '.join(frame)}")
    return frame


def structures(frame: pd.DataFrame) -> list[Structure]:
    """Columns lattice (9, Å), numbers (Z) and frac_coords (3N) as structures."""
    from pymatgen.core import Element, Structure

    return [
        Structure(
            np.array(row.lattice, dtype=float).reshape(3, 3),
            [Element.from_Z(int(number)) for number in row.numbers],
            np.array(row.frac_coords, dtype=float).reshape(-1, 3),
        )
        for row in frame.itertuples()
    ]


def phase_diagram_table(name: str, frame: pd.DataFrame, *, tolerance: float) -> Table:
    """A phase diagram with columns ``energy`` and ``correction`` (eV for the cell); the elements are known.

    Targets lie within ``tolerance`` (eV/atom) of the hull of all; what has to be beaten is the hull of
    what is revealed.
    """
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram

    found = structures(frame)
    totals = (frame["energy"] + frame["correction"]).to_numpy(dtype=float)
    entries = [PDEntry(s.composition, energy) for s, energy in zip(found, totals, strict=True)]
    diagram = PhaseDiagram(entries)
    formation = np.array([diagram.get_form_energy_per_atom(entry) for entry in entries])
    above = np.array([diagram.get_e_above_hull(entry) or 0.0 for entry in entries])
    elemental = [i for i, s in enumerate(found) if len(s.composition) == 1]
    compound = np.array([len(s.composition) > 1 for s in found])

    def hull(known: NDArray[np.int64]) -> FloatArray:
        revealed = PhaseDiagram([PDEntry(found[i].composition, formation[i] * len(found[i])) for i in known])
        cache: dict[str, float] = {}
        for structure in found:
            formula = structure.composition.reduced_formula
            if formula not in cache:
                shares = structure.composition.fractional_composition
                cache[formula] = float(revealed.get_hull_energy_per_atom(shares))
        return np.array([cache[s.composition.reduced_formula] for s in found])

    return Table(
        name=name,
        ids=_ids(frame, "entry_id"),
        features=_features(found),
        energies=formation,
        targets=(above <= tolerance) & compound,
        baseline=hull,
        start=tuple(elemental),
    )


def property_table(name: str, frame: pd.DataFrame, *, rows: int, seed: int) -> Table:
    """A sample of structures with ``e_form`` (eV/atom); targets: the lowest 2 % of each chemical class.

    What has to be beaten is the lowest energy revealed in the class.
    """
    drawn = frame.sample(min(rows, len(frame)), random_state=seed).reset_index(drop=True)
    found = structures(drawn)
    energies = drawn["e_form"].to_numpy(dtype=float)
    kinds = np.array([chemical_class({e.symbol for e in s.composition}) for s in found])
    targets = np.zeros(len(found), dtype=bool)
    for kind in set(kinds):
        members = np.flatnonzero(kinds == kind)
        lowest = max(1, round(_LOWEST * len(members)))
        targets[members[np.argsort(energies[members])[:lowest]]] = True

    def best_of_class(known: NDArray[np.int64]) -> FloatArray:
        best = {kind: energies[known[kinds[known] == kind]].min(initial=0.0) for kind in set(kinds)}
        return np.array([best[kind] for kind in kinds])

    return Table(
        name=name,
        ids=_ids(drawn, "material_id"),
        features=_features(found),
        energies=energies,
        targets=targets,
        baseline=best_of_class,
        start=(),
    )


def chemical_class(elements: set[str]) -> str:
    """Oxide, chalcogenide, halide or pnictide by the first of these that holds an element; else metallic."""
    return next((name for name, anions in _CLASSES if elements & anions), "metallic")


def _ids(frame: pd.DataFrame, column: str) -> tuple[str, ...]:
    labels = frame.get(column, frame.index)
    return tuple(f"{label}/{number}" for number, label in enumerate(labels))


def _features(found: Sequence[Structure]) -> FloatArray:
    from surrogates.representations.descriptor import descriptor

    return descriptor(found)
