"""The hull in letters: as a picture for two elements, as a list for more."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from niobe.loop.documents.records import ON_HULL
from niobe.loop.documents.rounds import HullEntry, HullRecord

_WIDTH, _HEIGHT = 61, 13
_MOST_LISTED = 12
_LEAST_TOP = 0.1  # eV/atom, so that compounds little above the elements are seen where none is below
_ABOVE, _LINE, _ON = "○", "·", "●"


def hull_text(hull: HullRecord, elements: Sequence[str], oracle: str) -> list[str]:
    """The hull of a round in some lines of text; none for one element, or where no compound is known.

    Of two elements formation energy (eV/atom) against the last one's atomic fraction, with the formulas on
    the hull; what lies more than a fifth of its depth, and 0.1, above zero is left out. Of more elements the
    compounds on the hull, then the nearest to it, with formation energy and energy above the hull, eV/atom.

    hull: of one round. elements: symbols, as the campaign has them. oracle: by whose energies.
    """
    compounds = [entry for entry in hull.entries if len(entry.composition) > 1]
    if not compounds or len(elements) < 2:
        return []
    lines = _picture(hull, elements) if len(elements) == 2 else _list(compounds)
    under = f": {hull.quantity}" if len(elements) == 2 or hull.pressure else ""
    meaning = f"{under} (eV/atom); {_ON} on it, {_ABOVE} above" if len(elements) == 2 else under
    return [f"hull of round {hull.round} by {oracle}{meaning}", *lines]


def _list(compounds: Sequence[HullEntry]) -> list[str]:
    lowest: dict[str, HullEntry] = {}
    for entry in sorted(compounds, key=lambda e: (e.e_above_hull, e.formation_energy_per_atom)):
        lowest.setdefault(entry.formula, entry)
    shown = list(lowest.values())[:_MOST_LISTED]
    width = max(len(entry.formula) for entry in shown)
    head = f"{'':{width}}  formation  above the hull (eV/atom)"
    return [head, *(_row(entry, width) for entry in shown)]


def _row(entry: HullEntry, width: int) -> str:
    above = "on it" if entry.e_above_hull <= ON_HULL else f"{entry.e_above_hull:.3f}"
    return f"{entry.formula:{width}}  {entry.formation_energy_per_atom:9.3f}  {above:>14}"


def _picture(hull: HullRecord, elements: Sequence[str]) -> list[str]:
    last = elements[-1]
    lowest = min(0.0, *(entry.formation_energy_per_atom for entry in hull.entries))
    top = max(_LEAST_TOP, -lowest / 5)
    grid = [[" "] * _WIDTH for _ in range(_HEIGHT)]

    def put(fraction: float, energy: float, letter: str) -> tuple[int, int]:
        row = max(0, round((top - energy) / (top - lowest) * (_HEIGHT - 1)))
        column = round(fraction * (_WIDTH - 1))
        grid[row][column] = letter
        return row, column

    line = sorted({(e.composition.get(last, 0.0), e.formation_energy_per_atom) for e in hull.vertices()})
    fractions = np.linspace(0, 1, _WIDTH)
    for fraction, energy in zip(fractions, np.interp(fractions, *np.array(line).T), strict=True):
        put(float(fraction), float(energy), _LINE)
    for entry in hull.entries:
        if entry.formation_energy_per_atom <= top:
            put(entry.composition.get(last, 0.0), entry.formation_energy_per_atom, _ABOVE)
    for entry in hull.vertices():
        row, column = put(entry.composition.get(last, 0.0), entry.formation_energy_per_atom, _ON)
        if len(entry.composition) > 1:
            _label(grid[row], column, entry.formula)
    return _framed(grid, top, lowest, elements)


def _label(row: list[str], column: int, formula: str) -> None:
    """Write a formula to the right of its point, or to the left where nothing is free; else nowhere."""
    for start, text in ((column + 1, f" {formula}"), (column - len(formula) - 1, f"{formula} ")):
        end = start + len(text)
        if start >= 0 and end <= len(row) and set(row[start:end]) <= {" ", _LINE}:
            row[start:end] = text
            return


def _framed(grid: Sequence[Sequence[str]], top: float, lowest: float, elements: Sequence[str]) -> list[str]:
    marks = {0: f"{top:.2f}", len(grid) - 1: f"{lowest:.2f}"}
    lines = [f"{marks.get(number, ''):>7} │{''.join(row)}".rstrip() for number, row in enumerate(grid)]
    first, last = elements[0], elements[-1]
    gap = " " * (_WIDTH - len(first) - len(last))
    return [*lines, f"{'':>7} └{'─' * _WIDTH}", f"{'':>9}{first}{gap}{last}"]
