"""Checks of what FireWorks holds of campaigns, and of what calculations and workers left on the disk."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niobe.config import home
from niobe.launchers.fireworks.healing.held import held
from niobe.launchers.fireworks.healing.lost import at_work, forget_sightings, sighted_campaigns
from niobe.launchers.fireworks.healing.strays import strays
from niobe.launchers.fireworks.healing.torn import remove_torn, torn
from niobe.launchers.upkeep import folders, workflows
from niobe.launchers.upkeep.finding import REPAIR, Finding
from niobe.launchers.upkeep.forgetting import idle
from niobe.loop.documents.rounds import CampaignState

if TYPE_CHECKING:
    from niobe.loop.store.database import Database

_DAY = 86_400.0
_MOST_FAULTS = 20


def check_workflows(database: Database) -> Iterator[Finding]:
    """Jobs that keep running campaigns from going on; workflows and campaigns without each other.

    database: the campaign database.
    """
    with workflows.launchpad_of(database) as launchpad:
        if launchpad is None:
            yield Finding("FireWorks", "not used here")
            return
        campaigns = {found.id: found for found in database.campaigns.find()}
        live = [name for name, campaign in campaigns.items() if campaign.state is CampaignState.RUNNING]
        found = [problem for name in live for problem in _check_jobs(launchpad, name)]
        for name in workflows.campaigns_of(launchpad) - campaigns.keys():
            found.append(
                Finding(f"workflows of {name}", "there is no such campaign here", f"`niobe forget {name}`")
            )
        for name in sighted_campaigns(launchpad) - campaigns.keys():
            mend = partial(forget_sightings, launchpad, name)
            found.append(Finding(f"sightings of {name}", "there is no such campaign here", REPAIR, mend))
        for name, campaign in campaigns.items():
            runs = campaign.state is CampaignState.RUNNING and campaign.spec.get("launcher") == "fireworks"
            if runs and not workflows.counts(launchpad, name)["fireworks"]:
                gone = "runs by FireWorks and has no jobs there (`lpad reset`?)"
                found.append(Finding(f"campaign {name}", gone, "`niobe launch FILE` submits what is due"))
        for line, move in strays(launchpad):
            found.append(
                Finding("FireWorks", f"{line}; it names no campaign: no worker goes on", REPAIR, move)
            )
        yield from found or [Finding("FireWorks", f"{len(campaigns)} campaigns, no job in trouble")]


def _check_jobs(launchpad: Any, campaign: str) -> Iterator[Finding]:
    about = f"jobs of {campaign}"
    halves = torn(launchpad, campaign)
    mend = partial(remove_torn, launchpad, campaign)
    again = f"{REPAIR}; `niobe tend`, or `niobe rockets`, submits anew what still waits"
    for line in halves.faults[:_MOST_FAULTS]:
        yield Finding(about, f"FireWorks cannot read {line}", again, mend)
    if left := len(halves):
        gone = f"of workflows a part is gone or cannot be read; what has to go: {left} documents"
        yield Finding(about, gone, again, mend)
    for jobs in held(launchpad, campaign):
        yield Finding(about, f"{len(jobs.names)} {jobs.how}: {jobs}", jobs.way)
    running = launchpad.fireworks.count_documents({"spec.campaign": campaign, "state": "RUNNING"})
    lost = running - len(at_work(launchpad, campaign, ("RUNNING",)))
    if lost > 0:
        yield Finding(
            about, f"{lost} whose worker is gone", "`niobe tend`, or `niobe rockets`, runs them again"
        )


def check_folders(database: Database) -> Iterator[Finding]:
    """Folders of campaigns that ended or are not there, and of workers that ended.

    database: the campaign database.
    """
    campaigns = {found.id: found.state for found in database.campaigns.find()}
    for problem in folders.misplaced(campaigns):
        yield Finding("folder", problem, "move it away: what the campaign puts there fails")
    for folder in _inside(home.work("x").parent):
        known = folder.name in campaigns
        if campaigns.get(folder.name) is CampaignState.RUNNING or not folders.is_work(folder):
            continue
        if known or _is_old(folder):
            yield Finding(
                "work folder",
                _size(folder),
                f"its campaign has ended; {REPAIR}",
                partial(_remove_work, database, folder),
            )
    kept = (home.checkpoints("x"), home.failures("x"), home.results("x"))
    for folder in (found for place in kept for found in _inside(place.parent)):
        if folder.name not in campaigns and not database.records.exists(folder.name):
            other = "of no campaign of this database (NIOBE_DATABASE names it)"
            yield Finding(folder.parent.name, f"{_size(folder)}, {other}", f"`niobe forget {folder.name}`")
    yield from _check_rocket_folders(database)


def _check_rocket_folders(database: Database) -> Iterator[Finding]:
    running = set(database.mongo["launches"].distinct("launch_dir", {"state": "RUNNING"}))
    for folder in _inside(home.rocket_folders()):
        if _is_old(folder) and _ended(folder) and str(folder) not in running:
            worker = f"its worker ended; {REPAIR}"
            yield Finding("worker's folder", _size(folder), worker, partial(shutil.rmtree, folder))


def _inside(place: Path) -> list[Path]:
    return sorted(folder for folder in place.iterdir() if folder.is_dir()) if place.is_dir() else []


def _size(folder: Path) -> str:
    return f"{folder}: {folders.megabytes(folder):.1f} MB"


def _remove_work(database: Database, folder: Path) -> None:
    """Raises ConfigError where the campaign runs after all."""
    with workflows.launchpad_of(database) as launchpad, idle(database, launchpad, folder.name):
        shutil.rmtree(folder)


def _is_old(folder: Path) -> bool:
    """Whether nothing in it was written for a day."""
    newest = max((state.st_mtime for state in folders.states(folder)), default=0.0)
    return time.time() - newest > _DAY


def _ended(folder: Path) -> bool:
    """Whether a worker's folder is of rockets of this host that run no more.

    Those of another host that shares the home are for a doctor there.
    """
    process = home.owner_of_rocket_folder(folder)
    if process is None:
        return False
    try:
        os.kill(process, 0)
    except OSError as error:  # another user's process runs
        return isinstance(error, ProcessLookupError)
    return False
