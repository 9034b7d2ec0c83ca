"""Formation energies by the campaign's cheap potential: the mean that the surrogate corrects.

Delta learning after Ramakrishnan et al., J. Chem. Theory Comput. 11, 2087 (2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from loop.records import StructureRecord
from surrogates.protocols import FloatArray


def prior_references(records: Sequence[StructureRecord]) -> dict[str, float]:
    """The lowest prior energy (eV/atom) of each element among elemental records."""
    lowest: dict[str, float] = {}
    for record in records:
        if record.prior is not None and "-" not in record.chemsys:
            known = lowest.get(record.chemsys, float("inf"))
            lowest[record.chemsys] = min(known, record.prior.energy_per_atom)
    return lowest


def prior_formation_energies(
    records: Sequence[StructureRecord], references: Mapping[str, float]
) -> FloatArray:
    """Formation energies (eV/atom) by the prior, shape (n,); NaN where it gave no answer."""
    return np.array([_formation(record, references) for record in records])


def _formation(record: StructureRecord, references: Mapping[str, float]) -> float:
    from pymatgen.core import Composition

    if record.prior is None:
        return float("nan")
    shares = Composition(record.formula).fractional_composition.get_el_amt_dict()
    elements = sum(share * references.get(symbol, float("nan")) for symbol, share in shares.items())
    return record.prior.energy_per_atom - elements
