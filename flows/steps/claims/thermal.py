"""Force constants of what finds compete with at a temperature, once for a whole database."""

from __future__ import annotations

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import Oracle
from niobe.flows.oracles.calculation import phonons as phonons_of
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.known import competitors_elsewhere
from niobe.flows.steps.validate import phonon_slot, work_folder
from niobe.loop.documents.records import Failure, Status, StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.stability.at_temperature import melts, phases_that_count
from niobe.loop.stability.hull import build_hull
from niobe.loop.store.database import Database


def phonons_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Phonons of every ``slots``-th structure from ``slot`` on that the round chose, then force constants as
    ``force_constants_slot`` says.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    phonon_slot(database, spec, number, slot, slots)
    force_constants_slot(database, spec, number, slot, slots)


def force_constants_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Force constants of every ``slots``-th phase from ``slot`` on that counts at the campaign's temperature.

    That is the lowest of each composition within ``hull_tolerance`` of the hull, of this campaign or another,
    unless it is stored; what melts below is left out. Its dynamical verdict stays what it was.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    if not spec.conditions.temperature:
        return
    validated = database.records.find(spec.id, status=Status.VALIDATED.value)
    known = {record.id: record for record in [*validated, *competitors_elsewhere(database, spec)]}
    hull = build_hull(spec.id, number, spec.elements, list(known.values()))
    counting = phases_that_count(hull, spec.hull_tolerance)
    names = sorted(e.record_id for e in counting if not melts(e, spec.conditions.temperature))
    judge = make_oracle(spec.phonon_oracle, spec.conditions.pressure)
    for name in names[slot::slots]:
        phonons = database.phonons.find_one(name)
        if phonons is None or not phonons.phonopy:
            _store(database, spec, judge, known[name])


def _store(database: Database, spec: CampaignSpec, judge: Oracle, record: StructureRecord) -> None:
    """What fails has no force constants, and the hull at the temperature says so."""
    with work_folder(spec, record, "thermal") as folder:
        outcome = phonons_of(spec, judge, relaxed_structure(record), folder)
    if isinstance(outcome, Failure) or not outcome[0].bands:
        return
    database.phonons.store(outcome[0].stored(record.id, record.campaign))
