"""The periodic table as an image: 4 channels (blocks s, p, d, f), 9 rows, 18 columns; a pixel is a fraction.

Source: Zheng et al., Chem. Sci. 9, 8426 (2018).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.representations.composition import N_ELEMENTS, fractions

if TYPE_CHECKING:
    from pymatgen.core import Element, Structure

FloatArray = NDArray[np.float64]
SHAPE = (4, 9, 18)


@functools.cache
def _pixels() -> NDArray[np.int64]:
    """Flat index of each element's pixel by atomic number minus one, shape (103,); no two are the same."""
    from pymatgen.core import Element

    return np.array([_pixel(Element.from_Z(z)) for z in range(1, N_ELEMENTS + 1)])


def _pixel(element: Element) -> int:
    number, row, column = element.Z, element.row, element.group
    if 57 <= number <= 71 or 89 <= number <= 103:
        first = 57 if number < 89 else 89
        row, column = row + 2, 3 + number - first
    return int(np.ravel_multi_index(("spdf".index(element.block), row - 1, column - 1), SHAPE))


def images(structures: Sequence[Structure]) -> FloatArray:
    """One image a structure, shape (n, 4, 9, 18), summing to 1."""
    rows = np.zeros((len(structures), int(np.prod(SHAPE))))
    rows[:, _pixels()] = fractions(structures)
    return rows.reshape(-1, *SHAPE)


def fractions_of(image: FloatArray) -> FloatArray:
    """The element fractions that an image holds, shape (103,)."""
    return np.asarray(image.reshape(-1)[_pixels()])
