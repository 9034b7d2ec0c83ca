"""The campaign's own convex hull, one oracle fingerprint at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import HullEntry, HullRecord

if TYPE_CHECKING:
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram


LOWEST_FORMATION_ENERGY = -5.0
"""eV/atom. No solid is known so low: of 14,590 of Materials Project the lowest, YbF2, has −4.47."""


def build_hull(
    campaign: str, round_number: int, elements: Sequence[str], records: Sequence[StructureRecord]
) -> HullRecord:
    """Hull over all validated records, which must share one oracle. Energies in eV/atom.

    Raises ValueError where two oracles meet, or where an element has no validated reference.
    """
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram

    validated = [record for record in records if record.validation is not None]
    oracle = _only_oracle(validated)
    entries = [PDEntry(_composition(record), _energy(record), name=record.id) for record in validated]
    _require_references(elements, validated)
    diagram = PhaseDiagram(entries)
    return HullRecord(
        campaign=campaign,
        round=round_number,
        oracle=oracle,
        entries=[_entry(record, entry, diagram) for record, entry in zip(validated, entries, strict=True)],
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
    """eV/atom against ``references`` (eV/atom, by element); NaN where one is missing. Any amounts."""
    total = sum(composition.values())
    missing = float("nan")
    return energy_per_atom - sum(
        amount / total * references.get(symbol, missing) for symbol, amount in composition.items()
    )


def _only_oracle(validated: Sequence[StructureRecord]) -> str:
    oracles = {record.validation.oracle for record in validated if record.validation is not None}
    if len(oracles) != 1:
        raise ValueError(f"a hull needs energies of exactly one oracle, got {sorted(oracles)}")
    return oracles.pop()


def _require_references(elements: Sequence[str], validated: Sequence[StructureRecord]) -> None:
    missing = sorted(set(elements) - elemental_energies(validated).keys())
    if missing:
        raise ValueError(f"no validated elemental reference for {', '.join(missing)}; add one to seeds.files")


def _composition(record: StructureRecord) -> dict[str, float]:
    from pymatgen.core import Composition

    return {
        str(element): amount for element, amount in Composition(record.formula).fractional_composition.items()
    }


def _energy(record: StructureRecord) -> float:
    if record.validation is None:
        raise ValueError(f"record {record.id} is not validated")
    return record.validation.energy_per_atom


def _entry(record: StructureRecord, entry: PDEntry, diagram: PhaseDiagram) -> HullEntry:
    return HullEntry(
        record_id=record.id,
        formula=record.formula,
        n_atoms=record.n_atoms,
        composition=_composition(record),
        energy_per_atom=_energy(record),
        formation_energy_per_atom=float(diagram.get_form_energy_per_atom(entry)),
        e_above_hull=max(0.0, float(diagram.get_e_above_hull(entry, allow_negative=True) or 0.0)),
    )


def formation_hull(hull: HullRecord, formulas: Sequence[str]) -> list[float]:
    """Formation energy of the hull (eV/atom) at each formula's composition."""
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition

    diagram = PhaseDiagram(
        [PDEntry(Composition(entry.composition), entry.formation_energy_per_atom) for entry in hull.entries]
    )
    return [
        float(diagram.get_hull_energy_per_atom(Composition(formula).fractional_composition))
        for formula in formulas
    ]


def energy_above(hull: HullRecord, formula: str, energy_per_atom: float) -> float:
    """How far an energy (eV/atom) lies above a stored hull; negative where it lies below."""
    from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
    from pymatgen.core import Composition

    diagram = PhaseDiagram(
        [PDEntry(Composition(entry.composition), entry.energy_per_atom) for entry in hull.entries]
    )
    at_hull = diagram.get_hull_energy_per_atom(Composition(formula).fractional_composition)
    return energy_per_atom - float(at_hull)
