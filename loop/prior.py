"""Formation energies by the campaign's cheap potential: the mean that the surrogate corrects.

Delta learning after Ramakrishnan et al., J. Chem. Theory Comput. 11, 2087 (2015).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from loop.acquisition import Hull
from loop.records import StructureRecord
from surrogates.protocols import FloatArray

_SAME_ENERGY = 1e-3


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

    By the oracle's formation energies where a round's hull has them; elsewhere by the prior's, less its mean
    error on the compounds that both answered for. NaN for a record that neither answered for.
    """
    found = np.array([r.verdict.formation_energy_per_atom if r.verdict else np.nan for r in records])
    energies = prior_formation_energies(records, references)
    compounds = np.array([record.nelements > 1 for record in records], dtype=bool)
    errors = (energies - found)[compounds & np.isfinite(energies + found)]
    energies[compounds] -= errors.mean() if len(errors) else 0.0
    energies = np.where(np.isnan(found), energies, found)
    hull = Hull([atomic_fractions(record) for record in records], elements)
    return energies - hull.level(np.where(np.isnan(energies), np.inf, energies))


def fallen_below(record: StructureRecord, parents: Mapping[str, StructureRecord]) -> set[str]:
    """The parents, by id, that a soft mode's child is no twin of, however alike they look.

    Its atoms moved less than what a comparison of crystals overlooks. It is another crystal where the prior
    holds it to be lower by more than 1 meV/atom, and may be one where there is no prior to ask.
    """
    if record.lineage.generator != "soft_mode":
        return set()
    return {name for name in record.lineage.parents if _below(record, parents.get(name))}


def _below(record: StructureRecord, parent: StructureRecord | None) -> bool:
    if parent is None or record.prior is None or parent.prior is None:
        return True
    return record.prior.energy_per_atom < parent.prior.energy_per_atom - _SAME_ENERGY


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
