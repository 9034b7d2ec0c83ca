"""Force constants by finite displacements, and how they are kept: as phonopy's own parameters, compressed."""

from __future__ import annotations

import base64
import re
import tempfile
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.config.errors import ConfigError

if TYPE_CHECKING:
    from phonopy import Phonopy
    from pymatgen.core import Structure

Forces = Callable[[Sequence["Structure"]], list[NDArray[np.float64]]]
_LARGEST = 32 * 2**20
_NESTED = re.compile(rb"(?m)^[ \t?:-]{40}|[\[{][^\]}]*[\[{][^\]}]*[\[{][^\]}]*[\[{]")
"""Deeper in blocks or in brackets than phonopy writes; what is far deeper ends the process that reads it."""
_KEPT = {"force_sets": True, "displacements": True, "force_constants": False, "born_effective_charge": False}


class NotFiniteError(ArithmeticError):
    """A displaced supercell has forces that are not finite."""


def displaced(
    primitive: Structure, matrix: NDArray[np.int64], displacement: float, forces: Forces
) -> Phonopy:
    """A phonopy object with force constants as the forces have them, not yet symmetrised.

    Forces of the relaxed crystal are subtracted (phonopy's ``--fz``): no relaxation ends at zero, and some
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
    residual, *found = forces([primitive, *cells])
    if not all(np.isfinite(array).all() for array in (residual, *found)):
        raise NotFiniteError("forces are not finite")
    copies = phonon.supercell.u2u_map
    phonon.forces = np.array(found) - residual[[copies[atom] for atom in phonon.supercell.s2u_map]]
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

    Raises ValueError where it is none, larger than 32 MiB, nested deeper than phonopy nests, or has a YAML
    tag, which could name code, or an anchor, by which little text becomes much.
    """
    inflater = zlib.decompressobj()
    try:
        content = inflater.decompress(base64.b64decode(text, validate=True), _LARGEST)
    except zlib.error as error:
        raise ValueError(f"phonopy: not compressed by zlib ({error})") from None
    if not inflater.eof or b"!" in content or b"&" in content or _NESTED.search(content):
        limits = f"more than {_LARGEST} bytes, cut short, deeply nested, or with a YAML tag or anchor"
        raise ValueError(f"phonopy: {limits}")
    return content


def loaded(text: str) -> Phonopy:
    """The phonopy object of what was ``packed``, with symmetrised force constants and no new force.

    ``phonopy.load`` would also take ``FORCE_CONSTANTS`` or ``BORN`` that lie in the working folder. Raises
    ConfigError, in one line, where the text is none.
    """
    from yaml import YAMLError

    refused = (ValueError, ArithmeticError, RuntimeError, TypeError, LookupError, AttributeError, YAMLError)
    try:
        content = unpacked(text)
        _check_supercell(content)
        return symmetrised(_with_forces(content))
    except refused as error:
        said = " ".join(str(error).split())[:120]
        raise ConfigError(f"stored force constants cannot be read ({type(error).__name__}: {said})") from None


def _with_forces(content: bytes) -> Phonopy:
    from phonopy import Phonopy
    from phonopy.interface.phonopy_yaml import PhonopyYaml

    told = PhonopyYaml()
    with tempfile.TemporaryDirectory(prefix="niobe-") as scratch:
        file = Path(scratch) / "phonopy_params.yaml"
        file.write_bytes(content)
        told.read(file)
    phonon = Phonopy(told.unitcell, told.supercell_matrix, primitive_matrix=told.primitive_matrix)
    phonon.dataset = told.dataset
    phonon.produce_force_constants(calculate_full_force_constants=False)
    if not np.isfinite(phonon.force_constants).all():
        raise ValueError("they are not finite")
    return phonon


def _check_supercell(content: bytes) -> None:
    """Raises ValueError, or what wrong shapes raise, where the matrix makes another supercell."""
    import yaml

    told = yaml.load(content, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    cells = round(abs(np.linalg.det(np.array(told["supercell_matrix"], dtype=float))))
    if cells * len(told["unit_cell"]["points"]) != len(told["supercell"]["points"]):
        raise ValueError("its matrix is not of its supercell")
