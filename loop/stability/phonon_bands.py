"""What is shown and followed of phonons: bands along the zone's lines, density of states, imaginary modes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.loop.documents.dynamics import SoftestMode

if TYPE_CHECKING:
    from phonopy import Phonopy

_BAND_POINTS = 21
_MESH_LENGTH = 20.0
_SAME_FREQUENCY = 2  # digits of THz
_GREEK = {"GAMMA": "Γ", "DELTA": "Δ", "LAMBDA": "Λ", "SIGMA": "Σ"}


def imaginary_modes(
    phonon: Phonopy, points: NDArray[np.float64], tolerance: float, most: int = 8
) -> list[dict[str, Any]]:
    """Softest imaginary modes at ``points`` (n, 3): q, frequency (THz), eigenvector (3N).

    Of the arms of a star, which have the same frequencies and lead to the same children, only the first.

    phonon: phonopy's object. tolerance: THz. most: modes at most.
    """
    phonon.run_qpoints(points, with_eigenvectors=True)
    answer = phonon.get_qpoints_dict()
    found: list[dict[str, Any]] = []
    stars: set[tuple[float, ...]] = set()
    for q, frequencies, vectors in zip(points, answer["frequencies"], answer["eigenvectors"], strict=True):
        star = tuple(np.round(np.sort(frequencies), _SAME_FREQUENCY).tolist())
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


def bands(phonon: Phonopy) -> dict[str, Any]:
    """Bands along the zone's lines (Hinuma et al., Comput. Mater. Sci. 128, 140, 2017) and density of states.

    As PhononRecord stores them: frequencies in THz, distances in 1/Å. The density is that of a mesh of 20 Å.
    """
    import seekpath

    found = seekpath.get_path_orig_cell(phonon.primitive.totuple())
    lines = [(found["point_coords"][start], found["point_coords"][end]) for start, end in found["path"]]
    phonon.run_band_structure([np.linspace(start, end, _BAND_POINTS) for start, end in lines])
    band = phonon.get_band_structure_dict()
    phonon.run_mesh(_MESH_LENGTH)
    phonon.run_total_dos()
    dos = phonon.get_total_dos_dict()
    return {
        "distances": np.concatenate(band["distances"]).tolist(),
        "frequencies": np.concatenate(band["frequencies"]).tolist(),
        "ticks": _ticks(band["distances"], found["path"]),
        "dos_frequencies": np.asarray(dos["frequency_points"]).tolist(),
        "dos": np.asarray(dos["total_dos"]).tolist(),
    }


def softest_of_mesh(phonon: Phonopy) -> SoftestMode:
    """The lowest frequency on the mesh that ``bands`` ran."""
    mesh = phonon.get_mesh_dict()
    softest = np.asarray(mesh["frequencies"]).min(axis=1)
    lowest = int(softest.argmin())
    return SoftestMode(frequency=float(softest[lowest]), q_point=np.asarray(mesh["qpoints"][lowest]).tolist())


def _ticks(
    distances: Sequence[NDArray[np.float64]], path: Sequence[tuple[str, str]]
) -> list[tuple[float, str]]:
    """Where the zone's points lie along the path; names of a jump are joined by a bar."""
    ticks: list[tuple[float, str]] = []
    last = ""
    for segment, (start, end) in zip(distances, path, strict=True):
        if not ticks:
            ticks.append((float(segment[0]), _label(start)))
        elif start != last:
            ticks[-1] = (ticks[-1][0], f"{ticks[-1][1]}|{_label(start)}")
        ticks.append((float(segment[-1]), _label(end)))
        last = end
    return ticks


def _label(point: str) -> str:
    name, *number = point.split("_")
    return "_".join([_GREEK.get(name, name), *number])
