"""Commands by which a person steers a campaign between rounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from niobe.config.errors import ConfigError
from niobe.launchers.cli.shared import CampaignId, one_campaign
from niobe.launchers.terminal import say

if TYPE_CHECKING:
    from niobe.launchers.steering import Action

app = typer.Typer()
_MOST = 1_000_000


@app.command()
def pin(
    record: Annotated[str, typer.Argument(help="Structure record id.")],
    note: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Validate this candidate in the next round, whatever acquisition says."""
    _steer(record, "pin", note)
    say(f"pinned {record}: validated in the next round")


@app.command()
def veto(
    record: Annotated[str, typer.Argument(help="Structure record id.")],
    note: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Never validate this candidate."""
    _steer(record, "veto", note)
    say(f"vetoed {record}: never validated")


@app.command()
def budget(
    campaign: CampaignId = "",
    rounds: Annotated[int, typer.Option(help="Rounds to add.", min=0, max=_MOST)] = 0,
    validations: Annotated[int, typer.Option(help="Validations to add.", min=0, max=_MOST)] = 0,
    oracle_seconds: Annotated[float, typer.Option(help="Oracle seconds to add.", min=0, max=1e9)] = 0.0,
) -> None:
    """Add to the budget of a campaign between rounds; launch it again to spend it."""
    from niobe.launchers.services import campaign_database

    if not (rounds or validations or oracle_seconds):
        raise ConfigError("budget: nothing to add; give --rounds, --validations or --oracle-seconds")
    with campaign_database() as database:
        name = one_campaign(database, campaign)
        found = database.campaigns.find_one(name)
        if found is not None:
            database.campaigns.update(
                name,
                extra_rounds=found.extra_rounds + rounds,
                extra_validations=found.extra_validations + validations,
                extra_oracle_seconds=found.extra_oracle_seconds + oracle_seconds,
            )
    added = f"{rounds} rounds, {validations} validations and {oracle_seconds:g} oracle seconds"
    say(f"{name}: {added} added; launch it again to spend them")


@app.command()
def retry(
    records: Annotated[
        list[str] | None, typer.Argument(help="Structure record ids; all that failed if left out.")
    ] = None,
    campaign: CampaignId = "",
) -> None:
    """Ask the oracle once more for what failed in the round that is open; launch again to do it."""
    from niobe.config.spec import CampaignSpec
    from niobe.flows.steps.batches import ask_again
    from niobe.launchers.local.holding import only_one
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        name = one_campaign(database, campaign)
        found = database.campaigns.find_one(name)
        spec = CampaignSpec.model_validate(found.spec if found else {})
        with only_one(database, name):
            asked = ask_again(database, spec, records or ())
    named = ", ".join(f"{record.formula} {record.id}" for record in asked)
    say(f"{name}: {named} will be asked again; `niobe launch FILE` goes on")


@app.command()
def stop(
    campaign: CampaignId = "", undo: Annotated[bool, typer.Option("--undo", help="Let it go on.")] = False
) -> None:
    """Stop a campaign after the round that is running."""
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        name = one_campaign(database, campaign)
        database.campaigns.update(name, stop=not undo)
    say(f"{name}: {'goes on when launched' if undo else 'stops after the round that is running'}")


def _steer(record: str, action: Action, note: str) -> None:
    from niobe.launchers.services import campaign_database
    from niobe.launchers.steering import steer

    with campaign_database() as database:
        steer(database, record, action, note)
