"""Validity of a candidate before anything is spent on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from niobe.surrogates.protocols import SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

MIN_DISTANCE_FRACTION = 0.55
MIN_VOLUME_PER_ATOM, MAX_VOLUME_PER_ATOM = 4.0, 80.0
MAX_ASPECT = 8.0
SHORTEST_VECTOR, LEAST_VOLUME = 0.3, 0.5  # Å, Å³/atom: H2 is 0.74 Å long; hydrogen at 100 GPa has 2 Å³.


def why_invalid(structure: Structure, request: SampleRequest) -> str:
    """Why the candidate is not worth an oracle call, or "" where nothing is wrong.

    Distances are compared with 0.55 × the sum of the atomic radii; volumes in Å³/atom.
    """
    if not request.allows(structure.composition.get_el_amt_dict()):
        return "composition"
    if not request.min_atoms <= len(structure) <= request.max_atoms:
        return "size"
    if not MIN_VOLUME_PER_ATOM <= structure.volume / len(structure) <= MAX_VOLUME_PER_ATOM:
        return "volume"
    if max(structure.lattice.abc) / min(structure.lattice.abc) > MAX_ASPECT:
        return "aspect"
    return "distance" if collapsed_distance(structure) else ""


class Contact(NamedTuple):
    """Two sites by index, their distance in Å, and its share of the sum of their covalent radii."""

    sites: tuple[int, int]
    distance: float
    share: float


def nearest_contact(structure: Structure) -> Contact:
    """The contact that is shortest for its elements, images included; of infinite length where there is none
    within 1.5 × the largest radius.

    Sites whose occupancies leave room for only one of them are no contact. Radii: Cordero et al., Dalton
    Trans. 2008, 2832; of a mixed site the smallest.
    """
    from ase.data import atomic_numbers, covalent_radii

    radii = np.array(
        [min(covalent_radii[atomic_numbers[kind.symbol]] for kind in site.species) for site in structure]
    )
    filled = np.array([sum(site.species.values()) for site in structure])
    lattice = structure.lattice.get_lll_reduced_lattice()
    shortest = min(lattice.abc)
    # Cells that are no crystal's, and hold too many contacts to list.
    if shortest < SHORTEST_VECTOR or structure.volume < LEAST_VOLUME * len(structure):
        return Contact((0, 0), shortest, 0.0)
    species, points = structure.species_and_occu, structure.cart_coords
    compact = type(structure)(lattice, species, points, to_unit_cell=True, coords_are_cartesian=True)
    first, second, _, distances = compact.get_neighbor_list(1.5 * radii.max())
    shares = distances / (radii[first] + radii[second])
    shares[filled[first] + filled[second] <= 1.02] = np.inf
    if not len(shares) or not np.isfinite(shares.min()):
        return Contact((0, 0), np.inf, np.inf)
    nearest = int(shares.argmin())
    return Contact((int(first[nearest]), int(second[nearest])), distances[nearest], float(shares[nearest]))


def collapsed_distance(structure: Structure) -> bool:
    """Whether two sites, or a site and its image, lie closer than 0.55 × the sum of their radii."""
    radii = np.array([float(site.specie.atomic_radius or 1.5) for site in structure])
    distances = structure.distance_matrix.copy()
    np.fill_diagonal(distances, min(structure.lattice.abc))
    allowed = MIN_DISTANCE_FRACTION * (radii[:, None] + radii[None, :])
    return bool((distances < allowed).any())
