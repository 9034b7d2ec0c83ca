"""Formation energies by the campaign's cheap potential: the mean that the surrogate corrects.

Delta learning after Ramakrishnan et al., J. Chem. Theory Comput. 11, 2087 (2015), on top of what compounds of
like composition were off by: a Nadaraya–Watson mean, Theory Probab. Appl. 9, 141 (1964).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from loop.acquisition import Hull
from loop.records import StructureRecord
from surrogates.protocols import FloatArray

_SAME_ENERGY = 1e-3
_WIDTH, _ANYWHERE = 0.15, 1e-3


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


def usual_corrections(
    records: Sequence[StructureRecord], known: Sequence[StructureRecord], references: Mapping[str, float]
) -> FloatArray:
    """What oracles add to the prior's formation energies at each record's composition, eV/atom, shape (n,).

    A mean over ``known`` compounds that both answered for, weighted by a Gaussian of width 0.15 in atomic
    fractions, and a thousandth wherever they are. No record is its own witness; 0 where there is none.
    """
    witnesses = [record for record in known if record.prior and record.verdict and record.nelements > 1]
    if not records or not witnesses:
        return np.zeros(len(records))
    oracle = np.array([r.verdict.formation_energy_per_atom for r in witnesses if r.verdict])
    corrections = oracle - prior_formation_energies(witnesses, references)
    symbols = sorted({symbol for record in (*records, *witnesses) for symbol in record.chemsys.split("-")})
    here, there = (_fractions(those, symbols) for those in (records, witnesses))
    squared = np.square(here[:, None] - there[None]).sum(axis=-1)
    weights = np.exp(-squared / (2 * _WIDTH**2)) + _ANYWHERE
    names = np.array([record.id for record in witnesses])
    weights[np.array([record.id for record in records])[:, None] == names] = 0.0
    weights[:, ~np.isfinite(corrections)] = 0.0
    total = weights.sum(axis=1)
    return np.asarray(weights @ np.nan_to_num(corrections) / np.where(total > 0, total, 1.0))


def _fractions(records: Sequence[StructureRecord], symbols: Sequence[str]) -> FloatArray:
    """Atomic fractions, shape (n, symbols)."""
    return np.array([[atomic_fractions(record).get(s, 0.0) for s in symbols] for record in records])


def above_joint_hull(
    records: Sequence[StructureRecord], references: Mapping[str, float], elements: Sequence[str]
) -> FloatArray:
    """How far (eV/atom) each record lies above the hull that all of them make, shape (n,).

    By the oracle's formation energies where a round's hull has them; elsewhere by the prior's with its usual
    correction. NaN for a record that neither answered for.
    """
    found = np.array([r.verdict.formation_energy_per_atom if r.verdict else np.nan for r in records])
    corrected = prior_formation_energies(records, references) + usual_corrections(
        records, records, references
    )
    energies = np.where(np.isnan(found), corrected, found)
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
