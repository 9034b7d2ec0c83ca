"""What the oracle had written stays when a validation fails, and only then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from niobe.config.spec import CampaignSpec
from niobe.flows.steps.competing import compete
from niobe.flows.steps.seed import seed_campaign
from niobe.flows.steps.validate import validate_slot
from niobe.loop.documents.records import Status
from niobe.loop.store.database import Database


@pytest.mark.filterwarnings("ignore")  # of monty, ASE and spglib under jobflow's run_locally
@pytest.mark.parametrize(("wall_time", "status"), [(1e-9, Status.FAILED), (120.0, Status.VALIDATED)])
def test_files_of_a_failure_are_kept(
    database: Database, tmp_path: Path, wall_time: float, status: Status
) -> None:
    content = {"seeds": {"prototypes": False}, "oracle": {"name": "emt", "wall_time": wall_time}}
    spec = CampaignSpec.model_validate({"id": "kept", "elements": ["Cu"], **content})
    database.campaigns.create(spec)
    seed_campaign(database, spec, database.rounds.open(spec.id, 0))
    database.rounds.update(spec.id, 0, steps__seed=0.1)
    compete(database, spec, database.rounds.get(spec.id, 0))
    batch = database.rounds.get(spec.id, 0).batch
    home = tmp_path / "home"
    left = home / "work" / spec.id / f"{batch[0]}-validate-{os.getpid()}" / "OUTCAR"
    left.parent.mkdir(parents=True)
    left.write_text("what an oracle left", encoding="utf-8")
    validate_slot(database, spec, 0, 0, len(batch))
    record = database.records.get(batch[0])
    assert record.status is status
    assert not left.exists()
    if record.failure is None:
        assert not (home / "failed").exists()
    else:
        assert record.failure.files == f"failed/kept/{record.id}/relax"
        assert (home / record.failure.files / "OUTCAR").read_text(encoding="utf-8") == "what an oracle left"
