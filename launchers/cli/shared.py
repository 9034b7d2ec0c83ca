"""What the commands share: options, the campaign meant, printing rows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from niobe.config.errors import ConfigError
from niobe.launchers.terminal import console

if TYPE_CHECKING:
    from niobe.loop.documents.records import StructureRecord
    from niobe.loop.store.database import Database

_SMALL = 0.01  # shown with two digits instead of three decimals
CampaignFile = Annotated[Path, typer.Argument(help="Campaign file (YAML).")]
CampaignId = Annotated[str, typer.Option("--campaign", "-c", help="Campaign id; the only one if left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def one_campaign(database: Database, campaign: str) -> str:
    """The id given, or the only campaign there is. Raises ConfigError where that is none."""
    known = [record.id for record in database.campaigns.find()]
    if campaign in known:
        return campaign
    if campaign:
        raise ConfigError(
            f"campaign: {campaign!r} is not in the database; known: {', '.join(known) or 'none'}"
        )
    if not known:
        way = "`niobe new` writes a campaign file, `niobe launch FILE` runs it"
        raise ConfigError(f"no campaign in {_place()} yet; {way}")
    if len(known) > 1:
        raise ConfigError(f"campaign: there are several; name one with -c: {', '.join(known)}")
    return known[0]


def _place() -> str:
    from niobe.config.settings import Settings

    settings = Settings()
    server = "the server of NIOBE_MONGO_URI" if settings.real_mongo else f"NIOBE_HOME {settings.home}"
    return f"database {settings.database!r} of {server}"


def chosen_records(database: Database, campaign: str, *, every: bool) -> list[StructureRecord]:
    """Finds of a campaign, discoveries before what was known; ``every``: all that was validated."""
    if every:
        return database.records.find(campaign, status="validated")
    known = database.records.find(campaign, verdict__rediscovered=True)
    return database.records.find(campaign, verdict__discovery=True) + known


def packed_forces(database: Database, records: Sequence[StructureRecord]) -> dict[str, str]:
    """Displacements and forces of those records that have phonons, by id, as PhononRecord keeps them."""
    found = ((record.id, database.phonons.find_one(record.id)) for record in records)
    return {identifier: phonons.phonopy for identifier, phonons in found if phonons and phonons.phonopy}


def report_of(database: Database, campaign: str, to: Path) -> Path:
    """Write the report of a campaign in a database into the file ``to``.

    Raises ConfigError where there is no such campaign, or ``to`` is a folder.
    """
    from niobe.config.spec import CampaignSpec
    from niobe.launchers.pages.report import write_report
    from niobe.loop.campaign.controls import acceleration

    check_no_folder(to)
    found = database.campaigns.find_one(campaign)
    if found is None:
        raise ConfigError(f"campaign {campaign!r} is not in the database")
    records = database.records.find(campaign)
    phonons = [p for p in (database.phonons.find_one(r.id) for r in records if r.validation) if p is not None]
    return write_report(
        to,
        spec=CampaignSpec.model_validate(found.spec),
        records=records,
        rounds=database.rounds.find(campaign),
        hulls=database.hulls.find(campaign),
        phonons=phonons,
        acceleration=acceleration(database, campaign),
    )


def check_no_folder(to: Path) -> None:
    """Raises ConfigError where a folder stands in a file's place."""
    if to.is_dir():
        raise ConfigError(f"{to}: is a folder; name a file in it")


def print_rows(rows: list[dict[str, Any]], as_json: bool, title: str | None = None) -> None:
    """Rows as a table, or as JSON with --json.

    rows: one dictionary per row. as_json: print JSON. title: above the table.
    """
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    if not rows:
        console().print(f"{title or 'nothing'}: none")
        return
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    for column in rows[0]:
        table.add_column(column, overflow="fold", no_wrap=column == "id")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}" if value == 0 or not abs(value) < _SMALL else f"{value:.2g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "–"
    return str(value)
