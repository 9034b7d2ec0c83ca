"""Formation energies by the campaign's cheap potential: the mean that the surrogate corrects.

Delta learning after Ramakrishnan et al., J. Chem. Theory Comput. 11, 2087 (2015), on top of what compounds of
like composition were off by: a Nadaraya–Watson mean, Theory Probab. Appl. 9, 141 (1964).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence

import numpy as np

from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import stored_structure
from niobe.loop.stability.convex_hull import Hull
from niobe.loop.stability.hull import atomic_fractions, formation_energy
from niobe.surrogates.protocols import FloatArray

_WIDTH, _ENOUGH = 0.15, 2.0
_UNTOLD, _ROUNDOFF = 0.1, 1e-9  # eV/atom
ANYWHERE = 1e-3
"""The weight of a neighbour of any composition."""


def prerelaxed_references(records: Sequence[StructureRecord]) -> dict[str, float]:
    """The lowest pre-relaxation energy (eV/atom) of each element among elemental records."""
    lowest: dict[str, float] = {}
    for record in records:
        if record.prerelaxed is not None and record.nelements == 1:
            known = lowest.get(record.chemsys, float("inf"))
            lowest[record.chemsys] = min(known, record.prerelaxed.energy_per_atom)
    return lowest


def prerelaxed_formation_energies(
    records: Sequence[StructureRecord], references: Mapping[str, float]
) -> FloatArray:
    """Formation energies (eV/atom) by the cheap potential, shape (n,); NaN where it gave no answer."""
    return np.array([_formation(record, references) for record in records])


def mean_corrections(
    records: Sequence[StructureRecord], known: Sequence[StructureRecord], references: Mapping[str, float]
) -> FloatArray:
    """What oracles add to the pre-relaxation potential's formation energies at each record's composition,
    eV/atom, shape (n,).

    A mean over ``known`` compounds that both answered for, their weights a Gaussian of width 0.15 in the
    distance of the atomic fractions, and a thousandth wherever they are. A record is its own neighbour only
    as far as the Gaussians of others add up to less than 2. 0 for elements, by convention, and without
    neighbour.

    records: structure records. references: energies of the elements, eV/atom, by symbol.
    """
    neighbours, corrections = _corrections(known, references)
    if not records or not neighbours:
        return np.zeros(len(records))
    near = nearness(records, neighbours)
    near[:, ~np.isfinite(corrections)] = 0.0
    names = np.array([record.id for record in neighbours])
    own = np.array([record.id for record in records])[:, None] == names
    near[own] = 0.0
    alone = own * np.clip(1 - near.sum(axis=1) / _ENOUGH, 0.0, 1.0)[:, None]
    weights = near + ANYWHERE * (np.isfinite(corrections) & ~own)
    total = weights.sum(axis=1, keepdims=True)
    shares = np.divide(weights, total, out=np.zeros_like(weights), where=total > 0)
    shares = shares * (1 - alone.sum(axis=1, keepdims=True)) + alone
    compounds = np.array([record.nelements > 1 for record in records])
    return np.asarray(compounds * (shares @ np.nan_to_num(corrections)))


def spread_of_corrections(known: Sequence[StructureRecord], references: Mapping[str, float]) -> float:
    """What mean corrections miss of compounds that have no part in them: root mean square, eV/atom. Of fewer
    than two compounds 0.1, an assumption: wide beside what it then misses (docs/decisions/0166).

    known: structure records. references: energies of the elements, eV/atom, by symbol.
    """
    among, corrections = _corrected(known, references)
    if len(among) < 2:
        return _UNTOLD
    weights = nearness(among, among) + ANYWHERE
    np.fill_diagonal(weights, 0.0)
    missed = corrections - weights @ corrections / weights.sum(axis=1)
    return _root_mean_square(missed)


def understatement(known: Sequence[StructureRecord], references: Mapping[str, float]) -> float:
    """How many times larger that is than what mean corrections leave of compounds that have a part in them,
    at least 1.

    What they leave is what a surrogate learns, and what it takes its own errors from. A compound without
    others of like composition is its own mean, and leaves nothing: of few compounds a surrogate would seem
    exact. Among many no one has a part in its own mean, and this is 1.

    known: structure records. references: energies of the elements, eV/atom, by symbol.
    """
    among, corrections = _corrected(known, references)
    left = _root_mean_square(corrections - mean_corrections(among, among, references)) if among else 0.0
    return max(1.0, spread_of_corrections(known, references) / max(left, _ROUNDOFF))


def _root_mean_square(values: FloatArray) -> float:
    return float(np.sqrt(np.mean(values**2)))


def _corrected(
    known: Sequence[StructureRecord], references: Mapping[str, float]
) -> tuple[list[StructureRecord], FloatArray]:
    """Compounds whose correction is known, and it, eV/atom."""
    neighbours, corrections = _corrections(known, references)
    finite = np.isfinite(corrections)
    return [record for record, counts in zip(neighbours, finite, strict=True) if counts], corrections[finite]


def _corrections(
    known: Sequence[StructureRecord], references: Mapping[str, float]
) -> tuple[list[StructureRecord], FloatArray]:
    """Compounds that both answered for, and by how much the oracle's formation energy is higher, eV/atom."""
    answered = [record for record in known if record.prerelaxed and record.verdict and record.nelements > 1]
    neighbours = [record for record in answered if of_one_crystal(record)]
    oracle = np.array([r.verdict.formation_energy_per_atom for r in neighbours if r.verdict])
    return neighbours, oracle - prerelaxed_formation_energies(neighbours, references)


