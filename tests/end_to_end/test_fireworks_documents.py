"""Whole campaigns while FireWorks' documents are changed under the workers: the same records in the end."""

from __future__ import annotations

import contextlib
import random
import subprocess
import time
from pathlib import Path

import pytest
from pymongo.errors import WriteError

from niobe.loop.store.database import Database
from tests.end_to_end.test_campaign import NIOBE, campaign_file, content, environment, niobe, records
from tests.end_to_end.test_fireworks import SMALL, Local, local, mongo, place, rockets
from tests.launchers.fireworks.test_document_siblings import FIELDS, MISSING, VALUES

__all__ = ["local", "place"]
pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
COMMANDS = [["status"], ["doctor"], ["tend"], ["launch", "c.yaml", "--launcher", "fireworks"]]


def change_one(database: Database, rng: random.Random) -> str:
    """Put a value of another type into a document that is not over; what was changed."""
    where = rng.choice(list(FIELDS))
    field, value = rng.choice(FIELDS[where]), rng.choice(list(VALUES))
    found = list(database.mongo[where].find({"state": {"$ne": "COMPLETED"}}, {"_id": 1}))
    if found:
        given = VALUES[value]
        change = {"$unset": {field: ""}} if given is MISSING else {"$set": {field: given}}
        with contextlib.suppress(WriteError):  # below what is no document
            database.mongo[where].update_one({"_id": rng.choice(found)["_id"]}, change)
    return f"{where} {field}: {value}"


def say_one(place: Path, command: list[str]) -> None:
    """A command meanwhile: one line for what is wrong, and no traceback."""
    done = subprocess.run(
        [*NIOBE, *command], capture_output=True, text=True, timeout=250, cwd=place, env=environment(place)
    )
    assert done.returncode in {0, 1, 2} and "Traceback" not in done.stderr + done.stdout, done.stderr


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(3))
def test_a_campaign_whose_documents_are_changed_ends_as_undisturbed(
    place: Path, local: Local, seed: int
) -> None:
    rng = random.Random(seed)
    changed: list[str] = []
    niobe(place, "launch", campaign_file(place, **SMALL), "--launcher", "fireworks")
    process, until = rockets(place, 2), time.monotonic() + 900
    database = mongo(place)
    try:
        while process.poll() is None and time.monotonic() < until:
            if len(changed) < 60:
                changed.append(change_one(database, rng))
            if len(changed) % 7 == 3:
                say_one(place, rng.choice(COMMANDS))
            time.sleep(rng.uniform(0.3, 2.0))
    finally:
        database.close()
        process.terminate()
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0 and "every campaign has ended" in said, (said, changed)
    assert "Traceback" not in said, (said, changed)
    assert [content(record) for record in records(place)] == local.contents(SMALL), changed
