"""Formation energies by the campaign's cheap potential: the mean that the surrogate corrects.

Delta learning after Ramakrishnan et al., J. Chem. Theory Comput. 11, 2087 (2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from loop.acquisition import Hull
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


def above_joint_hull(
    records: Sequence[StructureRecord], references: Mapping[str, float], elements: Sequence[str]
) -> FloatArray:
    """How far (eV/atom) each record lies above the hull that all of them make, shape (n,).

    By the oracle's formation energies where a round's hull has them, by the prior's elsewhere; NaN for a
    record that neither answered for.
    """
    energies = prior_formation_energies(records, references)
    for row, record in enumerate(records):
        if record.verdict:
            energies[row] = record.verdict.formation_energy_per_atom
    hull = Hull([atomic_fractions(record) for record in records], elements)
    return energies - hull.level(np.where(np.isnan(energies), np.inf, energies))


def glanced_at(record: StructureRecord) -> bool:
    """Whether the prior had a first look at a candidate, and no other."""
    return record.prior is not None and record.prior.brief


def waiting(records: Sequence[StructureRecord], count: int) -> set[str]:
    """Candidates that had a first look only, where ``count`` had more; else none, as all are needed."""
    further = sum(record.prior is not None and not record.prior.brief for record in records)
    return {record.id for record in records if glanced_at(record)} if further >= count else set()


def _formation(record: StructureRecord, references: Mapping[str, float]) -> float:
    if record.prior is None:
        return float("nan")
    elements = sum(
        share * references.get(symbol, float("nan")) for symbol, share in atomic_fractions(record).items()
    )
    return record.prior.energy_per_atom - elements


def atomic_fractions(record: StructureRecord) -> dict[str, float]:
    """By symbol."""
    from pymatgen.core import Composition

    return dict(Composition(record.formula).fractional_composition.get_el_amt_dict())
