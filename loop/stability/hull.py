"""The campaign's own convex hull, one oracle fingerprint at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from niobe.loop.documents.records import StructureRecord, Verdict
from niobe.loop.documents.rounds import HullEntry, HullRecord
from niobe.loop.stability.convex_hull import Hull

LOWEST_FORMATION_ENERGY = -5.0
"""eV/atom. No solid is known so low: of 14,590 of Materials Project the lowest, YbF2, has −4.47."""

_ROUNDING = 1e-9
"""eV/atom, of the hull's arithmetic: what lies less above it lies on it."""
WAY_ON = "add one to seeds.files and launch the file again, or ask once more: `niobe retry`"


def build_hull(
    campaign: str, round_number: int, elements: Sequence[str], records: Sequence[StructureRecord]
) -> HullRecord:
    """Hull over all validated records, which must share one oracle. Energies, or enthalpies of an oracle
    under pressure, in eV/atom.

    campaign: its id. round_number: of the round. elements: symbols.
    Raises ValueError where two oracles or two POTCARs of an element meet, or where an element has no
    validated reference.
    """
    validated = [record for record in records if record.validation is not None]
    references = _references(elements, validated)
    oracle = _only_oracle(validated)
    formulas, rows = _by_formula([record.formula for record in validated])
    compositions = [_fractions(formula) for formula in formulas]
    energies = np.array([record.validation.energy_per_atom for record in validated if record.validation])
    of_elements = np.array([formation_energy(one, 0.0, references) for one in compositions])
    formation = energies + of_elements[rows]
    above = formation - Hull(compositions, elements, rows).level(formation)
    return HullRecord(
        campaign=campaign,
        round=round_number,
        oracle=oracle,
        pressure=next(record.validation.pressure for record in validated if record.validation),
        entries=[
            HullEntry(
                record_id=record.id,
                campaign=record.campaign,
                generator=record.lineage.generator,
                formula=record.formula,
                n_atoms=record.n_atoms,
                composition=_fractions(record.formula),
                energy_per_atom=float(energies[row]),
                formation_energy_per_atom=float(formation[row]),
                e_above_hull=float(above[row]) if above[row] > _ROUNDING else 0.0,
            )
            for row, record in enumerate(validated)
        ],
    )


def _by_formula(formulas: Sequence[str]) -> tuple[list[str], NDArray[np.int64]]:
    """The different formulas, and which of them each is."""
    places: dict[str, int] = {}
    rows = [places.setdefault(formula, len(places)) for formula in formulas]
    return list(places), np.array(rows, dtype=np.int64)


def judged(records: Sequence[StructureRecord], hull: HullRecord) -> list[StructureRecord]:
    """Records with the verdicts of a hull that holds them and that nobody has stored."""
    entries = {entry.record_id: entry for entry in hull.entries}
    return [record.model_copy(update={"verdict": _verdict(entries[record.id])}) for record in records]


def _verdict(entry: HullEntry) -> Verdict:
    return Verdict(
        formation_energy_per_atom=entry.formation_energy_per_atom,
        e_above_hull_found=entry.e_above_hull,
        e_above_hull_now=entry.e_above_hull,
        hull_round=0,
    )


def elemental_energies(records: Sequence[StructureRecord]) -> dict[str, float]:
    """Lowest validated energy of each pure element, eV/atom."""
    lowest: dict[str, float] = {}
    for record in records:
        if record.validation is not None and record.nelements == 1:
            energy = record.validation.energy_per_atom
            lowest[record.chemsys] = min(energy, lowest.get(record.chemsys, energy))
    return lowest


def formation_energy(
    composition: Mapping[str, float], energy_per_atom: float, references: Mapping[str, float]
) -> float:
    """eV/atom against ``references`` (eV/atom, by element); NaN where one is missing. Any amounts.

    composition: atoms by symbol. energy_per_atom: eV/atom.
    """
    total = sum(composition.values())
    missing = float("nan")
    return energy_per_atom - sum(
        amount / total * references.get(symbol, missing) for symbol, amount in composition.items()
    )


