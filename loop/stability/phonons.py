"""From displacement forces to a verdict: force constants, bands, lowest frequency, soft modes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.config.spec import Phonons
from niobe.loop.documents.records import PhononVerdict, Stability

if TYPE_CHECKING:
    from phonopy import Phonopy
    from pymatgen.core import Structure

Forces = Callable[[Sequence["Structure"]], list[NDArray[np.float64]]]
_BAND_POINTS = 21
_MESH_DENSITY = 1000
_ACOUSTIC_RADIUS = 1e-3


class _NotFiniteError(ArithmeticError):
    """A displaced supercell has forces that are not finite."""


@dataclass(frozen=True)
class Dynamics:
    """Phonons of one structure. bands: what PhononRecord stores; modes: the imaginary ones."""

    verdict: PhononVerdict
    bands: dict[str, Any]
    modes: list[dict[str, Any]]


def supercell_matrix(structure: Structure, min_length: float) -> NDArray[np.int64]:
    """Diagonal supercell with every lattice vector at least ``min_length`` (Å) long. Shape (3, 3)."""
    return np.diag(np.maximum(1, np.ceil(min_length / np.array(structure.lattice.abc) - 1e-6).astype(int)))


def dynamics(structure: Structure, forces: Forces, settings: Phonons) -> Dynamics:
    """Phonons by finite displacements, and the verdict on force constants after symmetrisation.

    ``forces`` answers for a list of supercells with arrays of shape (n_supercell_atoms, 3) in eV/Å. Where
    the lowest frequency lies within three tolerances below zero, a second displacement must agree, else the
    verdict is undecided.
    """
    matrix = supercell_matrix(structure, settings.min_length)
    n_atoms = len(structure) * round(float(np.linalg.det(matrix)))
    if n_atoms > settings.max_supercell_atoms:
        reason = f"supercell of {n_atoms} atoms; phonons.max_supercell_atoms {settings.max_supercell_atoms}"
        return Dynamics(undecided(settings.tolerance, reason), {}, [])
    try:
        phonon = _force_constants(structure, matrix, settings.displacement, forces)
    except _NotFiniteError:
        return Dynamics(undecided(settings.tolerance, "forces are not finite"), {}, [])
    frequency, q_point = _lowest(phonon)
    outcome = _outcome(frequency, settings.tolerance)
    reason = ""
    if np.isfinite(frequency) and -3 * settings.tolerance <= frequency < 0:
        second, _ = _lowest(_force_constants(structure, matrix, settings.second_displacement, forces))
        if _outcome(second, settings.tolerance) is not outcome:
            reason = f"{second:.2f} THz at {settings.second_displacement} Å disagrees"
            outcome = Stability.UNDECIDED
    verdict = PhononVerdict(
        outcome=outcome,
        lowest_frequency=frequency if np.isfinite(frequency) else None,
        q_point=[float(value) for value in q_point],
        supercell_matrix=matrix.tolist(),
        displacement=settings.displacement,
        tolerance=settings.tolerance,
        reason=reason,
    )
    return Dynamics(verdict, _bands(phonon), _imaginary_modes(phonon, settings.tolerance))


def undecided(tolerance: float, reason: str) -> PhononVerdict:
    """The verdict where no phonons could or should be computed."""
    return PhononVerdict(outcome=Stability.UNDECIDED, tolerance=tolerance, reason=reason)


def _outcome(frequency: float, tolerance: float) -> Stability:
    if not np.isfinite(frequency):
        return Stability.UNDECIDED
    return Stability.STABLE if frequency >= -tolerance else Stability.UNSTABLE


def _force_constants(
    structure: Structure, matrix: NDArray[np.int64], displacement: float, forces: Forces
) -> Phonopy:
    from phonopy import Phonopy
    from pymatgen.io.phonopy import get_phonopy_structure, get_pmg_structure

    phonon = Phonopy(get_phonopy_structure(structure), supercell_matrix=matrix, log_level=0)
    phonon.generate_displacements(distance=displacement)
    supercells = [get_pmg_structure(cell) for cell in phonon.supercells_with_displacements or []]
    found = np.array(forces(supercells))
    if not np.isfinite(found).all():
        raise _NotFiniteError
    phonon.forces = found
    phonon.produce_force_constants()
    phonon.symmetrize_force_constants()
    return phonon


def _commensurate(matrix: NDArray[np.int64]) -> NDArray[np.float64]:
    """q-points at which the supercell's force constants are exact: fractional, shape (n, 3)."""
    return _grid([np.arange(n) / n for n in np.diag(matrix)])


