"""What the structure viewer draws: atoms of the cell with their images, its edges, frames of a soft mode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.config.errors import ConfigError
from niobe.loop.crystals.sublattices import cells_holding
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import PhononRecord
from niobe.loop.documents.structures import phonon_structure, relaxed_structure
from niobe.loop.generators.soft_modes import Direction, directions, follow

if TYPE_CHECKING:
    from pymatgen.core import Structure

_AMPLITUDE = 0.5
_FRAMES = 12
_MOST_ATOMS = 2_000
_ON_FACE = 1e-3


def structure_scene(record: StructureRecord, phonons: PhononRecord | None = None) -> dict[str, Any]:
    """The relaxed cell as a viewer needs it, with an animation of the softest mode where there is one.

    ``xyz``: atoms, those on a face repeated on the opposite one; ``edges``: pairs of points; all in Å.
    """
    structure = relaxed_structure(record)
    scene: dict[str, Any] = {"xyz": _xyz([_with_images(structure)]), "edges": _edges(structure), "mode": None}
    if phonons is not None and phonons.modes:
        primitive, softest = phonon_structure(record, phonons), directions(phonons.modes)[0]
        if softest.vector.size != 3 * len(primitive):
            raise ConfigError(f"{record.id}: its modes are of another cell than its phonons")
        if len(primitive) * cells_holding(softest.q) <= _MOST_ATOMS:
            scene["mode"] = _mode(primitive, softest)
    return scene


def _mode(structure: Structure, mode: Direction) -> dict[str, Any]:
    """One period of a mode in the supercell it needs."""
    phases = np.sin(2 * np.pi * np.arange(_FRAMES) / _FRAMES)
    still = follow(structure, mode, 0.0)
    moved = follow(structure, mode, _AMPLITUDE)
    shift = moved.frac_coords - still.frac_coords
    shift -= np.round(shift)
    symbols = [site.specie.symbol for site in still]
    frames = [
        (symbols, (still.frac_coords + phase * shift) @ still.lattice.matrix) for phase in phases.tolist()
    ]
    return {
        "xyz": _xyz(frames),
        "edges": _edges(still),
        "frequency": mode.frequency,
        "q": list(mode.q),
    }


def _with_images(structure: Structure) -> tuple[list[str], NDArray[np.float64]]:
    """Symbols and Cartesian sites (Å), those on a face, edge or corner of the cell repeated opposite."""
    symbols, places = [], []
    for site in structure:
        home = site.frac_coords % 1
        home = np.where(home > 1 - _ON_FACE, home - 1, home)
        for shift in np.ndindex(2, 2, 2):
            image = home + shift
            if (image < 1 + _ON_FACE).all():
                symbols.append(site.specie.symbol)
                places.append(image)
    return symbols, np.array(places) @ structure.lattice.matrix


def _xyz(frames: list[tuple[list[str], NDArray[np.float64]]]) -> str:
    """Frames in the XYZ format, one after the other."""
    lines = []
    for symbols, places in frames:
        lines += [str(len(symbols)), ""]
        lines += [
            f"{symbol} {x:.4f} {y:.4f} {z:.4f}" for symbol, (x, y, z) in zip(symbols, places, strict=True)
        ]
    return "\n".join(lines) + "\n"


def _edges(structure: Structure) -> list[list[list[float]]]:
    matrix = structure.lattice.matrix
    corners = {corner: (np.array(corner) @ matrix).round(4).tolist() for corner in np.ndindex(2, 2, 2)}
    return [
        [corners[a], corners[b]]
        for a in corners
        for b in corners
        if a < b and sum(np.abs(np.subtract(a, b))) == 1
    ]
