"""What the commands share: options, the campaign meant, printing rows."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from niobe.config.errors import ConfigError
from niobe.launchers.terminal import console

if TYPE_CHECKING:
    from niobe.config.spec import CampaignSpec
    from niobe.loop.documents.records import StructureRecord
    from niobe.loop.store.database import Database

_NEWEST, _BEST, _SECONDS = 2_000, 300, 60.0
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


def chosen_records(database: Database, campaign: str, *, every: bool) -> Collection[StructureRecord]:
    """Finds of a campaign, discoveries before what was known; ``every``: all that was validated, read anew
    each time one goes through them."""
    if every:
        return database.records.each(campaign, status="validated")
    known = database.records.find(campaign, verdict__rediscovered=True)
    return database.records.find(campaign, verdict__discovery=True) + known


def packed_forces(database: Database, records: Iterable[StructureRecord]) -> dict[str, str]:
    """Displacements and forces of those records that have phonons, by id, as PhononRecord keeps them."""
    found = ((record.id, database.phonons.find_one(record.id)) for record in records)
    return {identifier: phonons.phonopy for identifier, phonons in found if phonons and phonons.phonopy}


def report_of(database: Database, campaign: str, to: Path) -> Path:
    """Write the report of a campaign in a database into the file ``to``.

    Raises ConfigError where there is no such campaign, or ``to`` is a folder.
    """
    from niobe.config.spec import CampaignSpec
    from niobe.launchers.pages.hull_plots import MOST_FRAMES
    from niobe.launchers.pages.report import write_report
    from niobe.loop.campaign.controls import acceleration

    check_no_folder(to)
    found = database.campaigns.find_one(campaign)
    if found is None:
        raise ConfigError(f"campaign {campaign!r} is not in the database")
    spec = CampaignSpec.model_validate(found.spec)
    return write_report(
        to,
        spec=spec,
        records=_reported(database, spec),
        rounds=database.rounds.find(campaign),
        hulls=database.hulls.some(campaign, MOST_FRAMES),
        find_phonons=database.phonons.find_one,
        find=database.records.get,
        total=database.records.count(campaign),
        acceleration=acceleration(database, campaign),
    )


def _reported(database: Database, spec: CampaignSpec) -> list[StructureRecord]:
    """What a report shows of a campaign: finds, what competes, the newest results and the best; all results
    where objectives are shown, or what was kept out is looked for."""
    from niobe.launchers.output.best import best_records
    from niobe.loop.documents.records import Status

    if spec.goals or spec.seeds.exclude:
        return database.records.finished(spec.id)
    newest = database.search.newest(spec.id, limit=_NEWEST, seconds=_SECONDS)
    known = [
        *database.records.light(spec.id, round=0, status=Status.VALIDATED.value),
        *database.records.discovered(spec.id),
        *database.records.find(spec.id, verdict__rediscovered=True),
        *best_records(database, spec.id, stable=True, most=_BEST),
        *newest,
    ]
    return sorted({record.id: record for record in known}.values(), key=lambda r: (r.round, r.index))


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
        return f"{value:z.3f}" if value == 0 or not abs(value) < _SMALL else f"{value:.2g}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "–"
    return str(value)
