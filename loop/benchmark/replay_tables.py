"""Tables to replay, from parquet files of structures with known energies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from niobe.config.errors import ConfigError
from niobe.loop.benchmark.replay import Rows, Table
from niobe.loop.stability.convex_hull import Hull
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    import pandas as pd
    from pymatgen.core import Structure

_STRUCTURE = ("lattice", "numbers", "frac_coords")
_LOWEST = 0.02
_UNKNOWN = 0.5
_CLASSES = (("oxide", {"O"}), ("chalcogenide", {"S", "Se", "Te"}), ("halide", {"F", "Cl", "Br", "I"}),
            ("pnictide", {"N", "P", "As", "Sb", "Bi"}))  # fmt: skip


def read_frame(path: Path, *columns: str) -> pd.DataFrame:
    """A parquet file with the structure columns and ``columns``.

    Raises ConfigError where a column is missing, or the file is missing or no parquet.
    """
    import pandas as pd

    if not path.is_file():
        raise ConfigError(f"{path}: no such table")
    try:
        frame = pd.read_parquet(path).reset_index(drop=True)
    except (ValueError, OSError) as error:
        raise ConfigError(f"{path}: no parquet table ({' '.join(str(error).split())})") from None
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


def phase_diagram_table(
    name: str, frame: pd.DataFrame, *, tolerance: float, prior: FloatArray | None = None
) -> Table:
    """A phase diagram with columns ``energy`` and ``correction`` (eV for the cell); the elements are known.

    Targets lie within ``tolerance`` (eV/atom) of the hull of all. prior: (n,), energies in eV/atom by a cheap
    potential; formation energies are taken from its own lowest elements, NaN counts as 0.5 eV/atom.

    name: its name. frame: rows of the parquet file.
    """
    found = structures(frame)
    shares = [s.composition.fractional_composition.get_el_amt_dict() for s in found]
    sizes = np.array([len(s) for s in found])
    energies = (frame["energy"] + frame["correction"]).to_numpy(dtype=float) / sizes
    elements = sorted({symbol for share in shares for symbol in share})
    return Table(
        name=name,
        ids=_ids(frame, "entry_id"),
        features=_features(found),
        energies=_formation(name, energies, shares),
        level=Hull(shares, elements).level,
        tolerance=tolerance,
        start=tuple(index for index, share in enumerate(shares) if len(share) == 1),
        prior=None if prior is None else np.nan_to_num(_formation(name, prior, shares), nan=_UNKNOWN),
        kinds=_kinds(found),
    )


def _formation(name: str, energies: FloatArray, shares: Sequence[Mapping[str, float]]) -> FloatArray:
    """Formation energies (n,) from total energies (n,), eV/atom, against the lowest row of each element."""
    lowest: dict[str, float] = {}
    for energy, share in zip(energies, shares, strict=True):
        if len(share) == 1 and np.isfinite(energy):
            (symbol,) = share
            lowest[symbol] = min(lowest.get(symbol, np.inf), float(energy))
    missing = sorted({symbol for share in shares for symbol in share} - set(lowest))
    if missing:
        raise ConfigError(f"{name}: no energy of elemental {missing[0]}; a hull needs every element's")
    elements = [sum(x * lowest[symbol] for symbol, x in share.items()) for share in shares]
    return np.asarray(energies - np.array(elements))


def property_table(name: str, frame: pd.DataFrame, *, prior: FloatArray | None = None) -> Table:
    """Structures with ``e_form`` (eV/atom); targets: the lowest 2 % of each chemical class.

    What is measured against is the highest energy of a class's lowest 2 %, as far as it is known. prior:
    (n,), formation energies in eV/atom by a cheap potential.

    name: its name. frame: rows of the parquet file.
    """
    found = structures(frame)
    kinds = np.array([chemical_class({e.symbol for e in s.composition}) for s in found])
    members = [np.flatnonzero(kinds == kind) for kind in sorted(set(kinds))]

    def level(energies: FloatArray) -> FloatArray:
        cut = np.zeros(len(energies))
        for rows in members:
            ordered = np.sort(energies[rows])
            known = ordered[: max(1, round(_LOWEST * len(rows)))]
            known = known[np.isfinite(known)]
            cut[rows] = known[-1] if len(known) else 0.0
        return cut

    return Table(
        name=name,
        ids=_ids(frame, "material_id"),
        features=_features(found),
        energies=frame["e_form"].to_numpy(dtype=float),
        level=level,
        tolerance=0.0,
        start=(),
        prior=prior,
        kinds=_kinds(found),
    )


def chemical_class(elements: set[str]) -> str:
    """Oxide, chalcogenide, halide or pnictide by the first of these that holds an element; else metallic."""
    return next((name for name, anions in _CLASSES if elements & anions), "metallic")


def _kinds(found: Sequence[Structure]) -> Rows:
    """The same number for the same composition, (n,)."""
    return np.unique([s.composition.reduced_formula for s in found], return_inverse=True)[1]


def _ids(frame: pd.DataFrame, column: str) -> tuple[str, ...]:
    labels = frame.get(column, frame.index)
    return tuple(f"{label}/{number}" for number, label in enumerate(labels))


def _features(found: Sequence[Structure]) -> FloatArray:
    from niobe.surrogates.representations.descriptor import descriptor

    return descriptor(found)
