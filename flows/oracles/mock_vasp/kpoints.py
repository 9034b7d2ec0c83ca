"""KPOINTS or KSPACING: the points and their weights, reduced by symmetry as VASP reduces them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from niobe.flows.oracles.mock_vasp.incar import RefusedError

Array = NDArray[np.float64]
_DEFAULT_SPACING = 0.5
_SYMPREC = 1e-5


@dataclass(frozen=True)
class KPoints:
    """style: Gamma, Monkhorst-Pack, Listgenerated or Line. points: (n, 3), weights: (n,) that sum to 1."""

    style: str
    points: Array
    weights: Array
    mesh: tuple[int, int, int] | None = None
    shift: tuple[float, float, float] = (0.0, 0.0, 0.0)


def read_kpoints(
    folder: Path, incar: Mapping[str, Any], lattice: Array, positions: Array, symbols: Sequence[str]
) -> KPoints:
    """k-points of a folder; of KSPACING where there is no KPOINTS. Raises RefusedError.

    incar: its tags. lattice: rows are vectors, shape (3, 3), Å. positions: fractional, shape (n, 3).
    symbols: of the sites.
    """
    file = folder / "KPOINTS"
    symmetry = (lattice, positions, symbols) if incar.get("ISYM", 2) > 0 else None
    if not file.is_file():
        mesh = mesh_of_spacing(lattice, incar.get("KSPACING", _DEFAULT_SPACING))
        return _automatic(mesh, np.zeros(3), bool(incar.get("KGAMMA", True)), symmetry)
    lines = file.read_text(encoding="utf-8").splitlines()
    try:
        return _parse(lines, symmetry)
    except (ValueError, IndexError) as error:
        if isinstance(error, RefusedError):
            raise
        raise RefusedError(f"KPOINTS: cannot be read ({error})") from None


def mesh_of_spacing(lattice: Array, spacing: float) -> tuple[int, int, int]:
    """Divisions along each reciprocal vector for points at most ``spacing`` (1/Å) apart."""
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(lattice).T, axis=1)
    first, second, third = np.maximum(1, np.ceil(lengths / spacing - 1e-9).astype(int))
    return int(first), int(second), int(third)


def _parse(lines: Sequence[str], symmetry: Any) -> KPoints:
    count = int(lines[1].split()[0])
    style = lines[2].strip()[:1].upper()
    if count == 0:
        if style not in {"G", "M"}:
            raise RefusedError(f"KPOINTS: style {lines[2].strip()!r}; allowed: Gamma, Monkhorst-Pack")
        first, second, third = (int(word) for word in lines[3].split()[:3])
        if min(first, second, third) < 1:
            raise RefusedError(f"KPOINTS: divisions {lines[3].strip()!r} are not positive")
        shift = np.array([float(word) for word in lines[4].split()[:3]] if len(lines) > 4 else [0.0] * 3)
        return _automatic((first, second, third), shift, style == "G", symmetry)
    if style == "L":
        return _line(count, [line for line in lines[4:] if line.strip()])
    rows = np.array([[float(word) for word in line.split()[:4]] for line in lines[3 : 3 + count]])
    if rows.shape != (count, 4) or not np.isfinite(rows).all() or rows[:, 3].sum() <= 0:
        raise RefusedError(f"KPOINTS: not {count} lines of three coordinates and a weight")
    return KPoints("Listgenerated", rows[:, :3], rows[:, 3] / rows[:, 3].sum())


def _line(count: int, rows: Sequence[str]) -> KPoints:
    ends = np.array([[float(word) for word in row.split()[:3]] for row in rows])
    segments = [np.linspace(start, end, count) for start, end in zip(ends[::2], ends[1::2], strict=True)]
    points = np.concatenate(segments)
    return KPoints("Line", points, np.full(len(points), 1 / len(points)))


def _automatic(mesh: tuple[int, int, int], shift: Array, gamma: bool, symmetry: Any) -> KPoints:
    """A regular mesh, reduced by the crystal's symmetry (ISYM above 0) and by time reversal."""
    half = np.where(np.array(mesh) % 2 == 0, 0.0 if gamma else 0.5, 0.0) + shift
    rotations = np.eye(3, dtype=int)[None] if symmetry is None else _rotations(*symmetry)
    points, weights = _irreducible(np.array(mesh), half, np.concatenate([rotations, -rotations]))
    style = "Gamma" if gamma else "Monkhorst-Pack"
    return KPoints(style, points, weights, mesh, (float(shift[0]), float(shift[1]), float(shift[2])))


def _irreducible(mesh: NDArray[np.int64], half: Array, rotations: NDArray[np.int64]) -> tuple[Array, Array]:
    """Points of a mesh that no rotation maps onto an earlier one, shape (n, 3), and weights, shape (n,).

    A rotation that moves the mesh off itself relates none of its points.
    """
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in mesh), indexing="ij"), axis=-1).reshape(-1, 3)
    points = (grid + half) / mesh
    representative = np.arange(len(points))
    for rotation in rotations:
        image = points @ rotation * mesh - half
        cell = np.rint(image)
        if np.abs(image - cell).max() < _SYMPREC:
            index = np.ravel_multi_index(tuple((cell.astype(int) % mesh).T), tuple(mesh))
            representative = np.minimum(representative, index)
    kept, counts = np.unique(representative, return_counts=True)
    return points[kept], counts / counts.sum()


def _rotations(lattice: Array, positions: Array, symbols: Sequence[str]) -> NDArray[np.int64]:
    """Rotations of the crystal's symmetry, on fractional coordinates. Shape (n, 3, 3)."""
    from moyopy import Cell, MoyoDataset

    kinds = [sorted(set(symbols)).index(symbol) + 1 for symbol in symbols]
    crystal = Cell(basis=lattice.tolist(), positions=positions.tolist(), numbers=kinds)
    return np.array(MoyoDataset(crystal, symprec=_SYMPREC).operations.rotations)