def _only_oracle(validated: Sequence[StructureRecord]) -> str:
    oracles = {record.validation.oracle for record in validated if record.validation is not None}
    if len(oracles) != 1:
        raise ValueError(f"a hull needs energies of exactly one oracle, got {sorted(oracles)}")
    _require_one_potcar_each(validated)
    return oracles.pop()


def _require_one_potcar_each(validated: Sequence[StructureRecord]) -> None:
    named: dict[str, str] = {}
    for record in validated:
        for symbol, potcar in record.validation.potcars.items() if record.validation else ():
            if named.setdefault(symbol, potcar) != potcar:
                raise ValueError(
                    f"a hull needs energies by one POTCAR of {symbol}, got {sorted({named[symbol], potcar})}"
                )


def _references(elements: Sequence[str], validated: Sequence[StructureRecord]) -> dict[str, float]:
    found = elemental_energies(validated)
    missing = sorted(set(elements) - found.keys())
    if missing:
        raise ValueError(f"no validated elemental reference for {', '.join(missing)}; {WAY_ON}")
    return found


def atomic_fractions(record: StructureRecord) -> dict[str, float]:
    """By symbol."""
    return dict(_fractions(record.formula))


@lru_cache(maxsize=100_000)
def _fractions(formula: str) -> dict[str, float]:
    """Read once a formula: a campaign has as many results as it likes, of few compositions."""
    from pymatgen.core import Composition

    return dict(Composition(formula).fractional_composition.get_el_amt_dict())


def formation_hull(hull: HullRecord, formulas: Sequence[str]) -> list[float]:
    """Formation energy of the hull (eV/atom) at each formula's composition."""
    asked = [_fractions(formula) for formula in formulas]
    compositions = [*(entry.composition for entry in hull.entries), *asked]
    elements = sorted({symbol for composition in compositions for symbol in composition})
    energies = np.full(len(compositions), np.inf)
    energies[: len(hull.entries)] = [entry.formation_energy_per_atom for entry in hull.entries]
    return [float(x) for x in Hull(compositions, elements).level(energies)[len(hull.entries) :]]


class Competitors:
    """What phases of a hull would fall into."""

    def __init__(self, hull: HullRecord) -> None:
        """hull: with all that competes."""
        self._entries = hull.entries
        formulas, rows = _by_formula([entry.formula for entry in hull.entries])
        compositions = {entry.formula: entry.composition for entry in hull.entries}
        elements = sorted({symbol for one in compositions.values() for symbol in one})
        self._hull = Hull([compositions[formula] for formula in formulas], elements, rows)
        self._energies = np.array([entry.formation_energy_per_atom for entry in hull.entries])
        self._rows = {entry.record_id: row for row, entry in enumerate(hull.entries)}
        self._of_formula: dict[str, list[int]] = defaultdict(list)
        for row, entry in enumerate(hull.entries):
            self._of_formula[entry.formula].append(row)

    def of(self, record_id: str, same: Collection[str] = ()) -> tuple[list[tuple[HullEntry, float]], float]:
        """What a phase would fall into, with atomic shares, and how far it lies above that, eV/atom.

        Below 0 for a stable phase. Its own higher polymorphs do not compete with it. Raises KeyError where
        the hull has no such entry.

        record_id: of the phase. same: ids of further results of the very crystal, which do not compete with
        it either.
        """
        own = self._rows[record_id]
        energies = self._energies.copy()
        formula = np.array(self._of_formula[self._entries[own].formula])
        energies[formula[self._energies[formula] >= self._energies[own]]] = np.inf
        energies[[self._rows[name] for name in same if name in self._rows]] = np.inf
        products = self._hull.products(energies, own)
        above = float(self._energies[own]) - float(self._hull.level(energies)[own])
        return [(self._entries[row], share) for row, share in products.items()], above
