"""What VASP reads in its working folder, refused where VASP would refuse it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from niobe.flows.oracles.mock_vasp.incar import RefusedError, read_incar
from niobe.flows.oracles.mock_vasp.kpoints import KPoints, read_kpoints

Array = NDArray[np.float64]
_SMALLEST_VOLUME = 1e-3


@dataclass(frozen=True)
class Cell:
    """symbols: one an atom; lattice: Å, shape (3, 3); positions: fractional, shape (n_atoms, 3)."""

    symbols: tuple[str, ...]
    lattice: Array
    positions: Array

    @property
    def volume(self) -> float:
        return abs(float(np.linalg.det(self.lattice)))

    @property
    def species(self) -> list[tuple[str, int]]:
        """Runs of equal symbols, as a POSCAR counts them."""
        return [(symbol, len(list(run))) for symbol, run in groupby(self.symbols)]


@dataclass(frozen=True)
class Pseudopotential:
    """One block of a POTCAR. valence: number of electrons; mass: amu."""

    title: str
    symbol: str
    valence: float
    mass: float


@dataclass(frozen=True)
class Inputs:
    """incar: typed tags; movable: which coordinates may move, shape (n_atoms, 3)."""

    incar: Mapping[str, Any]
    cell: Cell
    movable: NDArray[np.bool_]
    kpoints: KPoints
    potcar: tuple[Pseudopotential, ...]
    folder: Path = field(default_factory=Path)

    def tag(self, name: str, default: Any) -> Any:
        """An INCAR tag or its default."""
        return self.incar.get(name, default)

    @property
    def electrons(self) -> float:
        per_species = zip(self.potcar, self.cell.species, strict=True)
        return float(self.tag("NELECT", sum(p.valence * count for p, (_, count) in per_species)))


def read_inputs(folder: Path) -> Inputs:
    """Read INCAR, POSCAR, KPOINTS (or KSPACING) and POTCAR. Raises RefusedError naming file and reason."""
    for name in ("INCAR", "POSCAR", "POTCAR"):
        if not (folder / name).is_file():
            raise RefusedError(f"{name}: no such file in the working folder")
    incar = read_incar((folder / "INCAR").read_text(encoding="utf-8"))
    cell, movable = read_poscar((folder / "POSCAR").read_text(encoding="utf-8"))
    potcar = read_potcar((folder / "POTCAR").read_text(encoding="utf-8"))
    _check_order(cell, potcar)
    _check_moments(incar, cell)
    kpoints = read_kpoints(folder, incar, cell.lattice, cell.positions, cell.symbols)
    return Inputs(incar, cell, movable, kpoints, potcar, folder)


def _check_order(cell: Cell, potcar: tuple[Pseudopotential, ...]) -> None:
    wanted = [symbol for symbol, _ in cell.species]
    found = [part.symbol for part in potcar]
    if wanted != found:
        raise RefusedError(f"POTCAR: holds {' '.join(found)}; the POSCAR wants {' '.join(wanted)}")


def _check_moments(incar: Mapping[str, Any], cell: Cell) -> None:
    per_atom = 3 if incar.get("LNONCOLLINEAR") or incar.get("LSORBIT") else 1
    moments = incar.get("MAGMOM")
    if moments is not None and incar.get("ISPIN", 1) == 2 and len(moments) < per_atom * len(cell.symbols):
        raise RefusedError(f"INCAR: MAGMOM has {len(moments)} values for {len(cell.symbols)} atoms")


def read_poscar(text: str) -> tuple[Cell, NDArray[np.bool_]]:
    """Cell (Å) and movable coordinates, shape (n, 3), of a POSCAR with a line of element symbols."""
    lines = text.splitlines()
    if len(lines) < 8:
        raise RefusedError("POSCAR: ends before the positions")
    scale = _numbers(lines[1], 1)[0]
    lattice = np.array([_numbers(line, 3) for line in lines[2:5]])
    symbols = [re.split(r"[_/]", word)[0] for word in lines[5].split()]
    counts = [_count(word) for word in lines[6].split()]
    if not symbols or len(symbols) != len(counts):
        raise RefusedError("POSCAR: lines 6 and 7 do not name symbols and as many counts")
    selective = lines[7].strip()[:1].upper() == "S"
    start = 9 if selective else 8
    mode = lines[start - 1].strip()[:1].upper()
    rows = lines[start : start + sum(counts)]
    if len(rows) < sum(counts):
        raise RefusedError(f"POSCAR: {len(rows)} positions for {sum(counts)} atoms")
    lattice = lattice * (scale if scale > 0 else (-scale / abs(np.linalg.det(lattice))) ** (1 / 3))
    if abs(np.linalg.det(lattice)) < _SMALLEST_VOLUME:
        raise RefusedError("POSCAR: the lattice vectors span no volume")
    positions = np.array([_numbers(row, 3) for row in rows])
    if mode in {"C", "K"}:
        positions = positions * (scale if scale > 0 else 1.0) @ np.linalg.inv(lattice)
    movable = [[flag.upper()[:1] != "F" for flag in row.split()[3:6]] for row in rows] if selective else None
    each = tuple(symbol for symbol, count in zip(symbols, counts, strict=True) for _ in range(count))
    shape = (sum(counts), 3)
    return Cell(each, lattice, positions), np.ones(shape, bool) if movable is None else np.array(movable)


def _count(word: str) -> int:
    if not word.isdigit() or int(word) == 0:
        raise RefusedError(f"POSCAR: {word!r} is not a number of atoms")
    return int(word)


def _numbers(line: str, count: int) -> list[float]:
    try:
        values = [float(word) for word in line.split()[:count]]
    except ValueError:
        raise RefusedError(f"POSCAR: {line.strip()!r} does not begin with {count} numbers") from None
    if len(values) < count or not np.isfinite(values).all():
        raise RefusedError(f"POSCAR: {line.strip()!r} does not begin with {count} finite numbers")
    return values


def read_potcar(text: str) -> tuple[Pseudopotential, ...]:
    """The blocks of a POTCAR. Raises RefusedError where one lacks what VASP needs first."""
    blocks = [block for block in text.split("End of Dataset") if block.strip()]
    if not blocks:
        raise RefusedError("POTCAR: is empty")
    return tuple(
        Pseudopotential(
            title=_potcar_field(block, r"TITEL\s*=\s*(.+)"),
            symbol=_potcar_field(block, r"VRHFIN\s*=\s*([A-Z][a-z]?)"),
            valence=float(_potcar_field(block, r"ZVAL\s*=\s*([\d.]+)")),
            mass=float(_potcar_field(block, r"POMASS\s*=\s*([\d.]+)")),
        )
        for block in blocks
    )


def _potcar_field(block: str, pattern: str) -> str:
    match = re.search(pattern, block)
    if match is None:
        raise RefusedError(f"POTCAR: a block lacks {pattern.split(chr(92))[0]}")
    return match[1].strip()
