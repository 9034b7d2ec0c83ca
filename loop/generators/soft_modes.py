"""Children of dynamically unstable structures: follow an imaginary mode in the supercell it needs.

The displacement of atom j in cell R by the mode (q, e) is Re(e_j exp(2πi q·R)) / √m_j, scaled so that the
largest is the amplitude.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from surrogates.protocols import Sample, SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

AMPLITUDES = (0.15, 0.3, 0.5)


@dataclass(frozen=True)
class SoftParent:
    """An unstable structure and its imaginary modes, as PhononRecord stores them."""

    id: str
    structure: Structure
    modes: tuple[dict[str, Any], ...]


def follow(structure: Structure, mode: dict[str, Any], amplitude: float) -> Structure:
    """The structure displaced along one mode (amplitude in Å) in the smallest commensurate supercell.

    ``mode``: q of zeros and halves, and the 3N real and imaginary parts of the mass-weighted eigenvector.
    """
    repeats = [2 if abs(component - 0.5) < 1e-6 else 1 for component in mode["q"]]
    originals = [np.array(site.frac_coords) for site in structure]
    displacements = _displacements(structure, mode)
    child = structure.copy()
    child.add_site_property("atom", list(range(len(structure))))
    child.make_supercell(np.diag(repeats), to_unit_cell=False)
    moves = []
    for site in child:
        atom = site.properties["atom"]
        cell = np.round(site.frac_coords * repeats - originals[atom])
        moves.append((displacements[atom] * np.exp(2j * np.pi * np.dot(mode["q"], cell))).real)
    largest = max(np.linalg.norm(move) for move in moves)
    for index, move in enumerate(moves):
        child.translate_sites([index], move * amplitude / largest, frac_coords=False)
    child.remove_site_property("atom")
    return child


def _displacements(structure: Structure, mode: dict[str, Any]) -> NDArray[np.complex128]:
    """Shape (N, 3): the eigenvector divided by the square root of the masses."""
    vector = (np.array(mode["real"]) + 1j * np.array(mode["imag"])).reshape(-1, 3)
    phase = np.exp(-1j * np.angle(vector.flat[int(np.abs(vector).argmax())]))
    masses = np.array([float(site.specie.atomic_mass) for site in structure])
    return vector * phase / np.sqrt(masses)[:, None]


class SoftModes:
    """Candidates from imaginary modes, softest parents first; each carries its parent in its lineage."""

    name = "soft_mode"

    def __init__(self, parents: Sequence[SoftParent]) -> None:
        self._parents = parents

    def sample(self, request: SampleRequest, n: int, *, seed: int) -> SampleBatch:
        """At most n children inside the request, one mode of every parent before the next mode of any."""
        rng = np.random.default_rng(seed)
        samples: list[Sample] = []
        rejected = {"size": 0, "composition": 0}
        for parent, mode, number in self._in_turn():
            for amplitude in rng.permutation(AMPLITUDES):
                child = follow(parent.structure, mode, float(amplitude))
                if len(child) > request.max_atoms:
                    rejected["size"] += 1
                elif not request.allows(child.composition.get_el_amt_dict()):
                    rejected["composition"] += 1
                elif len(samples) < n:
                    origin: dict[str, str | int | float] = {
                        "parent": parent.id,
                        "mode": number,
                        "frequency": float(mode["frequency"]),
                        "q": " ".join(str(component) for component in mode["q"]),
                        "amplitude": float(amplitude),
                    }
                    samples.append(Sample(child, origin))
        return SampleBatch(tuple(samples), {reason: count for reason, count in rejected.items() if count})

    def _in_turn(self) -> list[tuple[SoftParent, dict[str, Any], int]]:
        deepest = max((len(parent.modes) for parent in self._parents), default=0)
        return [
            (parent, parent.modes[depth], depth)
            for depth in range(deepest)
            for parent in self._parents
            if depth < len(parent.modes)
        ]
