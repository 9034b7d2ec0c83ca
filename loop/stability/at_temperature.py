"""What finds compete with at a temperature: Gibbs energies of those phases that have free energies.

A phase without one takes no part, and is named: energies of 0 K and free energies never meet.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from niobe.loop.documents.records import Thermal, Verdict
from niobe.loop.documents.rounds import HullEntry, HullRecord, PhononRecord
from niobe.loop.stability.force_constants import loaded
from niobe.loop.stability.free_energies import ImaginaryModesError, harmonic

_LEAST_SHARE = 1e-6
_MELTING_POINTS = {"P": 852.0}
"""K: of red phosphorus (CRC Handbook); pymatgen has that of the white one, which nothing is compared with."""
_NO_FORCES = "no force constants"
_UNMIXED = "no mixture of phases that have free energies has its composition"


class Vibration(NamedTuple):
    """What vibrations add to a phase: eV/atom, by what oracle's forces; or the reason why that is unknown."""

    free_energy: float | None
    oracle: str = ""
    reason: str = ""


def phases_that_count(hull: HullRecord, tolerance: float) -> list[HullEntry]:
    """The lowest phase of each composition within ``tolerance`` (eV/atom) of the hull of 0 K."""
    lowest: dict[str, HullEntry] = {}
    for entry in sorted(hull.entries, key=lambda e: (e.e_above_hull, e.record_id)):
        if entry.e_above_hull <= tolerance:
            lowest.setdefault(entry.formula, entry)
    return list(lowest.values())


def melts(entry: HullEntry, temperature: float) -> str:
    """Why an element is no solid at a temperature (K) and 0 GPa; "" for what is one, and for compounds."""
    from pymatgen.core import Element

    if len(entry.composition) > 1:
        return ""
    symbol = next(iter(entry.composition))
    point = _MELTING_POINTS.get(symbol) or Element(symbol).melting_point
    return f"melts at {float(point):g} K" if point and float(point) < temperature else ""


def vibration(phonons: PhononRecord | None, temperature: float, why: str = "") -> Vibration:
    """The harmonic free energy at a temperature (K) of stored force constants, if there are any.

    phonons: of the crystal; None where none were computed. why: there are none, where that is known.
    """
    if phonons is None or not phonons.phonopy:
        return Vibration(None, reason=": ".join(filter(None, [_NO_FORCES, why])))
    try:
        found = harmonic(loaded(phonons.phonopy), [temperature])
    except ImaginaryModesError as error:
        return Vibration(None, phonons.oracle, str(error))
    return Vibration(float(found.free_energy[0]), phonons.oracle)


def competing(hull: HullRecord, verdicts: Mapping[str, Verdict], tolerance: float) -> list[HullEntry]:
    """The finds, and the phases of their elements that count, each once; nothing without a find.

    hull: of 0 K. verdicts: by record. tolerance: of the hull, eV/atom.
    """
    finds = _finds(hull, verdicts)
    systems = [set(find.composition) for find in finds]
    counting = [
        entry
        for entry in phases_that_count(hull, tolerance)
        if any(set(entry.composition) <= system for system in systems)
    ]
    return list({entry.record_id: entry for entry in [*finds, *counting]}.values())


def _finds(hull: HullRecord, verdicts: Mapping[str, Verdict]) -> list[HullEntry]:
    return [e for e in hull.entries if e.record_id in verdicts and verdicts[e.record_id].is_find]


def at_temperature(
    hull: HullRecord,
    verdicts: Mapping[str, Verdict],
    temperature: float,
    tolerance: float,
    phonons: Callable[[str], PhononRecord | None],
    failed: Mapping[str, str] | None = None,
) -> dict[str, Verdict]:
    """The verdicts, those of finds with what they are at a temperature (K).

    hull: of 0 K, under the campaign's pressure. tolerance: of the hull, eV/atom. phonons: of a record, by id.
    failed: why records have no force constants, as far as that is known.
    """
    phases, known = competing(hull, verdicts, tolerance), {}
    for entry in phases:
        name, liquid = entry.record_id, melts(entry, temperature)
        why = (failed or {}).get(name, "")
        known[name] = Vibration(None, reason=liquid) if liquid else vibration(phonons(name), temperature, why)
    same_as = {name: verdict.duplicate_of for name, verdict in verdicts.items()}
    given = {}
    for find in _finds(hull, verdicts):
        rivals = [phase for phase in phases if same_as.get(phase.record_id) != find.record_id]
        given[find.record_id] = thermal(find, rivals, known, temperature)
    return {
        name: verdict.model_copy(update={"thermal": given.get(name)}) for name, verdict in verdicts.items()
    }


def thermal(
    own: HullEntry, phases: Sequence[HullEntry], known: Mapping[str, Vibration], temperature: float
) -> Thermal:
    """What a find is at a temperature (K), among the phases of its elements.

    own: of the find. phases: that count, without duplicates of it. known: what vibrations add to them,
    by record id.
    """
    mine = known[own.record_id]
    inside = [p for p in phases if set(p.composition) <= set(own.composition)]
    others = [p for p in inside if p.record_id != own.record_id]
    why = {p.record_id: _why_not(known[p.record_id], mine) for p in others}
    missing = [f"{p.formula} {p.record_id}: {why[p.record_id]}" for p in others if why[p.record_id]]
    said = Thermal(temperature=temperature, oracle=mine.oracle, missing=missing, reason=mine.reason)
    if mine.free_energy is None:
        return said
    gibbs = own.formation_energy_per_atom + mine.free_energy
    rivals = [(p, _gibbs(p, known)) for p in others if not why[p.record_id]]
    found = _decomposition(own, [(p, g) for p, g in rivals if p.formula != own.formula or g < gibbs])
    if found is None:
        return said.model_copy(update={"free_energy": mine.free_energy, "reason": _UNMIXED})
    competing = {"above": gibbs - found[0], "products": found[1]}
    return said.model_copy(update={"free_energy": mine.free_energy} | competing)


def _why_not(phase: Vibration, own: Vibration) -> str:
    """Why a phase takes no part in the competition with a find; "" where it does."""
    if phase.free_energy is None:
        return phase.reason
    if not (phase.oracle and own.oracle):  # of an older Niobe, which did not say
        return "whose force constants they are is unknown"
    return "" if phase.oracle == own.oracle else "force constants of another oracle"


def _gibbs(phase: HullEntry, known: Mapping[str, Vibration]) -> float:
    return phase.formation_energy_per_atom + (known[phase.record_id].free_energy or 0.0)


def _decomposition(
    own: HullEntry, phases: Sequence[tuple[HullEntry, float]]
) -> tuple[float, dict[str, float]] | None:
    """The lowest energy (eV/atom) of a mixture of phases at a composition, and atomic shares by formula.

    None where no mixture has it. ``convex_hull.Hull`` has every element among its phases, at 0 eV/atom; an
    element without a free energy takes no part here. phases: with their energies, eV/atom, against references
    that all share.
    """
    from scipy.optimize import linprog

    if not phases:
        return None
    symbols = sorted(own.composition)
    amounts = np.array([[phase.composition.get(symbol, 0.0) for phase, _ in phases] for symbol in symbols])
    target = [own.composition[symbol] for symbol in symbols]
    found = linprog([energy for _, energy in phases], A_eq=amounts, b_eq=target, method="highs")
    if not found.success:
        return None
    shares = zip(phases, found.x.tolist(), strict=True)
    return float(found.fun), {p.formula: round(share, 6) for (p, _), share in shares if share > _LEAST_SHARE}
