"""Element properties as numbers, scaled to about one."""

from __future__ import annotations

import functools
import json
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

MOLECULAR_GASES = ("H", "N", "O", "F", "Cl", "Br", "I")
N_PROPERTIES = 6


@functools.cache
def atomic_volume(symbol: str) -> float:
    """Rough volume of an atom in a compound, Å³: its elemental solid's, within 8 to 28."""
    return 11.0 if symbol in MOLECULAR_GASES else float(np.clip(solid_volume(symbol), 8.0, 28.0))


@functools.cache
def solid_volume(symbol: str) -> float:
    """Volume of an atom in the element's solid or liquid, Å³; 16.6 where its molar volume is not known."""
    from pymatgen.core import Element

    with warnings.catch_warnings(action="ignore", category=UserWarning):  # of what is not known
        molar = Element(symbol).molar_volume  # cm³/mol
    return float(molar or 10.0) / 0.6022


@functools.cache
def properties(symbol: str) -> tuple[float, ...]:
    """Electronegativity, radius (Å), group, row, volume (Å³) and block, each scaled to about one."""
    from pymatgen.core import Element

    element = Element(symbol)
    negativity = element.X if element.Z not in {2, 10, 18} else 0.0
    block = "spdf".index(element.block) / 3
    radius = float(element.atomic_radius or 1.5)
    return (
        negativity / 4,
        radius / 2,
        element.group / 18,
        element.row / 7,
        atomic_volume(symbol) / 20,
        block,
    )


@functools.cache
def charges(symbol: str) -> tuple[float, float]:
    """Highest and lowest common oxidation state (any known one, else 0), scaled to about one."""
    from pymatgen.core import Element

    element = Element(symbol)
    states = element.common_oxidation_states or element.oxidation_states or (0,)
    return max(states) / 8, min(states) / 8


@functools.cache
def radius(symbol: str) -> float:
    """Atomic radius, Å; 1.5 where none is known."""
    from pymatgen.core import Element

    return float(Element(symbol).atomic_radius or 1.5)


@functools.cache
def cgcnn_table() -> NDArray[np.float64]:
    """CGCNN's 92 one-hot element features by atomic number, as matminer carries them, shape (101, 92).

    Source: Xie and Grossman, PRL 120, 145301 (2018), supplement. Row 0 is zero.
    """
    import matminer.utils.data

    folder = Path(matminer.utils.data.__file__).parent / "data_files"
    stored = json.loads((folder / "cgcnn_atom_feature.json").read_text())
    rows = [stored[str(number)] for number in range(1, len(stored) + 1)]
    return np.vstack([np.zeros(len(rows[0])), np.array(rows, dtype=float)])
