"""Launching a campaign under FireWorks: submit what is due and say what runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from niobe.config.spec import CampaignSpec
from niobe.launchers.fireworks.advance import advance
from niobe.launchers.fireworks.healing.torn import remove_torn
from niobe.launchers.fireworks.sweep import rerun_given_up

if TYPE_CHECKING:
    from niobe.loop.store.database import Database


def launch_campaign(launchpad: Any, database: Database, spec: CampaignSpec) -> str:
    """Create the campaign if new, or let it go on; what was done, in words.

    Whoever calls it holds the campaign, where a local launcher or `niobe forget` may.

    launchpad: FireWorks' LaunchPad. database: the campaign database. spec: the campaign.
    Raises ConfigError where a campaign of that id has another spec.
    """
    from niobe.loop.documents.rounds import CampaignState

    record = database.campaigns.create(spec)
    database.mongo["outputs"].create_index("uuid")
    if record.spec.get("launcher") == "local":
        database.campaigns.update(spec.id, **{"spec.launcher": "fireworks"})
    if record.state is not CampaignState.RUNNING and not record.stop:
        database.campaigns.update(spec.id, state=CampaignState.RUNNING, reason="")
    remove_torn(launchpad, spec.id)
    again = rerun_given_up(launchpad, spec.id)
    submitted = advance(launchpad, database, spec.id)
    ended = database.campaigns.create(spec)
    if ended.state is not CampaignState.RUNNING:
        return f"{ended.state}: {ended.reason}"
    tried = f"; {again} jobs that were given up run again" if again else ""
    return f"submitted {', '.join(submitted) or 'already'}{tried}; `niobe rockets N` runs it"
