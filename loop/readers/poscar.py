"""POSCAR files: every line is checked before pymatgen reads it, so what is wrong is named by its line."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from niobe.config.elements import ELEMENTS

if TYPE_CHECKING:
    from pymatgen.core import Structure

_MAX_SITES = 5000
_MAX_LENGTH = 1000.0


class _LineError(ValueError):
    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


def read(file: Path) -> Structure:
    """The structure of a POSCAR of VASP 5 or later. Raises ValueError that names file and line."""
    from pymatgen.io.vasp import Poscar

    content = file.read_bytes()
    try:
        text = content.decode("utf-8")
        _check(text.splitlines())
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return Poscar.from_str(text).structure
    except UnicodeDecodeError as error:
        raise ValueError(f"{file}:{content[: error.start].count(b'%c' % 10) + 1}: not UTF-8") from None
    except _LineError as error:
        raise ValueError(f"{file}:{error.line}: {error}") from None
    except Exception as error:  # noqa: BLE001 - the parser raises anything; it is reported, never lost
        raise ValueError(f"{file}:1: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from None


def _check(lines: list[str]) -> None:
    if not lines or not lines[0].strip():
        raise _LineError(1, "the comment line is empty")
    scale = _floats(lines, 2, 1)
    if len(lines[1].split()) != 1 or scale[0] == 0:
        raise _LineError(2, f"{lines[1].strip()!r} is no scale; allowed: one number other than 0")
    for number in (3, 4, 5):
        if max(map(abs, _floats(lines, number, 3))) > _MAX_LENGTH or len(lines[number - 1].split()) != 3:
            raise _LineError(number, f"{lines[number - 1].strip()!r} is no lattice vector")
    symbols = _symbols(lines)
    counts = _counts(lines, len(symbols))
    selective = int(_line(lines, 8).lstrip()[:1] in {"s", "S"})
    kind = _line(lines, 8 + selective).strip()
    if kind.lower() not in {"d", "direct", "c", "cartesian", "k"}:
        raise _LineError(8 + selective, f"{kind!r} is neither Direct nor Cartesian")
    expected = [symbol for symbol, count in zip(symbols, counts, strict=True) for _ in range(count)]
    _check_sites(lines, 9 + selective, expected, bool(selective), direct=kind[0] in "dD")


def _symbols(lines: list[str]) -> list[str]:
    symbols = [word.split("_")[0].split("/")[0] for word in _line(lines, 6).split()]
    wrong = [symbol for symbol in symbols if symbol not in ELEMENTS]
    if wrong or not symbols:
        raise _LineError(
            6, f"{(wrong or [''])[0]!r} is no element; VASP 4 files without symbols are not read"
        )
    return symbols


def _counts(lines: list[str], wanted: int) -> list[int]:
    words = _line(lines, 7).split()
    if len(words) != wanted or not all(word.isdecimal() and int(word) > 0 for word in words):
        raise _LineError(7, f"{' '.join(words)!r} is no list of {wanted} counts")
    counts = [int(word) for word in words]
    if sum(counts) > _MAX_SITES:
        raise _LineError(7, f"{sum(counts)} sites; allowed: {_MAX_SITES}")
    return counts


def _check_sites(lines: list[str], first: int, expected: list[str], selective: bool, *, direct: bool) -> None:
    for number, symbol in enumerate(expected, start=first):
        values = _floats(lines, number, 3)
        if max(map(abs, values)) > (100 if direct else _MAX_LENGTH):
            raise _LineError(number, f"{lines[number - 1].strip()!r} lies far outside the cell")
        rest = lines[number - 1].split()[3:]
        flags, named = (rest[:3], rest[3:]) if selective else ([], rest)
        if selective and (
            len(flags) != 3 or not all(flag.strip(".")[:1].upper() in {"T", "F"} for flag in flags)
        ):
            raise _LineError(number, "three flags T or F are missing")
        if named and named[0].split("_")[0].split("/")[0] != symbol:
            raise _LineError(number, f"{named[0]!r} where line 6 and 7 say {symbol}")
    after = first + len(expected)
    if after <= len(lines) and lines[after - 1].strip() and not lines[after - 1].lstrip()[0].isalpha():
        raise _LineError(after, "more sites than line 7 counts")


def _line(lines: list[str], number: int) -> str:
    if number > len(lines) or not lines[number - 1].strip():
        raise _LineError(min(number, len(lines)), f"line {number} is missing")
    return lines[number - 1]


def _floats(lines: list[str], number: int, wanted: int) -> list[float]:
    words = _line(lines, number).split()[:wanted]
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = []
    if len(values) != wanted or not all(map(math.isfinite, values)):
        raise _LineError(number, f"{' '.join(words)!r} is no list of {wanted} numbers")
    return values
