"""A crystal at several volumes, each relaxed at its own and with vibrations: what is quasi-harmonic."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import Answer, correction_of
from niobe.flows.oracles.calculation import check_physics
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.structures import symmetrised
from niobe.loop.stability import force_constants, supercells
from niobe.loop.stability.free_energies import harmonic
from niobe.loop.stability.quasi_harmonic import OtherCrystalError, Strained, grows_further

if TYPE_CHECKING:
    from phonopy import Phonopy
    from pymatgen.core import Structure

SHARES = (0.97, 0.985, 1.0, 1.015, 1.03, 1.045, 1.06)
"""Of the volume at 0 K: crystals grow by some per cent up to their melting point."""
FURTHER = (1.075, 1.09, 1.105, 1.12)
"""Of a crystal that would grow beyond, one after the other."""
_SAME_CELL = 0.1


def strained(
    spec: CampaignSpec, structure: Structure, folder: Path, temperatures: Sequence[float]
) -> list[Strained]:
    """A crystal at seven volumes, or a few more, by the potential that judges the campaign's phonons.

    spec: the campaign. structure: relaxed. folder: where files go. temperatures: K, of the vibrations.
    Raises ConfigError where that is a program and no potential, ImaginaryModesError where the crystal has
    imaginary modes at one of the volumes, OtherCrystalError where it is another one there, and what the
    potential raises.
    """
    oracle = make_oracle(spec.phonon_oracle, spec.conditions.pressure)
    if not isinstance(oracle, ForceFieldOracle):
        raise ConfigError(
            f"oracle {spec.phonon_oracle.name}: seven volumes with phonons are for potentials; name one as "
            "phonons.oracle"
        )
    crystal = _Crystal(spec, oracle, symmetrised(structure), folder, temperatures)
    points = [crystal.at(share) for share in SHARES]
    for share in FURTHER:
        if not grows_further(points, spec.conditions.pressure):
            break
        points.append(crystal.at(share))
    return points


@dataclass
class _Crystal:
    """A primitive cell at volumes of its own, its vibrations in one supercell at all of them: from one
    supercell to another a free energy jumps, and no volume follows from that."""

    spec: CampaignSpec
    oracle: ForceFieldOracle
    primitive: Structure
    folder: Path
    temperatures: Sequence[float]
    correction: float | None = None

    def at(self, share: float) -> Strained:
        """At a share of its volume. Raises OtherCrystalError where it relaxes into another crystal."""
        start = self.primitive.copy()
        start.scale_lattice(share * start.volume)
        answer = self.oracle.relax_at_volume(start, self.folder)
        check_physics(answer)
        relaxed = symmetrised(answer.structure)
        if not is_same_cell(start, relaxed):
            raise OtherCrystalError(f"at {share:g} of its volume it relaxes into another crystal")
        return Strained(
            volume=relaxed.volume / len(relaxed),
            energy=answer.energy_per_atom + self._correction(answer),
            harmonic=harmonic(self._vibrating(relaxed), self.temperatures),
        )

    def _correction(self, answer: Answer) -> float:
        """Of the first volume for all (eV/atom): a crystal's does not change with its volume, while bonds,
        which tell a peroxide from an oxide, do."""
        if self.correction is None:
            self.correction = correction_of(self.oracle, answer)
        return self.correction

    def _vibrating(self, primitive: Structure) -> Phonopy:
        phonon = force_constants.displaced(
            primitive,
            self.supercell,
            self.spec.phonons.displacement,
            lambda cells: [answer.forces for answer in self.oracle.static(cells, self.folder)],
        )
        return force_constants.symmetrised(phonon)

    @functools.cached_property
    def supercell(self) -> NDArray[np.int64]:
        """What confirms finds, at the smallest volume, or the smaller one where that is too large."""
        settings, smallest = self.spec.phonons, self.primitive.copy()
        smallest.scale_lattice(min(SHARES) * smallest.volume)
        most = settings.max_supercell_atoms
        try:
            return supercells.supercell_matrix(smallest, settings.confirm_length, most)
        except supercells.NoSupercellError:
            return supercells.supercell_matrix(smallest, settings.min_length, most)


def is_same_cell(one: Structure, other: Structure) -> bool:
    """Whether two primitive cells have as many atoms, and edges and angles that differ by less than a tenth,
    so that one supercell is the same in both."""
    if len(one) != len(other):
        return False
    return bool(np.allclose(one.lattice.parameters, other.lattice.parameters, rtol=_SAME_CELL))
