"""A campaign, a source or one of its entries, forgotten with all that hangs on it and on nothing else."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from niobe.config.errors import ConfigError
from niobe.launchers.local.holding import only_one
from niobe.launchers.upkeep import folders, workflows
from niobe.loop.store import forgetting as stored

if TYPE_CHECKING:
    from niobe.loop.store.database import Database
    from niobe.loop.store.forgetting import Kept

Kind = Literal["campaign", "source", "entry"]
KINDS: tuple[Kind, ...] = ("campaign", "source", "entry")


@dataclass(frozen=True)
class Plan:
    """What would be forgotten. goes, stays: how many by what they are; megabytes: of folders that go.

    named: folders that stay, as other campaigns name them by path. known: finds whose verdict of novelty
    names an entry that goes.
    """

    kind: Kind
    name: str
    shared: bool = False
    goes: dict[str, int] = field(default_factory=dict)
    stays: dict[str, int] = field(default_factory=dict)
    megabytes: dict[str, float] = field(default_factory=dict)
    named: tuple[str, ...] = ()
    known: int = 0

    @property
    def what(self) -> str:
        """Kind and name, as the database remembers what is being forgotten."""
        return f"{self.kind} {self.name}"


def plan(database: Database, name: str, kind: Kind | None = None, *, shared: bool = False) -> Plan:
    """What forgetting would remove, counted; nothing is changed.

    database: the campaign database. name: a campaign's or a source's, or the id of an entry. kind: which of
    these it is, where it is several. shared: of a campaign, also what others use.
    Raises ConfigError where nothing, or several things, are of that name.
    """
    found = _kind(database, name, kind)
    if found == "campaign":
        return _plan_campaign(database, name, shared=shared)
    entries = _entries(database, found, name)
    pages = {"answers as they came": folders.pages_of(name)} if found == "source" else {}
    sizes = {what: folders.megabytes(folder) for what, folder in pages.items() if folder.is_dir()}
    return Plan(
        found, name, goes={"entries": len(entries)}, megabytes=sizes, known=stored.known_by(database, entries)
    )


def _kind(database: Database, name: str, kind: Kind | None) -> Kind:
    begun = stored.unfinished(database)
    there: dict[Kind, bool] = {
        "campaign": stored.is_campaign(database, name) or _has_left(database, name),
        "source": bool(stored.entry_ids(database, source=name)) or _has_pages(name),
        "entry": bool(stored.entry_ids(database, id=name)),
    }
    found = [one for one in KINDS if one in (kind or KINDS) and (there[one] or f"{one} {name}" in begun)]
    if not found:
        raise ConfigError(
            f"forget: no {kind or 'campaign, source or entry'} {name!r}; `niobe status` names campaigns, "
            "`niobe sources` sources; an entry is SOURCE:ID"
        )
    if len(found) > 1:
        raise ConfigError(f"forget: {name!r} is a {' and a '.join(found)}; say which by --kind")
    return found[0]


def _has_left(database: Database, name: str) -> bool:
    """Whether anything of a campaign that is not there itself is."""
    collections = (*stored.HANGING, "checkpoints")
    documents = any(database.mongo[one].count_documents({"campaign": name}) for one in collections)
    named = {"metadata.campaign": name}
    jobs = any(database.mongo[one].count_documents(named) for one in ("workflows", "outputs"))
    return documents or jobs or (folders.is_name(name) and bool(folders.folders_of(name)))


def _has_pages(name: str) -> bool:
    return folders.is_name(name) and folders.pages_of(name).is_dir()


def _plan_campaign(database: Database, campaign: str, *, shared: bool) -> Plan:
    counts = stored.campaign_counts(database, campaign, _kept(database, campaign, shared=shared))
    goes = {name: going for name, (going, _) in counts.items()}
    goes |= {
        "campaigns": int(stored.is_campaign(database, campaign)),
        "outputs": database.mongo["outputs"].count_documents({"metadata.campaign": campaign}),
    }
    with workflows.launchpad_of(database) as launchpad:
        goes |= workflows.counts(launchpad, campaign) if launchpad else {}
    named = _named(database, campaign, shared=shared)
    there = {what: folder for what, folder in folders.folders_of(campaign).items() if folder not in named}
    sizes = {what: folders.megabytes(folder) for what, folder in there.items()}
    stays = {name: staying for name, (_, staying) in counts.items()}
    names = tuple(map(str, sorted(named)))
    return Plan("campaign", campaign, shared=shared, goes=goes, stays=stays, megabytes=sizes, named=names)


def _kept(database: Database, campaign: str, *, shared: bool) -> Kept:
    return {} if shared else stored.used_elsewhere(database, campaign)


def _named(database: Database, campaign: str, *, shared: bool) -> set[Path]:
    """Folders of a campaign that other campaigns name by path, as a checkpoint or as files of seeds."""
    return set() if shared else folders.named_by(campaign, stored.specs_of_others(database, campaign))


def forget(database: Database, planned: Plan) -> int:
    """Remove what was planned; how many finds have another verdict of novelty then.

    Killed at any instant, the same again ends it. Raises ConfigError where a campaign that needs it runs.

    database: the campaign database. planned: by ``plan``.
    """
    with ExitStack() as held:
        launchpad = held.enter_context(workflows.launchpad_of(database))
        for campaign in _needing(database, planned):
            held.enter_context(idle(database, launchpad, campaign))
        if planned.kind == "campaign":
            _forget_campaign(database, launchpad, planned)
            return 0
        with stored.noted(database, planned.what):
            return _forget_entries(database, planned)


def _needing(database: Database, planned: Plan) -> list[str]:
    """Campaigns that may not run meanwhile: the one itself, or those that read the source."""
    if planned.kind == "campaign":
        return [planned.name]
    return stored.campaigns_reading(database, planned.name.split(":")[0])


@contextmanager
def idle(database: Database, launchpad: Any | None, campaign: str) -> Iterator[None]:
    """Keeps a campaign from running. Raises ConfigError where it runs, on whatever host, or by FireWorks.

    database: the campaign database. launchpad: FireWorks' LaunchPad, or None. campaign: its id.
    """
    with only_one(database, campaign):
        _require_no_worker(launchpad, campaign)
        yield


def _require_no_worker(launchpad: Any | None, campaign: str) -> None:
    from fireworks import fw_config

    from niobe.launchers.fireworks.healing.lost import at_work

    if launchpad and (jobs := at_work(launchpad, campaign)):
        raise ConfigError(
            f"campaign {campaign!r} is running: workers have {len(jobs)} of its jobs; end `niobe rockets`, "
            "and do the same again (where they were killed, once they have been silent for "
            f"{fw_config.RUN_EXPIRATION_SECS:g} s from now)"
        )


def _forget_campaign(database: Database, launchpad: Any | None, planned: Plan) -> None:
    """Whatever refuses it does so before anything is noted or removed."""
    campaign = planned.name
    kept = _kept(database, campaign, shared=planned.shared)
    named = _named(database, campaign, shared=planned.shared)
    with workflows.held_back(launchpad, campaign) if launchpad else nullcontext():
        _require_no_worker(launchpad, campaign)
        with stored.noted(database, planned.what):
            stored.forget_campaign(database, campaign, kept)
            stored.remove(database, "outputs", {"metadata.campaign": campaign})
            if launchpad:
                workflows.remove(launchpad, campaign)
            folders.remove_folders(campaign, kept.get("structures", ()), named)


def _forget_entries(database: Database, planned: Plan) -> int:
    from niobe.loop.novelty.judging import judge_again
    from niobe.loop.sources.ingest import regroup

    stored.forget_entries(database, _entries(database, planned.kind, planned.name))
    regroup(database, database.entries.ungrouped_formulas())
    changed = judge_again(database)
    if planned.kind == "source" and (pages := folders.pages_of(planned.name)).is_dir():
        shutil.rmtree(pages)
    return changed


def _entries(database: Database, kind: Kind, name: str) -> list[str]:
    return stored.entry_ids(database, **{"id" if kind == "entry" else "source": name})
