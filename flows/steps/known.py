"""What the campaign knows beyond its own records: what others validated with the same oracle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import UnknownFingerprintError
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.campaign.seeds import excluded_structures
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.structures import generated_structure, relaxed_structure
from niobe.loop.stability.hull import build_hull, judged
from niobe.loop.store.database import Database
from niobe.loop.store.shared import failed_elsewhere, validated_elsewhere


def oracle_of(database: Database, spec: CampaignSpec) -> str | None:
    """The fingerprint that the campaign's energies carry or will; None where the oracle answers first."""
    own = database.records.find(spec.id, status=Status.VALIDATED.value, round=0, limit=1)
    validation = own[0].validation if own else None
    if validation:
        return validation.oracle
    try:
        return make_oracle(spec.oracle, spec.conditions.pressure).fingerprint
    except UnknownFingerprintError:
        return None


def check_same_oracle(database: Database, spec: CampaignSpec) -> None:
    """Raises ConfigError where the campaign's energies are of another oracle than the one that would go on.

    Weights behind a path, and packages, may change between two launches; a hull holds one oracle.

    database: the campaign database. spec: the campaign.
    """
    before = oracle_of(database, spec)
    try:
        now = make_oracle(spec.oracle, spec.conditions.pressure).fingerprint
    except UnknownFingerprintError:
        return
    if before != now:
        raise ConfigError(
            f"oracle: campaign {spec.id!r} was begun with {before}; here it would go on with {now}; "
            "bring that back, or begin under another id"
        )


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
    """The same as if the campaign had begun with it: verdicts by its hull, its own potential's answers only,
    and no value of a goal, which another campaign may have in another unit, from another source.

    own: all records of the campaign.

    database: the campaign database. spec: the campaign.
    """
    found = competitors_elsewhere(database, spec)
    if not found:
        return []
    potentials = {record.prerelaxed.potential for record in own if record.prerelaxed}
    hull = build_hull(spec.id, 0, spec.elements, [*(r for r in own if r.validation), *found])
    known = []
    for record in judged(found, hull):
        answer = record.prerelaxed
        kept = answer if answer and answer.potential in potentials else None
        update: dict[str, Any] = {"prerelaxed": kept, "round": 0, "acquired_round": 0, "properties": {}}
        known.append(record.model_copy(update=update))
    return known


def asked_before(database: Database, spec: CampaignSpec) -> dict[str, str]:
    """Content hash and id of what the same oracle was asked elsewhere, answered or failed.

    database: the campaign database. spec: the campaign.
    """
    oracle = oracle_of(database, spec)
    if oracle is None:
        return {}
    validated = validated_elsewhere(database, spec, oracle)
    return failed_elsewhere(database, spec) | {record.fingerprint: record.id for record in validated}


def records_and_known(database: Database, spec: CampaignSpec) -> list[StructureRecord]:
    """All records of the campaign, and what others validated."""
    own = database.records.find(spec.id)
    return [*own, *known_elsewhere(database, spec, own)]
