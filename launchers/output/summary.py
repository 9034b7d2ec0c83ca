"""A structure record as one flat row, for tables and files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from niobe.launchers.output.goals import figures
from niobe.launchers.terminal import shown
from niobe.loop.crystals.similarity import spacegroup_symbol
from niobe.loop.documents.records import StructureRecord, Verdict
from niobe.loop.documents.tiers import by_dft, phase_by, tier_text

_FORMULA = {"=", "+", "-", "@"}


def in_a_line(value: Any) -> Any:
    """A value of a row as files of text take it: words in one line, of letters that can be printed."""
    return shown(" ".join(value.split())) if isinstance(value, str) else value


def as_cell(value: Any) -> Any:
    """A value of a row as spreadsheets take it: words that they would compute stand behind an apostrophe."""
    word = in_a_line(value)
    return f"'{word}" if isinstance(word, str) and word[:1] in _FORMULA else word


def summary(record: StructureRecord, properties: Iterable[str] = ()) -> dict[str, Any]:
    """The figures of a record in one flat row; frequency in THz.

    Energies in eV/atom; under a ``pressure`` (GPa) they are enthalpies. properties: names of those that have
    columns, with their units.
    """
    validation, verdict = record.validation, record.verdict
    novelty = verdict.novelty if verdict else None
    return {
        "id": record.id,
        "formula": record.formula,
        "tier": tier_text(record) or None,
        "novelty": novelty.kind.value if novelty else None,
        "novelty_of": (novelty.of or None) if novelty else None,
        "round": record.round,
        "generator": record.lineage.generator,
        "status": record.status.value,
        "spacegroup": record.group,
        "spacegroup_symbol": spacegroup_symbol(record.group),
        "n_atoms": record.n_atoms,
        "oracle": validation.oracle if validation else None,
        **_refinement(record),
        "pressure": validation.pressure if validation else None,
        "energy_per_atom": validation.energy_per_atom if validation else None,
        "formation_energy_per_atom": verdict.formation_energy_per_atom if verdict else None,
        "e_above_hull": verdict.e_above_hull_now if verdict else None,
        "phase": verdict.phase if verdict else None,
        "e_above_hull_error": verdict.error if verdict else None,
        "above_products": verdict.above_products if verdict else None,
        "products": " + ".join(f"{p.share:.3f} {p.formula}" for p in verdict.products) if verdict else None,
        **thermal_columns(verdict),
        "challenge": _challenge(record),
        "opinions_agreeing": verdict.opinions_agreeing if verdict else None,
        "opinions_asked": verdict.opinions_asked if verdict else None,
        "spread": verdict.spread if verdict else None,
        **dft_columns(record),
        "dynamics": validation.phonon.outcome.value if validation else None,
        "lowest_phonon_frequency": validation.phonon.lowest_frequency if validation else None,
        "double_well_depth": _well_depth(record),
        "discovery": verdict.discovery if verdict else False,
        "rediscovered": verdict.rediscovered if verdict else False,
        "flags": ("; ".join(novelty.flags) or None) if novelty else None,
        **figures(record, properties),
    }


def dft_columns(record: StructureRecord) -> dict[str, Any]:
    """What DFT says of a find, on a hull of its own, eV/atom; no part of the campaign's hull.

    record: of a find; of any other all is None.
    """
    found = by_dft(record)
    return {
        "dft_oracle": found.fingerprint if found else None,
        "dft_e_above_hull": found.e_above_hull if found else None,
        "dft_above_products": found.above_products if found else None,
        "dft_phase": phase_by(found) if found else None,
    }


def thermal_columns(verdict: Verdict | None) -> dict[str, Any]:
    """What a find is at a temperature (K), by the forces of what oracle; energies in eV/atom.

    verdict: of a record; None without one.
    """
    found = verdict.thermal if verdict else None
    return {
        "temperature": found.temperature if found else None,
        "thermal_oracle": (found.oracle or None) if found else None,
        "vibrational_free_energy": found.free_energy if found else None,
        "gibbs_above_products": found.above if found else None,
    }


def _challenge(record: StructureRecord) -> str | None:
    """What became of a find that was challenged: ``survived``, ``survived in part``, or why it fell."""
    if record.challenge is None:
        return None
    if not record.challenge.survived:
        return f"fell: {record.challenge.reason}"
    return "survived in part" if record.challenge.cut_short else "survived"


def _well_depth(record: StructureRecord) -> float | None:
    """What an unstable crystal gains along its softest mode, eV/atom."""
    well = record.validation.phonon.well if record.validation else None
    return well.depth if well else None


def _refinement(record: StructureRecord) -> dict[str, Any]:
    """How its symmetry was found (tolerance in Å), its prototype, and the stress beyond the pressure, GPa."""
    validation = record.validation
    refined = validation.refined if validation else None
    novelty = record.verdict.novelty if record.verdict else None
    prototypes = [found.prototype for found in (refined, novelty) if found and found.prototype]
    return {
        "symprec": refined.symprec if refined else None,
        "prototype": next(iter(prototypes), None),
        "mineral": (refined.mineral or None) if refined else None,
        "max_stress": validation.max_stress if validation else None,
    }
