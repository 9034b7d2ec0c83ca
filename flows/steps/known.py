"""What the campaign knows beyond its own records: what others validated with the same oracle."""

from __future__ import annotations

from collections.abc import Sequence

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import UnknownFingerprintError
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.campaign.seeds import excluded_structures
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Status, StructureRecord, Verdict
from niobe.loop.documents.structures import generated_structure, relaxed_structure
from niobe.loop.stability.hull import build_hull
from niobe.loop.store.database import Database
from niobe.loop.store.shared import validated_elsewhere


def oracle_of(database: Database, spec: CampaignSpec) -> str | None:
    """The fingerprint that the campaign's energies carry or will; None where the oracle answers first."""
    own = database.records.find(spec.id, status=Status.VALIDATED.value, round=0, limit=1)
    validation = own[0].validation if own else None
    if validation:
        return validation.oracle
    try:
        return make_oracle(spec.oracle).fingerprint
    except UnknownFingerprintError:
        return None


def competitors_elsewhere(database: Database, spec: CampaignSpec) -> list[StructureRecord]:
    """What competes in the campaign's hull although another campaign validated it.

    Without what ``seeds.exclude`` holds out, as it began or as it was relaxed.
    """
    oracle = oracle_of(database, spec)
    found = validated_elsewhere(database, spec, oracle) if oracle else []
    excluded = SeenStructures(excluded_structures(spec)) if found else SeenStructures()
    return [
        record
        for record in found
        if all(excluded.find(s) is None for s in (generated_structure(record), relaxed_structure(record)))
    ]


def known_elsewhere(
    database: Database, spec: CampaignSpec, own: Sequence[StructureRecord]
) -> list[StructureRecord]:
    """The same as if the campaign had begun with it: verdicts by its hull, its own potential's answers only.

    own: all records of the campaign.

    database: the campaign database. spec: the campaign.
    """
    found = competitors_elsewhere(database, spec)
    if not found:
        return []
    potentials = {record.prerelaxed.potential for record in own if record.prerelaxed}
    hull = build_hull(spec.id, 0, spec.elements, [*(r for r in own if r.validation), *found])
    entries = {entry.record_id: entry for entry in hull.entries}
    known = []
    for record in found:
        entry, answer = entries[record.id], record.prerelaxed
        verdict = Verdict(
            formation_energy_per_atom=entry.formation_energy_per_atom,
            e_above_hull_found=entry.e_above_hull,
            e_above_hull_now=entry.e_above_hull,
            hull_round=0,
        )
        kept = answer if answer and answer.potential in potentials else None
        update = {"verdict": verdict, "prerelaxed": kept, "round": 0, "acquired_round": 0}
        known.append(record.model_copy(update=update))
    return known


def records_and_known(database: Database, spec: CampaignSpec) -> list[StructureRecord]:
    """All records of the campaign, and what others validated."""
    own = database.records.find(spec.id)
    return [*own, *known_elsewhere(database, spec, own)]
