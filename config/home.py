"""Every path below NIOBE_HOME, in one place. All are absolute: workers change their folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from niobe.config.errors import ConfigError
from niobe.config.settings import Settings

Kind = Literal["file", "folder", "socket"]
_KINDS = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFCHR: "device",
    stat.S_IFBLK: "device",
}
_FOLDERS = ("db", "checkpoints", "work", "failed", "results", "sources", "rockets")
_FILES = ("serve.token", "worker.log", "calculators.jsonl")


def home() -> Path:
    """The folder that everything Niobe writes lies in."""
    return resolved(Settings().home.expanduser())


def resolved(path: Path) -> Path:
    """The absolute path without links. ``Path.resolve`` ends at a loop of links, before Python 3.13 by a
    RuntimeError: here whatever opens such a path says so.

    path: of a file or folder, there or not.
    """
    return Path(os.path.realpath(path))


def unlike(path: Path, kind: Kind) -> str:
    """What lies at a path where Niobe has something else, in words: "" where it is that, or nothing is there.

    Nothing is opened: a pipe or a device would hold up who reads it.

    path: to look at. kind: what belongs there.
    """
    try:
        found = _KINDS.get(stat.S_IFMT(path.stat().st_mode), "something unknown")
    except (FileNotFoundError, NotADirectoryError):
        above = (path, *path.parents)
        found = "link to nothing" if any(one.is_symlink() and not one.exists() for one in above) else kind
    except OSError as error:
        found = f"link or path that leads nowhere ({error.strerror})"
    return "" if found == kind else f"{path}: a {found}, where a {kind} belongs"


def misplaced() -> Iterator[str]:
    """What in the home is no file or folder although Niobe has one there, in words."""
    top = Settings().home.expanduser()
    if problem := unlike(top, "folder"):
        yield problem
        return
    expected: list[tuple[Path, Kind]] = [(top / name, "folder") for name in _FOLDERS]
    expected += [(top / name, "file") for name in _FILES]
    expected += [(lock, "file") for lock in sorted(top.glob("*.lock"))]
    yield from (problem for path, kind in expected if (problem := unlike(path, kind)))


def require_places() -> None:
    """Raises ConfigError where something else lies where the home has a file or a folder."""
    for problem in misplaced():
        raise ConfigError(f"{problem}; move it away")


def make_home() -> Path:
    """Make that folder for its owner only, where it is not there; the folder.

    Raises ConfigError where something else lies there, or in place of a file or a folder in it.
    """
    require_places()
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
