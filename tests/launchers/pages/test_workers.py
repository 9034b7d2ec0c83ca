"""The workers page over what FireWorks itself writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fireworks import Firework, FWAction, FWorker, Workflow

from niobe.launchers.fireworks.pad import open_launchpad
from niobe.launchers.fireworks.tasks import AdvanceTask
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import EVIL, served

LONG_AGO = "2020-01-01T00:00:00"


@pytest.fixture
def launchpad(database: Database) -> Iterator[Any]:
    pad = open_launchpad()
    yield pad
    pad.connection.close()


def job(name: str) -> Firework:
    return Firework([AdvanceTask(campaign="t")], name=name)


def launched(pad: Any, worker: str, folder: Path) -> tuple[int, int]:
    """Ids of the firework that a worker takes, and of its launch."""
    firework, launch = pad.checkout_fw(FWorker(worker), str(folder))
    return firework.fw_id, launch


def test_rockets_fireworks_and_a_lost_run(
    launchpad: Any, database: Database, mongo_uri: str, tmp_path: Path
) -> None:
    first, second = job("relax"), job("close")
    launchpad.add_wf(Workflow([first, second], {first: [second]}, metadata={"campaign": "t"}))
    relax, silent = launched(launchpad, "left", tmp_path)
    last_sign = {"state_history.0.updated_on": LONG_AGO}
    database.mongo["launches"].update_one({"launch_id": silent}, {"$set": last_sign})
    launchpad.add_wf(job("phonons"))
    phonons, failing = launched(launchpad, "right", tmp_path)
    stack = {"_exception": {"_stacktrace": f"RuntimeError: {EVIL}"}}
    launchpad.complete_launch(failing, FWAction(stored_data=stack), "FIZZLED")
    launchpad.add_wf(job("bands"))
    bands, _ = launched(launchpad, "right", tmp_path)
    with served(database, mongo_uri) as address, httpx.Client(base_url=address, timeout=60) as client:
        page = client.get("/workers").text
        waiting = client.get("/workers", params={"fw": second.fw_id}).text
        failed = client.get("/workers", params={"fw": phonons}).text
        assert client.get("/workers", params={"fw": 10_000}).status_code == 404
    rows = [re.sub(r"<[^>]*>", " ", row).split() for row in re.findall(r"<tr>(.*?)</tr>", page)]
    states = {int(row[1]): row[2:4] for row in rows if row and row[0].isdigit() and row[1].isdigit()}
    assert states[relax] == ["lost", "left"]
    assert states[phonons] == ["fizzled", "right"]
    assert states[bands] == ["running", "right"]
    listed = {row[1]: row[2] for row in rows if row and row[0].isdigit() and not row[1].isdigit()}
    assert listed == {"relax": "running", "close": "waiting", "phonons": "fizzled", "bands": "running"}
    assert f'<dt>after</dt><dd><a href="/workers?fw={relax}#firework">{relax}</a>' in waiting
    assert '<a href="/campaigns/t">t</a>' in waiting
    assert "RuntimeError: &lt;script&gt;" in failed
    assert EVIL not in failed
