"""A round's batch: what is chosen for the oracle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from niobe.config.spec import CampaignSpec
from niobe.loop.documents.records import Choice, Status, StructureRecord
from niobe.loop.store.database import Database


def make_batch(
    database: Database,
    spec: CampaignSpec,
    number: int,
    choices: Mapping[str, Choice],
    stands: Sequence[str] = (),
    **fields: Any,
) -> None:
    """Make a batch of what stands in it and what is chosen now; what else was chosen before waits again.

    database: the campaign database. spec: the campaign. number: of the round. choices: by id, in the order of
    the batch. stands: ids that come before them. fields: set with the batch.
    """
    batch = [*stands, *choices]
    database.rounds.update_open(spec.id, number, batch=batch, **fields)
    for record in chosen_before(database, spec, number):
        if record.id not in batch:
            database.records.put_back(record.id, number)
    database.records.choose(number, choices)


def chosen_before(database: Database, spec: CampaignSpec, number: int) -> list[StructureRecord]:
    """What waits for the oracle because it was chosen for this round, by a step that was killed too.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    return database.records.find(spec.id, status=Status.ACQUIRED.value, acquired_round=number)
