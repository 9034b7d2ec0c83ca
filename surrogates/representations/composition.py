"""Composition alone: element fractions, and the Magpie statistics of element properties by matminer.

Source: Ward et al., npj Comput. Mater. 2, 16028 (2016).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.representations.checks import require_sound

if TYPE_CHECKING:
    from pymatgen.core import Structure

FloatArray = NDArray[np.float64]
N_ELEMENTS = 103
N_MAGPIE = 132
_STATISTICS = 6
_LEVELS = [0, 1, 3, 5]
_TIE = 1e-9


def fractions(structures: Sequence[Structure]) -> FloatArray:
    """Atomic fraction of each element by atomic number minus one, shape (n, 103).

    Raises ValueError for a structure that is not sound or holds an element beyond lawrencium.
    """
    rows = np.zeros((len(structures), N_ELEMENTS))
    for row, structure in zip(rows, structures, strict=True):
        require_sound(structure)
        numbers = np.array(structure.atomic_numbers)
        if numbers.max() > N_ELEMENTS:
            raise ValueError(f"{structure.formula}: no element above Z = {N_ELEMENTS} is known")
        row += np.bincount(numbers - 1, minlength=N_ELEMENTS) / len(numbers)
    return rows


def magpie(structures: Sequence[Structure]) -> FloatArray:
    """Minimum, maximum, range, mean, mean deviation and mode of 22 element properties, shape (n, 132).

    As matminer's ElementProperty gives them (a test holds the two together), without its cost a structure.
    """
    return np.array([_statistics(row) for row in fractions(structures)]).reshape(-1, N_MAGPIE)


def _statistics(shares: FloatArray) -> FloatArray:
    """Six statistics a property, property by property, from element fractions (103,)."""
    present = np.flatnonzero(shares)
    weights, values = shares[present, None], _property_table()[present]
    low, high, mean = values.min(0), values.max(0), (weights * values).sum(0)
    deviation = (weights * np.abs(values - mean)).sum(0)
    most = values[shares[present] >= shares.max() - _TIE].min(0)
    return np.asarray(np.stack([low, high, high - low, mean, deviation, most], axis=1).reshape(-1))


def scaled_magpie(structures: Sequence[Structure]) -> FloatArray:
    """``magpie`` in units of each property's mean and spread over the elements, shape (n, 132)."""
    values = _property_table()
    shift, scale = np.zeros((values.shape[1], _STATISTICS)), values.std(0)
    shift[:, _LEVELS] = values.mean(0)[:, None]
    rows = magpie(structures).reshape(len(structures), -1, _STATISTICS)
    return ((rows - shift) / scale[:, None]).reshape(-1, N_MAGPIE)


@functools.cache
def _featurizer() -> Any:
    from matminer.featurizers.composition import ElementProperty

    return ElementProperty.from_preset("magpie", impute_nan=True)


@functools.cache
def _property_table() -> FloatArray:
    """The 22 Magpie properties of each element, shape (103, 22)."""
    from pymatgen.core import Element

    source, names = _featurizer().data_source, _featurizer().features
    elements = [Element.from_Z(z) for z in range(1, N_ELEMENTS + 1)]
    return np.array([[source.get_elemental_property(e, name) for name in names] for e in elements])


@functools.cache
def element_table() -> FloatArray:
    """The 22 Magpie properties of each element by atomic number, standardised: (104, 22), row 0 is 0."""
    table = _property_table()
    return np.vstack([np.zeros(table.shape[1]), (table - table.mean(0)) / table.std(0)])
