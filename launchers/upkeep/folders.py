"""Folders of NIOBE_HOME that belong to a campaign or a source: how large they are, and their removal."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from niobe.config.errors import ConfigError
from niobe.config.home import (
    campaign_lock,
    checkpoints,
    failures,
    resolved,
    results,
    source_pages,
    unlike,
    work,
)
from niobe.config.spec import CAMPAIGN_ID


def folders_of(campaign: str) -> dict[str, Path]:
    """Those of a campaign that are there, by what they hold.

    campaign: its id. Raises ConfigError where that is no name.
    """
    _check_name(campaign)
    return {name: folder for name, folder in _every(campaign).items() if folder.is_dir()}


def misplaced(campaigns: Iterable[str]) -> Iterator[str]:
    """What is no folder although campaigns have one there, in words.

    campaigns: their ids.
    """
    for campaign in filter(is_name, campaigns):
        for folder in _every(campaign).values():
            if problem := unlike(folder, "folder"):
                yield problem


def _every(campaign: str) -> dict[str, Path]:
    return {
        "checkpoints": checkpoints(campaign),
        "work folders": work(campaign),
        "files of failures": failures(campaign),
        "results": results(campaign),
    }


def pages_of(source: str) -> Path:
    """The folder that a source's answers are kept in, there or not.

    source: its name. Raises ConfigError where that is none.
    """
    _check_name(source)
    return source_pages() / source


def megabytes(folder: Path) -> float:
    """Size of all files in it, MB (10⁶ bytes); links are not followed.

    folder: there or not.
    """
    return sum(state.st_size for state in states(folder) if stat.S_ISREG(state.st_mode)) / 1e6


def states(folder: Path) -> Iterator[os.stat_result]:
    """What the system says of a folder and all in it; links are not followed, and what goes away meanwhile,
    as a worker that runs removes it, is passed over.

    folder: there or not.
    """
    for place, inside, files in os.walk(folder):
        for name in (".", *inside, *files):
            with contextlib.suppress(FileNotFoundError):
                yield (Path(place) / name).lstat()


def is_work(folder: Path) -> bool:
    """Whether a folder holds nothing but calculations of Niobe's, links aside: another's files are not ours
    to remove where the home, or a link in it, is a folder with other things.

    folder: one that is there.
    """
    return is_name(folder.name) and not folder.is_symlink() and all(map(_is_calculation, folder.iterdir()))


def _is_calculation(path: Path) -> bool:
    return re.fullmatch(r"soft_modes-\d+|[0-9a-f]{16}-[a-z][a-z0-9_-]*", path.name) is not None


def named_by(campaign: str, values: object) -> set[Path]:
    """A campaign's folders that hold a path which is named somewhere.

    campaign: its id. values: where to look: texts, and lists and mappings of such at any depth.
    """
    if isinstance(values, Mapping):
        values = list(values.values())
    if isinstance(values, list):
        return {folder for value in values for folder in named_by(campaign, value)}
    if not isinstance(values, str) or not values.startswith(("/", "~")):
        return set()
    path = resolved(Path(values).expanduser())
    return {folder for folder in folders_of(campaign).values() if path.is_relative_to(folder)}


def remove_folders(campaign: str, kept: Collection[str] = (), named: Collection[Path] = ()) -> None:
    """Remove a campaign's folders and its lock; the files of structures that stay are left.

    campaign: its id. kept: ids of structures. named: folders that stay.
    """
    for folder in folders_of(campaign).values():
        inside = {part.name for part in folder.iterdir()}
        if folder == failures(campaign) and inside & set(kept):
            for name in inside - set(kept):
                shutil.rmtree(folder / name)
        elif folder not in named:
            shutil.rmtree(folder)
    campaign_lock(campaign).unlink(missing_ok=True)


def is_name(name: str) -> bool:
    """Whether it can be a campaign's or a source's: it is part of a path, and may lead nowhere else.

    name: to look at.
    """
    return re.fullmatch(CAMPAIGN_ID, name) is not None


def _check_name(name: str) -> None:
    if not is_name(name):
        raise ConfigError(f"{name[:80]!r}: no name of a campaign or source (a-z, 0-9, dot, hyphen and _)")