def _zone_boundary() -> NDArray[np.float64]:
    """Γ and the seven points with half a reciprocal lattice vector along some axes. Shape (8, 3)."""
    return _grid([np.array([0.0, 0.5])] * 3)


def _looked_at(phonon: Phonopy) -> NDArray[np.float64]:
    """Commensurate and zone-boundary q-points, shape (n, 3)."""
    commensurate = _commensurate(np.asarray(phonon.supercell_matrix))
    return np.unique(np.vstack([commensurate, _zone_boundary()]), axis=0)


def _grid(axes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    return np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)


def _lowest(phonon: Phonopy) -> tuple[float, NDArray[np.float64]]:
    """Lowest frequency (THz) over commensurate and zone-boundary q-points, and the q it lies at.

    The three acoustic modes at Γ are zero by the sum rule and are left out.
    """
    points = _looked_at(phonon)
    phonon.run_qpoints(points)
    frequencies = np.array(phonon.get_qpoints_dict()["frequencies"])
    if not np.isfinite(frequencies).all():
        return float("nan"), np.zeros(3)
    gamma = np.flatnonzero(np.linalg.norm(points, axis=1) < _ACOUSTIC_RADIUS)
    frequencies[gamma] = _without_acoustic(frequencies[gamma])
    softest = frequencies.min(axis=1)
    return float(softest.min()), points[int(softest.argmin())]


def _without_acoustic(frequencies: NDArray[np.float64]) -> NDArray[np.float64]:
    """Set the three modes nearest zero to infinity. Shape (1, 3N) in and out."""
    kept = frequencies.copy()
    for row in kept:
        row[np.argsort(np.abs(row))[:3]] = np.inf
    return kept


def _imaginary_modes(phonon: Phonopy, tolerance: float, most: int = 8) -> list[dict[str, Any]]:
    """Softest imaginary modes at the q-points the verdict looks at: q, frequency (THz), eigenvector (3N).

    Of the arms of a star, which have the same frequencies and lead to the same children, only the first.
    """
    points = _looked_at(phonon)
    phonon.run_qpoints(points, with_eigenvectors=True)
    answer = phonon.get_qpoints_dict()
    found: list[dict[str, Any]] = []
    stars: set[tuple[float, ...]] = set()
    for q, frequencies, vectors in zip(points, answer["frequencies"], answer["eigenvectors"], strict=True):
        star = tuple(np.round(np.sort(frequencies), 2).tolist())
        soft = np.flatnonzero(frequencies < -tolerance)
        if star not in stars:
            found += [_mode(q, frequencies[branch], vectors[:, branch]) for branch in soft]
        stars.add(star)
    return sorted(found, key=lambda mode: mode["frequency"])[:most]


def _mode(q: NDArray[np.float64], frequency: float, vector: NDArray[np.complex128]) -> dict[str, Any]:
    return {
        "q": [float(value) for value in q],
        "frequency": float(frequency),
        "real": vector.real.tolist(),
        "imag": vector.imag.tolist(),
    }


def _bands(phonon: Phonopy) -> dict[str, Any]:
    """Band structure along the seekpath line and density of states, as PhononRecord stores them."""
    from phonopy.phonon.band_structure import get_band_qpoints_by_seekpath

    paths, labels, connections = get_band_qpoints_by_seekpath(phonon.primitive, _BAND_POINTS)
    phonon.run_band_structure(paths, path_connections=connections, labels=labels)
    band = phonon.get_band_structure_dict()
    phonon.run_mesh(float(_MESH_DENSITY) ** (1 / 3) * 2)
    phonon.run_total_dos()
    dos = phonon.get_total_dos_dict()
    return {
        "distances": np.concatenate(band["distances"]).tolist(),
        "frequencies": np.concatenate(band["frequencies"]).tolist(),
        "ticks": _ticks(band["distances"], labels, connections),
        "dos_frequencies": np.asarray(dos["frequency_points"]).tolist(),
        "dos": np.asarray(dos["total_dos"]).tolist(),
        "supercell_matrix": np.asarray(phonon.supercell_matrix).tolist(),
    }


def _ticks(
    distances: Sequence[NDArray[np.float64]], labels: Sequence[str], connections: Sequence[bool]
) -> list[tuple[float, str]]:
    """Where the high-symmetry points lie along the path; labels of a jump are joined by a bar."""
    ticks: list[tuple[float, str]] = []
    names = iter(labels)
    start = True
    for segment, connected in zip(distances, connections, strict=True):
        if start:
            name = next(names)
            if ticks:
                ticks[-1] = (ticks[-1][0], f"{ticks[-1][1]}|{name}")
            else:
                ticks.append((float(segment[0]), name))
        ticks.append((float(segment[-1]), next(names)))
        start = not connected
    return ticks
