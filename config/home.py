"""Every path below NIOBE_HOME, in one place. All are absolute: workers change their folder."""

from __future__ import annotations

import os
from pathlib import Path

from niobe.config.settings import Settings


def home() -> Path:
    """The folder that everything Niobe writes lies in."""
    return resolved(Settings().home.expanduser())


def resolved(path: Path) -> Path:
    """The absolute path without links. ``Path.resolve`` ends at a loop of links, before Python 3.13 by a
    RuntimeError: here whatever opens such a path says so.

    path: of a file or folder, there or not.
    """
    return Path(os.path.realpath(path))


def make_home() -> Path:
    """Make that folder for its owner only, where it is not there; the folder."""
    folder = home()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def database_folder() -> Path:
    """The embedded database."""
    return home() / "db"


def checkpoints(campaign: str) -> Path:
    """The checkpoints of a campaign's models, a folder a round."""
    return home() / "checkpoints" / campaign


def checkpoint(campaign: str, number: int, model: str) -> Path:
    """Where a round keeps the checkpoint of a model: ``surrogate`` or ``gan``.

    campaign: its id. number: of the round.
    """
    return checkpoints(campaign) / f"round-{number}" / model


def work(campaign: str) -> Path:
    """All files of a campaign's running calculations."""
    return home() / "work" / campaign


def failures(campaign: str) -> Path:
    """What an oracle left of a campaign's failed calculations, a folder a structure."""
    return home() / "failed" / campaign


def kept_files(campaign: str, record: str, step: str) -> Path:
    """What an oracle left of a failed calculation, relative to ``home()``, as records name it.

    campaign: its id. record: its id. step: of the calculation.
    """
    return Path("failed") / campaign / record / step


def results(campaign: str) -> Path:
    """Report, structures and table that a campaign writes at its end."""
    return home() / "results" / campaign


def source_pages() -> Path:
    """Pages of open databases as they were answered, a folder a source."""
    return home() / "sources"


def rocket_folders() -> Path:
    """The folders that FireWorks workers launch in."""
    return home() / "rockets"


def rocket_folder(slot: int) -> Path:
    """The folder of one of this process's workers, named after host, process and slot.

    slot: number of the worker.
    """
    return rocket_folders() / f"{os.uname().nodename}-{os.getpid()}-{slot}"


def owner_of_rocket_folder(folder: Path) -> int | None:
    """The process that ``rocket_folder`` made it for; None where it was another host's.

    An older Niobe named no host: its folders are taken for this host's.

    folder: a worker's.
    """
    host, _, process = folder.name.rpartition("-")[0].rpartition("-")
    return int(process) if host in {os.uname().nodename, ""} and process.isdecimal() else None


def page_token() -> Path:
    """The token of the pages that run now."""
    return home() / "serve.token"


def worker_log() -> Path:
    """What worker processes of the local launcher print."""
    return home() / "worker.log"


def campaign_lock(campaign: str) -> Path:
    """Held by the process that runs a campaign here."""
    return home() / f"{campaign}.lock"


def trusted_calculators() -> Path:
    """The ASE calculators that campaign files launched here have named, a line of JSON each."""
    return home() / "calculators.jsonl"
