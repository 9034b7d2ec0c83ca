"""A campaign by `qlaunch` on a real SLURM of one node, one of whose jobs is cancelled mid-validation."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from niobe.launchers.embedded import ensure_server, stop_server
from niobe.loop.documents.records import Status
from niobe.loop.store.database import Database
from tests.end_to_end.test_campaign import NIOBE, campaign_file, environment, niobe
from tests.end_to_end.test_fireworks import SMALL
from tests.system.slurm.cluster import slurm, why_not

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "SLURM runs here"),
]
_DEADLINE_SECONDS = 900.0


@contextmanager
def running(command: list[str], place: Path, env: dict[str, str]) -> Iterator[None]:
    """A command that runs as long as the block."""
    with (place / f"{Path(command[0]).name}.log").open("ab") as output:
        process = subprocess.Popen(command, cwd=place, env=env, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(30)


def quicken(place: Path) -> None:
    """Find lost runs after seconds instead of a minute."""
    file = place / "FW_config.yaml"
    text = file.read_text(encoding="utf-8")
    text = text.replace("PING_TIME_SECS: 10", "PING_TIME_SECS: 2")
    file.write_text(text.replace("RUN_EXPIRATION_SECS: 60", "RUN_EXPIRATION_SECS: 15"), encoding="utf-8")


def cancel_one_validation(database: Database, env: dict[str, str]) -> str:
    """Cancel the SLURM job that runs a validation; the name of its firework."""
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        query = {"state": "RUNNING", "spec.step": "validate", "spec.round": 1}
        firework = database.mongo["fireworks"].find_one(query)
        if firework is not None:
            launch = database.mongo["launches"].find_one({"fw_id": firework["fw_id"], "state": "RUNNING"})
            job = launch and job_in(Path(launch["launch_dir"]))
            if job:
                subprocess.run(["scancel", job], env=env, check=True)
                return str(firework["name"])
        time.sleep(0.02)
    raise TimeoutError("no validation was running")


def job_in(launch: Path) -> str | None:
    """The SLURM job whose folder holds the folder of a launch."""
    outputs = list(launch.parent.glob("niobe-*.out"))
    return outputs[0].stem.removeprefix("niobe-") if outputs else None


def wait_for_end(database: Database) -> Any:
    deadline = time.monotonic() + _DEADLINE_SECONDS
    while time.monotonic() < deadline:
        campaign = database.campaigns.find_one("cu-au")
        if campaign is not None and campaign.state != "running":
            return campaign
        time.sleep(0.5)
    raise TimeoutError("the campaign did not end")


def test_a_cancelled_job_stops_no_campaign(tmp_path: Path) -> None:
    place = tmp_path / "work"
    place.mkdir()
    (tmp_path / "slurm").mkdir()
    tools = Path(sys.executable).parent
    with ExitStack() as stack:
        env = environment(place) | {"SLURM_CONF": str(tmp_path / "slurm" / "slurm.conf")}
        stack.enter_context(slurm(tmp_path / "slurm"))
        niobe(place, "launch", campaign_file(place, **SMALL), "--launcher", "fireworks")
        stack.callback(stop_server, place / "home" / "db")
        niobe(place, "init")
        quicken(place)
        queue = [str(tools / "qlaunch"), "-c", str(place), "rapidfire"]
        stack.enter_context(
            running([*queue, "--nlaunches", "infinite", "-m", "2", "--sleep", "2"], place, env)
        )
        stack.enter_context(running([*NIOBE, "tend", "--every", "2"], place, env))
        database = Database.connect(ensure_server(place / "home" / "db"), "niobe")
        stack.callback(database.close)
        cancelled = cancel_one_validation(database, env)
        assert wait_for_end(database).reason == "all rounds done"
        assert_all_there(database, cancelled)


def assert_all_there(database: Database, cancelled: str) -> None:
    """Every candidate has its outcome, and the cancelled job ran a second time."""
    assert [record.state for record in database.rounds.find("cu-au")] == ["closed", "closed"]
    batch = database.rounds.get("cu-au", 1).batch
    assert len(batch) == 3
    records = [database.records.get(identifier) for identifier in batch]
    # A crystal that comes apart is an outcome too; what a job leaves that was cancelled is not.
    causes = {r.failure.cause if r.failure else r.status for r in records}
    assert causes <= {Status.VALIDATED, "unphysical"}
    firework = database.mongo["fireworks"].find_one({"name": cancelled})
    assert firework is not None
    assert firework["state"] == "COMPLETED"
    assert database.mongo["launches"].count_documents({"fw_id": firework["fw_id"]}) >= 2
