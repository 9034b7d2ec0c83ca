"""SOAP by DScribe: one power spectrum a structure, elements weighted instead of kept apart.

Source: Bartók, Kondor and Csányi, PRB 87, 184115 (2013); the compression is DScribe's ``mu2``.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.representations.checks import require_sound
from niobe.surrogates.representations.composition import N_ELEMENTS

if TYPE_CHECKING:
    from pymatgen.core import Structure

FloatArray = NDArray[np.float64]
CUTOFF, N_MAX, L_MAX = 5.0, 6, 4


def soap(structures: Sequence[Structure]) -> FloatArray:
    """Mean over atoms of the power spectrum, shape (n, 105). Raises ValueError for one that is not sound."""
    from pymatgen.io.ase import AseAtomsAdaptor

    for structure in structures:
        require_sound(structure)
    rows = [_soap().create(AseAtomsAdaptor.get_atoms(s, msonable=False)) for s in structures]
    return np.array(rows, dtype=float).reshape(len(structures), -1)


@functools.cache
def _soap() -> Any:
    from ase.data import chemical_symbols
    from dscribe.descriptors import SOAP

    symbols = chemical_symbols[1 : N_ELEMENTS + 1]
    return SOAP(
        r_cut=CUTOFF,
        n_max=N_MAX,
        l_max=L_MAX,
        species=symbols,
        periodic=True,
        average="outer",
        compression={"mode": "mu2", "species_weighting": {s: _weight(s) for s in symbols}},
    )


def _weight(symbol: str) -> float:
    """Electronegativity (Pauling), and a small share of the atomic number that tells equal ones apart."""
    from pymatgen.core import Element

    element = Element(symbol)
    negativity = element.X if element.Z not in {2, 10, 18} else 0.0
    return float(negativity if np.isfinite(negativity) else 0.0) + 0.01 * element.Z
