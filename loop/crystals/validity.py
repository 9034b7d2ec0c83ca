"""Validity of a candidate before anything is spent on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from niobe.surrogates.protocols import SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

MIN_DISTANCE_FRACTION = 0.55
MIN_VOLUME_PER_ATOM, MAX_VOLUME_PER_ATOM = 4.0, 80.0
MAX_ASPECT = 8.0


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


def collapsed_distance(structure: Structure) -> bool:
    """Whether two sites, or a site and its image, lie closer than 0.55 × the sum of their radii."""
    radii = np.array([float(site.specie.atomic_radius or 1.5) for site in structure])
    distances = structure.distance_matrix.copy()
    np.fill_diagonal(distances, min(structure.lattice.abc))
    allowed = MIN_DISTANCE_FRACTION * (radii[:, None] + radii[None, :])
    return bool((distances < allowed).any())
