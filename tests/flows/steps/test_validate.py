"""What the oracle had written stays when a validation fails, and only then; whose phonons are judged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.steps.competing import compete
from niobe.flows.steps.seed import seed_campaign
from niobe.flows.steps.validate import settle, validate_records, validate_slot
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.records import Lineage, Status
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


@pytest.mark.filterwarnings("ignore")  # of monty, ASE and spglib under jobflow's run_locally
@pytest.mark.parametrize("find", [False, True])
def test_phonons_are_judged_of_what_may_be_a_find_and_of_what_may_not(database: Database, find: bool) -> None:
    spec = CampaignSpec.model_validate(
        {
            "id": "phonons",
            "elements": ["Cu"],
            "oracle": {"name": "emt"},
            "prerelax": {"potential": "lj"},
            "phonons": {"min_length": 5.0},
        }
    )
    database.campaigns.create(spec)
    fcc = Structure.from_spacegroup(225, Lattice.cubic(3.6), ["Cu"], [[0, 0, 0]]).get_primitive_structure()
    record = new_record(spec, 0, 0, fcc, Lineage(generator="random"))
    update = {"status": Status.ACQUIRED, "acquired_round": 0}
    database.records.insert([record.model_copy(update=update)])
    validate_records(database, spec, [record.id])
    settle(database, spec, [record.id], [record.id] if find else [])
    judged = database.records.get(record.id)
    assert judged.failure is None
    assert judged.dynamically_stable
    assert (judged.validation is not None and judged.validation.refined is not None) is find
