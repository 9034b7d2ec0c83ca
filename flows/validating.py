"""Validation steps: ask the oracle, store what it answered, close the round."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from config.settings import Settings
from config.spec import CampaignSpec
from flows.oracles.registry import make_oracle
from flows.validation import add_phonons, validate_structure
from loop import closing
from loop.closing import round_metrics
from loop.database import Database
from loop.hull import build_hull
from loop.phonons import Dynamics
from loop.records import Failure, Status, StructureRecord
from loop.rounds import PhononRecord, RoundRecord


class QuorumError(RuntimeError):
    """Too few validations of the round have finished for it to close."""


def validate_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Validate every ``slots``-th candidate of the batch from ``slot`` on, unless its outcome is stored."""
    from pymatgen.core import Structure

    oracle = make_oracle(spec.oracle)
    hulls = database.hulls(spec.id) if number > 0 else []
    hull = max((h for h in hulls if h.round < number), key=lambda h: h.round, default=None)
    for record in _unfinished(database, database.round(spec.id, number).batch[slot::slots]):
        folder = work_folder(spec, record)
        outcome = validate_structure(spec, oracle, Structure.from_dict(record.structure), hull, folder)
        _store(database, record, outcome)
        shutil.rmtree(folder, ignore_errors=True)


def phonon_slot(database: Database, spec: CampaignSpec, slot: int, slots: int) -> None:
    """Phonons of every ``slots``-th seed near the hull of all seeds, unless stored."""
    oracle = make_oracle(spec.oracle)
    batch = database.round(spec.id, 0).batch
    seeds = [database.record(identifier) for identifier in batch]
    hull = build_hull(spec.id, 0, spec.elements, seeds)
    for record in seeds[slot::slots]:
        if record.validation is None or record.validation.phonon.reason != "phonons not run: no hull yet":
            continue
        folder = work_folder(spec, record)
        validation, result = add_phonons(spec, oracle, record.validation, hull, folder)
        _store_phonons(database, record, result)
        database.update_record(record.id, validation=validation)
        shutil.rmtree(folder, ignore_errors=True)


def work_folder(spec: CampaignSpec, record: StructureRecord) -> Path:
    """Where the oracle's files of one validation lie while it runs."""
    return Settings().home.resolve() / "work" / spec.id / record.id


def _unfinished(database: Database, batch: Sequence[str]) -> list[StructureRecord]:
    records = [database.record(identifier) for identifier in batch]
    return [record for record in records if record.status is Status.ACQUIRED]


def _store(
    database: Database, record: StructureRecord, outcome: tuple[Any, Dynamics | None] | Failure
) -> None:
    if isinstance(outcome, Failure):
        database.finish_validation(record.id, status=Status.FAILED, failure=outcome)
        return
    validation, result = outcome
    _store_phonons(database, record, result)
    database.finish_validation(record.id, status=Status.VALIDATED, validation=validation)


def _store_phonons(database: Database, record: StructureRecord, result: Dynamics | None) -> None:
    if result is not None and result.bands:
        database.store_phonons(
            PhononRecord(record_id=record.id, campaign=record.campaign, modes=result.modes, **result.bands)
        )


def close_round(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Store the hull, verdicts and metrics of a round. Raises QuorumError where too few have finished."""
    records = database.records(spec.id)
    _require_quorum(spec, round_record, records)
    hull, verdicts = closing.close_round(spec, round_record.number, records)
    for identifier, verdict in verdicts.items():
        database.update_record(identifier, verdict=verdict)
    database.store_hull(hull)
    _store_metrics(database, spec, round_record.number)


def _require_quorum(
    spec: CampaignSpec, round_record: RoundRecord, records: Sequence[StructureRecord]
) -> None:
    batch = [record for record in records if record.acquired_round == round_record.number]
    done = sum(record.status in {Status.VALIDATED, Status.FAILED} for record in batch)
    if done < spec.quorum * len(batch):
        raise QuorumError(f"{done} of {len(batch)} validations finished; quorum {spec.quorum}")


def _store_metrics(database: Database, spec: CampaignSpec, number: int) -> None:
    round_record = database.round(spec.id, number)
    metrics = round_metrics(spec, round_record, database.records(spec.id))
    database.update_round(spec.id, number, metrics=metrics, state="closed")
