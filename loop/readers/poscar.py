"""POSCAR and CONTCAR files of VASP, and what AFLOW, ASE, pymatgen and phonopy write for it.

Every line is checked, so what is wrong is named by its line. What follows the sites (velocities, those of the
lattice, predictor-corrector) is left.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.config.elements import ELEMENTS
from niobe.loop.readers.rows import MOST_SITES, Fields, named_words, one_line, read_text

if TYPE_CHECKING:
    from pymatgen.core import Structure

_MAX_LENGTH = 1000.0
# An element and what programs add: Nb_pv, Nb/8a3f, Nb2+, O2-, Fe3+,spin=5, Nb1.
_NAME = re.compile(r"([A-Z][a-z]?)[\d.]*[+-]?[\d.]*(?:,spin=\S+)?(?:_\S+)?(?:/\S+)?")
_KIND = re.compile(r"(d|direct|c|cart|cartesian|k)(?![a-z])", re.IGNORECASE)


class _LineError(ValueError):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read(file: Path) -> Structure:
    """The structure of a POSCAR. Raises ValueError that names file and line."""
    lines = _lines(file)
    try:
        return _read(lines)
    except _LineError as error:
        raise ValueError(f"{file}:{error.line}: {error}") from None
    except ValueError as error:
        raise ValueError(f"{file}:1: {one_line(error)}") from None


def fields(file: Path) -> Fields:
    """What ``niobe export poscar`` wrote in the first line as ``name=value``."""
    return named_words(next(iter(_lines(file)), ""))


def _lines(file: Path) -> list[str]:
    return read_text(file).splitlines()


def _read(lines: list[str]) -> Structure:
    from pymatgen.core import Structure

    matrix = np.array([_vector(lines, number) for number in (3, 4, 5)])
    scale = _scale(lines, matrix)
    counted = 6 if all(word.isdecimal() for word in _words(lines, 6)) else 7
    counts = _counts(lines, counted)
    selective = int(_line(lines, counted + 1).lstrip()[:1] in {"s", "S"})
    first = counted + 2 + selective
    kind = _KIND.match(_line(lines, first - 1).strip())
    if kind is None:
        raise _LineError(first - 1, f"{lines[first - 2].strip()!r} is neither Direct nor Cartesian")
    direct = kind[0][0] in "dD"
    if counted == 7:
        symbols = _symbols(lines, counts)
    else:
        symbols = [_name_of_site(lines, number) for number in range(first, first + sum(counts))]
    coords = [
        _site(lines, number, symbol, selective=bool(selective), direct=direct)
        for number, symbol in enumerate(symbols, start=first)
    ]
    _check_end(lines, first + len(symbols))
    points = np.array(coords) if direct else np.array(coords) * scale
    return Structure(matrix * scale, symbols, points, coords_are_cartesian=not direct)


def _scale(lines: list[str], matrix: NDArray[np.float64]) -> float | list[float]:
    """One factor, the cell's volume in Å³ as a negative number, or a factor each for x, y and z."""
    words = _words(lines, 2)
    scale = _floats(lines, 2, len(words))
    if len(scale) == 3 and min(scale) > 0:
        return scale
    if len(scale) != 1 or scale[0] == 0:
        allowed = "one number other than 0, or three above it"
        raise _LineError(2, f"{lines[1].strip()!r} is no scale; allowed: {allowed}")
    volume = abs(float(np.linalg.det(matrix)))
    if scale[0] < 0 and volume == 0:
        raise _LineError(3, "the lattice vectors lie in a plane")
    return scale[0] if scale[0] > 0 else (-scale[0] / volume) ** (1 / 3)


def _vector(lines: list[str], number: int) -> list[float]:
    vector = _floats(lines, number, 3)
    if max(map(abs, vector)) > _MAX_LENGTH or len(_words(lines, number)) != 3:
        raise _LineError(number, f"{lines[number - 1].strip()!r} is no lattice vector")
    return vector


def _counts(lines: list[str], number: int) -> list[int]:
    words = _words(lines, number)
    wanted = len(words) if number == 6 else len(_words(lines, 6))
    if len(words) != wanted or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise _LineError(number, f"{' '.join(words)!r} is no list of {wanted} counts")
    counts = [int(word) for word in words]
    if sum(counts) > MOST_SITES:
        raise _LineError(number, f"{sum(counts)} sites; allowed: {MOST_SITES}")
    return counts


def _symbols(lines: list[str], counts: list[int]) -> list[str]:
    symbols = [_element(word) for word in _words(lines, 6)]
    for word, symbol in zip(_words(lines, 6), symbols, strict=True):
        if not symbol:
            raise _LineError(6, f"{word!r} is no element")
    return [symbol for symbol, count in zip(symbols, counts, strict=True) for _ in range(count)]


def _name_of_site(lines: list[str], number: int) -> str:
    """The element a site of a VASP 4 file names itself."""
    words = _words(lines, number)[3:]
    symbol = _element(words[-1]) if words else ""
    if not symbol:
        raise _LineError(6, "a VASP 4 file names no elements; give them in a line before the counts")
    return symbol


def _element(word: str) -> str:
    """The element in a name, "" where there is none."""
    found = _NAME.fullmatch(word)
    return found[1] if found and found[1] in ELEMENTS else ""


def _site(lines: list[str], number: int, symbol: str, *, selective: bool, direct: bool) -> list[float]:
    values = _floats(lines, number, 3)
    if max(map(abs, values)) > (100 if direct else _MAX_LENGTH):
        raise _LineError(number, f"{lines[number - 1].strip()!r} lies far outside the cell")
    rest = _words(lines, number)[3:]
    flags, named = (rest[:3], rest[3:]) if selective else ([], rest)
    if selective and (
        len(flags) != 3 or not all(flag.strip(".")[:1].upper() in {"T", "F"} for flag in flags)
    ):
        raise _LineError(number, "three flags T or F are missing")
    if named and _element(named[0]) != symbol:
        raise _LineError(number, f"{named[0]!r} where {symbol} is counted")
    return values


def _check_end(lines: list[str], after: int) -> None:
    line = lines[after - 1].strip() if after <= len(lines) else ""
    if line.lower().startswith("direct configuration"):
        raise _LineError(after, "several configurations; a file of one is read")
    if line and not line[0].isalpha():
        raise _LineError(after, "more sites than are counted")


def _line(lines: list[str], number: int) -> str:
    if number > len(lines) or not lines[number - 1].strip():
        raise _LineError(max(min(number, len(lines)), 1), f"line {number} is missing")
    return lines[number - 1]


def _words(lines: list[str], number: int) -> list[str]:
    """The words of a line, without a remark after ``!`` or ``#``. Raises where it is missing."""
    return re.split(r"[!#]", _line(lines, number))[0].split()


def _floats(lines: list[str], number: int, wanted: int) -> list[float]:
    words = _words(lines, number)[:wanted]
    try:
        values = [float(re.sub("[dD]", "e", word)) for word in words]
    except ValueError:
        values = []
    if len(values) != max(wanted, 1) or not all(map(math.isfinite, values)):
        raise _LineError(number, f"{' '.join(words)!r} is no list of {max(wanted, 1)} numbers")
    return values
