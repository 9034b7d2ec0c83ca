"""The LaunchPad: a user's own my_launchpad.yaml, or the campaign database itself."""

from __future__ import annotations

import contextlib
import os
from typing import Any

from niobe.config.settings import Settings, patience
from niobe.launchers.fireworks.healing.shapes import MOST, is_id
from niobe.launchers.services import campaign_database, ensure_database

_SELECTION_MS = 20_000


def open_launchpad(quiet: bool = True) -> Any:
    """The LaunchPad of my_launchpad.yaml where FireWorks finds one, or one in the campaign database.

    What it needs to hand out ids and to find jobs fast is made if missing.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")
    with campaign_database():  # what a newer Niobe wrote is refused before anything is written
        uri = ensure_database()
    from fireworks.fw_config import LAUNCHPAD_LOC

    launchpad_class = _patient_class()
    if LAUNCHPAD_LOC:
        launchpad = launchpad_class.from_file(LAUNCHPAD_LOC)
        launchpad.m_logger.setLevel("WARNING")
    else:
        launchpad = launchpad_class(**connection(uri), strm_lvl="WARNING" if quiet else "INFO")
    prepare(launchpad)
    _renew(launchpad)
    return launchpad


def connection(uri: str) -> dict[str, Any]:
    """How a LaunchPad reaches the campaign database; also the content of my_launchpad.yaml."""
    options = {"serverSelectionTimeoutMS": patience(uri, _SELECTION_MS)}
    return {"host": uri, "name": Settings().database, "uri_mode": True, "mongoclient_kwargs": options}


def _patient_class() -> Any:
    from fireworks import LaunchPad
    from pymongo.errors import PyMongoError

    class PatientLaunchPad(LaunchPad):
        """A ping that finds no database is left out: the next one comes."""

        def ping_launch(self, launch_id: int, ptime: Any = None, checkpoint: Any = None) -> None:
            with contextlib.suppress(PyMongoError):
                super().ping_launch(launch_id, ptime, checkpoint)

        @classmethod
        def from_dict(cls, d: dict[str, Any]) -> Any:
            return cls(**d)

    return PatientLaunchPad


def _renew(launchpad: Any) -> None:
    """Let workflows that an older Niobe submitted go on."""
    from niobe.launchers.fireworks.renewal import has_former, renew

    if has_former(launchpad):
        with campaign_database() as database:
            renew(launchpad, {campaign.id: campaign.spec for campaign in database.campaigns.find()})


def prepare(launchpad: Any) -> None:
    """The counter of ids, beyond all that are in use, and the indexes; never resets what is there, unless it
    counts nothing.

    launchpad: FireWorks' LaunchPad.
    """
    ids = {"fw_id": launchpad.fireworks, "launch_id": launchpad.launches}
    counter = launchpad.fw_id_assigner.find_one({})
    if counter is not None and all(is_id(counter.get(f"next_{name}")) for name in ids):
        return
    if counter is not None:
        launchpad.fw_id_assigner.delete_one(counter)
    launchpad.tuneup(bkground=False)
    launchpad.fireworks.create_index("spec.campaign")
    launchpad.launches.create_index("launch_dir")
    launchpad.launches.create_index("state")
    for field in ("state", "locked", "metadata.campaign", "metadata.submission"):
        launchpad.workflows.create_index(field)
    first = {f"next_{name}": 1 + _highest(collection, name) for name, collection in ids.items()}
    launchpad.fw_id_assigner.update_one({"_id": "ids"}, {"$setOnInsert": first}, upsert=True)


def _highest(collection: Any, name: str) -> int:
    """The highest id in use: the counter alone may be gone."""
    found = collection.find_one({name: {"$gte": 1, "$lt": MOST}}, {name: 1}, sort=[(name, -1)])
    return int(found[name]) if found else 0
