"""A crystal at several volumes, each relaxed at its own and with vibrations: what is quasi-harmonic."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec, Phonons
from niobe.flows.oracles.calculation import check_physics
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.structures import symmetrised
from niobe.loop.stability import force_constants, supercells
from niobe.loop.stability.free_energies import harmonic
from niobe.loop.stability.quasi_harmonic import Strained, grows_further

if TYPE_CHECKING:
    from phonopy import Phonopy
    from pymatgen.core import Structure

SHARES = (0.97, 0.985, 1.0, 1.015, 1.03, 1.045, 1.06)
"""Of the volume at 0 K: crystals grow by some per cent up to their melting point."""
FURTHER = (1.075, 1.09, 1.105, 1.12)
"""Of a crystal that would grow beyond, one after the other."""


def strained(
    spec: CampaignSpec, structure: Structure, folder: Path, temperatures: Sequence[float]
) -> list[Strained]:
    """A crystal at seven volumes, or a few more, by the potential that judges the campaign's phonons.

    spec: the campaign. structure: relaxed. folder: where files go. temperatures: K, of the vibrations.
    Raises ConfigError where that is a program and no potential, ImaginaryModesError where the crystal has
    imaginary modes at one of the volumes, and what the potential raises.
    """
    oracle = make_oracle(spec.phonon_oracle, spec.conditions.pressure)
    if not isinstance(oracle, ForceFieldOracle):
        raise ConfigError(
            f"oracle {spec.phonon_oracle.name}: seven volumes with phonons are for potentials; name one as "
            "phonons.oracle"
        )
    points = [_at(spec, oracle, structure, share, folder, temperatures) for share in SHARES]
    for share in FURTHER:
        if not grows_further(points, spec.conditions.pressure):
            break
        points.append(_at(spec, oracle, structure, share, folder, temperatures))
    return points


def _at(
    spec: CampaignSpec,
    oracle: ForceFieldOracle,
    structure: Structure,
    share: float,
    folder: Path,
    temperatures: Sequence[float],
) -> Strained:
    start = symmetrised(structure)
    start.scale_lattice(share * start.volume)
    answer = oracle.relax_at_volume(start, folder)
    check_physics(answer)
    relaxed = answer.structure
    return Strained(
        volume=relaxed.volume / len(relaxed),
        energy=answer.energy_per_atom,
        harmonic=harmonic(_vibrating(spec.phonons, oracle, relaxed, folder), temperatures),
    )


def _vibrating(settings: Phonons, oracle: ForceFieldOracle, structure: Structure, folder: Path) -> Phonopy:
    """Force constants in the supercell that confirms finds, or the smaller one where that is too large."""
    primitive = symmetrised(structure)
    try:
        matrix = supercells.supercell_matrix(primitive, settings.confirm_length, settings.max_supercell_atoms)
    except supercells.NoSupercellError:
        matrix = supercells.supercell_matrix(primitive, settings.min_length, settings.max_supercell_atoms)
    phonon = force_constants.displaced(
        primitive,
        matrix,
        settings.displacement,
        lambda cells: [answer.forces for answer in oracle.static(cells, folder)],
    )
    return force_constants.symmetrised(phonon)