def of_one_crystal(record: StructureRecord) -> bool:
    """Whether the pre-relaxation potential's energy and the oracle's are of the same crystal.

    The oracle starts where the pre-relaxation potential ended, but with a seed both start from what came, and
    may part.
    """
    if record.round > 0 or record.prerelaxed is None or record.validation is None:
        return True
    both = [json.dumps(part.structure) for part in (record.prerelaxed, record.validation)]
    return _is_one_crystal(record.id, *both)


@functools.lru_cache(maxsize=1000)
def _is_one_crystal(identifier: str, prerelaxed: str, relaxed: str) -> bool:
    """Of both crystals of a seed as JSON. Kept, as each step of each round asks about the same seeds."""
    one, other = (stored_structure(identifier, json.loads(text)) for text in (prerelaxed, relaxed))
    return SeenStructures([(identifier, one)]).find(other) is not None


def nearness(records: Sequence[StructureRecord], others: Sequence[StructureRecord]) -> FloatArray:
    """A Gaussian of width 0.15 of the distance between atomic fractions, shape (records, others).

    records, others: structure records.
    """
    fractions = [[atomic_fractions(record) for record in those] for those in (records, others)]
    symbols = sorted({symbol for those in fractions for found in those for symbol in found})
    here, there = (np.array([[f.get(s, 0.0) for s in symbols] for f in those]) for those in fractions)
    squared = np.square(here[:, None] - there[None]).sum(axis=-1)
    return np.asarray(np.exp(-squared / (2 * _WIDTH**2)))


def above_joint_hull(
    records: Sequence[StructureRecord], references: Mapping[str, float], elements: Sequence[str]
) -> FloatArray:
    """How far (eV/atom) each record lies above the hull that all of them make, shape (n,).

    By the oracle's formation energies where a round's hull has them; elsewhere by the pre-relaxation
    potential's with its mean correction. NaN for a record that neither answered for.

    records: structure records. references: energies of the elements, eV/atom, by symbol. elements: symbols.
    """
    found = np.array([r.verdict.formation_energy_per_atom if r.verdict else np.nan for r in records])
    corrected = prerelaxed_formation_energies(records, references) + mean_corrections(
        records, records, references
    )
    energies = np.where(np.isnan(found), corrected, found)
    hull = Hull([atomic_fractions(record) for record in records], elements)
    return energies - hull.level(np.where(np.isnan(energies), np.inf, energies))


def briefly_prerelaxed(record: StructureRecord) -> bool:
    """Whether the pre-relaxation potential had a short pre-relaxation at a candidate, and no other."""
    return record.prerelaxed is not None and record.prerelaxed.brief


def waiting(records: Sequence[StructureRecord], count: int) -> set[str]:
    """Candidates that had a short pre-relaxation only, where ``count`` had more; else none, as all are
    needed."""
    further = sum(record.prerelaxed is not None and not record.prerelaxed.brief for record in records)
    return {record.id for record in records if briefly_prerelaxed(record)} if further >= count else set()


def _formation(record: StructureRecord, references: Mapping[str, float]) -> float:
    if record.prerelaxed is None:
        return float("nan")
    return formation_energy(atomic_fractions(record), record.prerelaxed.energy_per_atom, references)
