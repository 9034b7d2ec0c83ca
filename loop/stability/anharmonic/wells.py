"""What an imaginary mode is worth: the energy along it, down to the minimum of a double well.

The crystal is displaced along the eigenvector in the smallest cell that holds its q-point and nothing else
relaxes. Of modes of one frequency, whose eigenvectors are any basis of their space, and of mixtures of two of
them, the direction is followed that falls most at a first amplitude: the depth is what the crystal gains at
least.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from niobe.loop.documents.dynamics import SoftWell
from niobe.loop.generators.soft_modes import Direction, directions, follow, phases

if TYPE_CHECKING:
    from pymatgen.core import Structure

Energies = Callable[[Sequence["Structure"]], Sequence[float]]
AMPLITUDES = (0.05, 0.1, 0.15, 0.2, 0.3, 0.45, 0.6, 0.8)
"""Å, of the atom that moves most."""
_FIRST = 0.2
_ONE_FREQUENCY = 0.05  # THz
_LEAST = 1e-6  # eV/atom: below it a potential in single precision tells nothing


def softest_well(
    structure: Structure, modes: Sequence[dict[str, Any]], energies: Energies
) -> SoftWell | None:
    """The well along the softest of imaginary modes; None where the energy falls nowhere along it.

    structure: the primitive cell that the modes belong to. modes: as PhononRecord has them, one at least.
    energies: answers for a list of structures, eV/atom.
    """
    ways = _ways(modes)
    still = follow(structure, ways[0][0], 0.0)
    level, *first = energies([still, *(follow(structure, way, _FIRST, phase) for way, phase in ways)])
    way, phase = ways[int(np.argmin(np.round(first, 7)))]
    along = energies([follow(structure, way, amplitude, phase) for amplitude in AMPLITUDES])
    heights = np.array(along) - level
    if heights.min() > -_LEAST:
        return None
    amplitude, depth = minimum(np.array(AMPLITUDES), heights)
    return SoftWell(
        q_point=list(way.q),
        frequency=way.frequency,
        depth=depth,
        amplitude=amplitude,
        bounded=amplitude < AMPLITUDES[-1],
        energies=[(a, round(float(height), 9)) for a, height in zip(AMPLITUDES, heights, strict=True)],
    )


def minimum(amplitudes: NDArray[np.float64], heights: NDArray[np.float64]) -> tuple[float, float]:
    """Where a well is deepest, and how deep: of the quartic a·u² + b·u³ + c·u⁴ through its points.

    Fitted are the points up to the one behind the lowest, and three at least; where the quartic has no
    minimum among them, the lowest is the answer itself.

    amplitudes: u, Å, from the smallest on, shape (n,). heights: against u = 0, eV/atom, shape (n,).
    """
    lowest = int(heights.argmin())
    end = max(lowest + 2, 3)
    u, points = amplitudes[:end], heights[:end]
    fitted, *_ = np.linalg.lstsq(u[:, None] ** np.array([2, 3, 4]), points, rcond=None)
    quartic = Polynomial([0.0, 0.0, *fitted])
    turns = np.asarray(quartic.deriv().roots(), dtype=complex)
    there = (np.abs(turns.imag) < 1e-9) & (turns.real > 0) & (turns.real < u[-1])
    inside: list[float] = turns.real[there].tolist()
    best = min(inside, key=quartic, default=None)
    if best is None or quartic(best) > heights[lowest]:
        return float(amplitudes[lowest]), float(-heights[lowest])
    return best, float(-quartic(best))


def _ways(modes: Sequence[dict[str, Any]]) -> list[tuple[Direction, float]]:
    """Directions of the softest frequency, and the phases (radians) along each that differ."""
    found = directions(modes)
    most = found[0].frequency + _ONE_FREQUENCY
    softest = [way for way in found if way.q == found[0].q and way.frequency < most]
    return [(way, phase) for way in softest for phase in phases(way.q)]
