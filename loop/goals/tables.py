"""Properties that a user's own file holds: a CSV table by formula, or a surrogate fitted to a table."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from niobe.config.elements import ELEMENTS
from niobe.config.errors import ConfigError
from niobe.config.outside.json_text import read_object
from niobe.loop.goals.properties import Property

if TYPE_CHECKING:
    from pymatgen.core import Composition, Structure

    from niobe.surrogates.protocols import Surrogate

_DIGITS = 12
_LARGEST = 200 * 2**20
_FITTED = "formation_energy_per_atom"
"""What a surrogate fitted by `niobe models fit` calls its target, whatever that is."""


def property_in(path: Path, name: str, unit: str) -> Property:
    """The property that a file holds: a column of a CSV table, or a surrogate's target.

    path: the table, or the folder of `niobe models fit`. name: of the column or target. unit: of its values.
    Raises ConfigError, one line, for what cannot be read as that.
    """
    return _fitted(path, name, unit) if path.is_dir() else _column(path, name, unit)


def _column(file: Path, name: str, unit: str) -> Property:
    if not file.is_file():
        raise ConfigError(f"goals: {name}: {file}: no such file or folder")
    if file.stat().st_size > _LARGEST:
        raise ConfigError(f"goals: {name}: {file}: more than {_LARGEST // 2**20} MiB")
    values = _values(file, name, file.stat().st_mtime_ns)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()[:_DIGITS]

    def value(composition: Composition) -> float:
        formula = composition.reduced_formula
        if formula not in values:
            raise ValueError(f"no row for {formula} in {file.name}")
        return values[formula]

    return Property(unit, f"column {name} of {file.name} {digest}", "composition", value)


@functools.lru_cache(maxsize=4)
def _values(file: Path, name: str, changed: int) -> Mapping[str, float]:
    """By reduced formula, as the file was at an instant (``changed``: nanoseconds since the epoch); rows
    without a value are left out."""
    from niobe.loop.readers.tables import csv_rows

    found: dict[str, float] = {}
    try:
        for row in csv_rows(file):
            if row.fields.keys() >= {"formula", name}:
                formula = _reduced(row.fields["formula"], row.label)
                found[formula] = _one_value(found.get(formula), row.fields[name], f"{row.label}: {formula}")
    except (ValueError, OSError) as error:
        raise ConfigError(f"goals: {name}: {' '.join(str(error).split())}") from None
    if not found:
        raise ConfigError(f"goals: {name}: {file}: no row has a formula and a value of {name}")
    return found


def _reduced(text: str, where: str) -> str:
    from pymatgen.core import Composition

    composition = Composition(text)
    if not composition or not composition.get_el_amt_dict().keys() <= set(ELEMENTS):
        raise ValueError(f"{where}: {text[:40]!r} is no formula")
    return str(composition.reduced_formula)


def _one_value(before: float | None, text: str, where: str) -> float:
    """The number that a cell holds, the same as ``before`` where the formula had a row already."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{where}: {text} is no finite number")
    if before is not None and value != before:
        raise ValueError(f"{where} has {before:g} and {value:g}; a table by formula has one value for each")
    return value


def _fitted(folder: Path, name: str, unit: str) -> Property:
    try:
        target = read_object(folder / "fit.json")["target"]
        surrogate = _loaded(folder, digest := _digest(folder))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"goals: {name}: {folder}: no surrogate of `niobe models fit` ({error})") from None
    if target != name:
        raise ConfigError(f"goals: {name}: {folder}: was fitted to {target!r}; call the goal so")

    def value(structure: Structure) -> float:
        prediction = surrogate.predict([structure])[_FITTED]
        if not prediction.in_domain[0]:
            raise ValueError(f"outside of what {folder.name} was fitted to")
        return float(prediction.mean[0])

    return Property(unit, f"surrogate {folder.name} {digest}", "structure", value)


def _digest(folder: Path) -> str:
    """12 hex digits of all that a fitted surrogate is, names of files and what is in them."""
    whole = hashlib.sha256((folder / "surrogate.json").read_bytes())
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        whole.update(str(file.relative_to(folder)).encode() + hashlib.sha256(file.read_bytes()).digest())
    return whole.hexdigest()[:_DIGITS]


@functools.lru_cache(maxsize=4)
def _loaded(folder: Path, digest: str) -> Surrogate:
    """The surrogate as it was when its files had a digest."""
    from niobe.surrogates.models import load_surrogate

    return load_surrogate(folder)
