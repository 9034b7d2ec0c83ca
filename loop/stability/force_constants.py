"""Force constants by finite displacements, and how they are kept: as phonopy's own parameters, compressed."""

from __future__ import annotations

import base64
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from phonopy import Phonopy
    from pymatgen.core import Structure

Forces = Callable[[Sequence["Structure"]], list[NDArray[np.float64]]]
_LARGEST = 256 * 2**20
_KEPT = {"force_sets": True, "displacements": True, "force_constants": False, "born_effective_charge": False}


class NotFiniteError(ArithmeticError):
    """A displaced supercell has forces that are not finite."""


def displaced(
    primitive: Structure, matrix: NDArray[np.int64], displacement: float, forces: Forces
) -> Phonopy:
    """A phonopy object with force constants as the forces have them, not yet symmetrised.

    Forces of the crystal at rest are subtracted (phonopy's ``--fz``): no relaxation ends at zero, and some
    potentials, as 7net-0, are not invariant under inversion and push atoms that symmetry holds.

    matrix: the supercell's vectors (rows) in the basis of the primitive cell, shape (3, 3). displacement: of
    one atom at a time, Å. forces: answers for a list of cells, the primitive one first, with arrays of shape
    (n_atoms, 3), eV/Å.

    Raises NotFiniteError.
    """
    from phonopy import Phonopy
    from pymatgen.io.phonopy import get_phonopy_structure, get_pmg_structure

    phonon = Phonopy(
        get_phonopy_structure(primitive), supercell_matrix=matrix.T, primitive_matrix=np.eye(3), log_level=0
    )
    phonon.generate_displacements(distance=displacement)
    cells = [get_pmg_structure(cell) for cell in phonon.supercells_with_displacements or []]
    at_rest, *found = forces([primitive, *cells])
    if not all(np.isfinite(array).all() for array in (at_rest, *found)):
        raise NotFiniteError("forces are not finite")
    copies = phonon.supercell.u2u_map
    phonon.forces = np.array(found) - at_rest[[copies[atom] for atom in phonon.supercell.s2u_map]]
    phonon.produce_force_constants(calculate_full_force_constants=False, show_drift=False)
    return phonon


def drift(phonon: Phonopy) -> float:
    """How far unsymmetrised force constants break the acoustic sum rule, as a share of the largest self term.

    Zero for exact forces: moving all atoms alike (Σⱼ Φᵢⱼ) costs nothing.
    """
    constants = np.asarray(phonon.force_constants)
    atoms = np.asarray(phonon.primitive.p2s_map)
    largest = np.abs(constants[np.arange(len(atoms)), atoms]).max()
    return float(np.abs(constants.sum(axis=1)).max() / largest) if largest else 0.0


def symmetrised(phonon: Phonopy) -> Phonopy:
    """The same object; its force constants obey the sum rule and Φᵢⱼ = Φⱼᵢᵀ."""
    phonon.symmetrize_force_constants(show_drift=False)
    return phonon


def packed(phonon: Phonopy) -> str:
    """Cells, displacements (Å) and forces (eV/Å) as phonopy's YAML, compressed by zlib, as base64."""
    with tempfile.TemporaryDirectory(prefix="niobe-") as scratch:
        file = Path(phonon.save(Path(scratch) / "phonopy_params.yaml", settings=_KEPT))
        return base64.b64encode(zlib.compress(file.read_bytes(), 9)).decode()


def unpacked(text: str) -> bytes:
    """The ``phonopy_params.yaml`` that ``packed`` was given; ``phonopy.load`` reads it.

    Raises ValueError where it is none, larger than 256 MiB, or has a YAML tag, which could name code.
    """
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(base64.b64decode(text, validate=True), _LARGEST)
    except zlib.error as error:
        raise ValueError(f"phonopy: not compressed by zlib ({error})") from None
    if not inflater.eof or b"!" in content:
        raise ValueError(f"phonopy: more than {_LARGEST} bytes, cut short, or with a YAML tag")
    return content


def loaded(text: str) -> Phonopy:
    """The phonopy object of what was ``packed``, with symmetrised force constants and no new force."""
    import phonopy

    with tempfile.TemporaryDirectory(prefix="niobe-") as scratch:
        file = Path(scratch) / "phonopy_params.yaml"
        file.write_bytes(unpacked(text))
        return phonopy.load(file, log_level=0, symmetrize_fc=True, is_compact_fc=True)
