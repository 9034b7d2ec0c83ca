"""The command ``niobe``. Exit codes: 0 done, 1 the campaign failed, 2 bad input, 130 interrupted."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from config.errors import ConfigError

if TYPE_CHECKING:
    from config.spec import CampaignSpec
    from loop.database import Database
    from loop.records import StructureRecord

app = typer.Typer(
    help="Niobe finds new crystals: generate, screen, acquire, validate with phonons, learn, repeat.",
    epilog="Exit codes: 0 done, 1 the campaign failed, 2 bad input, 130 interrupted (run it again to go on).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)

_PIPED_WIDTH = 160
CampaignFile = Annotated[Path, typer.Argument(help="Campaign file (YAML).")]
CampaignId = Annotated[str, typer.Option("--campaign", "-c", help="Campaign id; the only one if left out.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def main() -> None:
    """Run the command; a user's mistake is one line on stderr and exit code 2."""
    try:
        app()
    except ConfigError as error:
        print(f"niobe: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("\nniobe: interrupted; the same command goes on where it was", file=sys.stderr)
        raise SystemExit(130) from None


@app.command()
def launch(
    file: CampaignFile,
    seed: Annotated[int | None, typer.Option(help="Use this campaign seed instead of the file's.")] = None,
    oracle: Annotated[str | None, typer.Option(help="Use this oracle instead of the file's.")] = None,
    id: Annotated[str | None, typer.Option(help="Run (or fork) under this campaign id.")] = None,
) -> None:
    """Run a campaign to its end, or go on where it was."""
    from config.loading import load_campaign
    from launchers.local import StepFailedError, run_campaign
    from launchers.progress import CampaignProgress
    from launchers.services import campaign_database

    spec = load_campaign(file, seed=seed, oracle__name=oracle, id=id)
    with campaign_database() as database:
        database.create_campaign(spec)
        try:
            with CampaignProgress(database, spec, _console()) as progress:
                reason = run_campaign(database, spec, progress.tick)
        except StepFailedError as error:
            print(f"niobe: {error}", file=sys.stderr)
            raise typer.Exit(1) from None
        _show_end(database, spec, reason)


@app.command()
def check(file: CampaignFile, as_json: AsJson = False) -> None:
    """Validate a campaign file and say what it would cost; nothing is written."""
    from config.loading import load_campaign
    from launchers.estimate import estimate

    spec = load_campaign(file)
    _print_rows([estimate(spec)], as_json, title=f"{file} is a valid campaign")


@app.command()
def status(as_json: AsJson = False) -> None:
    """All campaigns of this database."""
    from launchers.services import campaign_database
    from launchers.tables import status_row

    with campaign_database() as database:
        _print_rows([status_row(database, campaign) for campaign in database.campaigns()], as_json)


@app.command()
def rounds(campaign: CampaignId = "", as_json: AsJson = False) -> None:
    """Rounds of a campaign: counts, rates, failures by cause, and the digest of the chosen batch."""
    from launchers.services import campaign_database
    from launchers.tables import round_row

    with campaign_database() as database:
        found = database.rounds(_one_campaign(database, campaign))
        _print_rows([round_row(record) for record in found], as_json)


@app.command()
def best(
    campaign: CampaignId = "",
    stable: Annotated[bool, typer.Option("--stable", help="Only dynamically stable ones.")] = False,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Validated structures, lowest e_above_hull first."""
    from launchers.services import campaign_database
    from launchers.tables import best_records, record_row

    with campaign_database() as database:
        found = best_records(database, _one_campaign(database, campaign), stable=stable)
        _print_rows([record_row(record) for record in found[:most]], as_json)


@app.command()
def show(
    record: Annotated[str, typer.Argument(help="Structure record id.")], as_json: AsJson = False
) -> None:
    """One structure: lineage from generator checkpoint to verdict."""
    from launchers.services import campaign_database
    from launchers.tables import lineage_rows

    with campaign_database() as database:
        found = database.record(record)
        if as_json:
            print(found.model_dump_json(indent=2))
            return
        _print_rows(lineage_rows(database, found), False, title=f"{found.formula} {found.id}")


@app.command()
def export(
    format: Annotated[str, typer.Argument(help="cif, poscar, json, csv, extxyz or asedb.")],
    to: Annotated[Path, typer.Argument(help="File, or folder for cif and poscar.")],
    campaign: CampaignId = "",
    all: Annotated[
        bool, typer.Option("--all", help="Every validated structure, not only discoveries.")
    ] = False,
) -> None:
    """Write structures of a campaign to files."""
    from launchers.exports import export as write
    from launchers.services import campaign_database

    with campaign_database() as database:
        chosen = _chosen(database, _one_campaign(database, campaign), every=all)
        try:
            print(write(chosen, format, to))
        except ValueError as error:
            raise ConfigError(str(error)) from None


@app.command()
def report(
    to: Annotated[Path, typer.Argument(help="HTML file to write.")] = Path("report.html"),
    campaign: CampaignId = "",
) -> None:
    """Write one HTML file that opens offline: hull per round, discoveries, parity, phonons, structures."""
    from launchers.services import campaign_database

    with campaign_database() as database:
        print(_write_report(database, _one_campaign(database, campaign), to))


@app.command()
def pin(
    record: Annotated[str, typer.Argument(help="Structure record id.")],
    note: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Validate this candidate in the next round, whatever acquisition says."""
    _steer(record, note, pinned=True)


@app.command()
def veto(
    record: Annotated[str, typer.Argument(help="Structure record id.")],
    note: Annotated[str, typer.Option(help="Why.")] = "",
) -> None:
    """Never validate this candidate."""
    _steer(record, note, status="vetoed")


@app.command()
def budget(
    campaign: CampaignId = "",
    rounds: Annotated[int, typer.Option(help="Rounds to add.", min=0)] = 0,
    validations: Annotated[int, typer.Option(help="Validations to add.", min=0)] = 0,
) -> None:
    """Add to the budget of a campaign between rounds; launch it again to spend it."""
    from launchers.services import campaign_database

    with campaign_database() as database:
        name = _one_campaign(database, campaign)
        found = database.campaign(name)
        if found is not None:
            database.update_campaign(
                name,
                extra_rounds=found.extra_rounds + rounds,
                extra_validations=found.extra_validations + validations,
            )


@app.command()
def stop(
    campaign: CampaignId = "", undo: Annotated[bool, typer.Option("--undo", help="Let it go on.")] = False
) -> None:
    """Stop a campaign after the round that is running."""
    from launchers.services import campaign_database

    with campaign_database() as database:
        database.update_campaign(_one_campaign(database, campaign), stop=not undo)


def _steer(record: str, note: str, **fields: Any) -> None:
    from launchers.services import campaign_database

    with campaign_database() as database:
        found = database.record(record)
        if found.status.value != "screened":
            raise ConfigError(f"structure {record!r} is {found.status.value}; allowed: screened candidates")
        database.update_record(record, note=note, **fields)


def _one_campaign(database: Database, campaign: str) -> str:
    """The id given, or the only campaign there is."""
    known = [record.id for record in database.campaigns()]
    if campaign in known:
        return campaign
    if not campaign and len(known) == 1:
        return known[0]
    named = (
        f"{campaign!r} is not in the database" if campaign else "more than one or none there; name it with -c"
    )
    raise ConfigError(f"campaign: {named}; known: {', '.join(known) or 'none'}")


def _chosen(database: Database, campaign: str, *, every: bool) -> list[StructureRecord]:
    if every:
        return database.records(campaign, status="validated")
    return database.records(campaign, verdict__discovery=True)


def _show_end(database: Database, spec: CampaignSpec, reason: str) -> None:
    from config.settings import Settings
    from launchers.exports import export as write
    from launchers.tables import record_row, rediscovery_rows
    from loop.closing import acceleration_line

    console = _console()
    console.print(f"campaign [bold]{spec.id}[/bold] ended: {reason}")
    discoveries = _chosen(database, spec.id, every=False)
    _print_rows([record_row(record) for record in discoveries], False, title="Discoveries")
    if spec.seeds.exclude:
        again = rediscovery_rows(spec, database.records(spec.id))
        _print_rows(again, False, title="Kept out of the seeds, and found again")
    console.print(acceleration_line(database.records(spec.id)))
    folder = Settings().home / "results" / spec.id
    folder.mkdir(parents=True, exist_ok=True)
    console.print(f"report: {_write_report(database, spec.id, folder / 'report.html')}", soft_wrap=True)
    if discoveries:
        console.print(f"structures: {write(discoveries, 'cif', folder / 'cif')}", soft_wrap=True)
    console.print(
        f"table: {write(_chosen(database, spec.id, every=True), 'csv', folder / 'all.csv')}", soft_wrap=True
    )


def _write_report(database: Database, campaign: str, to: Path) -> Path:
    from config.spec import CampaignSpec
    from launchers.pages.report import write_report

    found = database.campaign(campaign)
    if found is None:
        raise ConfigError(f"campaign {campaign!r} is not in the database")
    records = database.records(campaign)
    phonons = [p for p in (database.phonons(r.id) for r in records if r.validation) if p is not None]
    return write_report(
        to,
        spec=CampaignSpec.model_validate(found.spec),
        records=records,
        rounds=database.rounds(campaign),
        hulls=database.hulls(campaign),
        phonons=phonons,
    )


def _console() -> Any:
    from rich.console import Console

    console = Console()
    return console if console.is_terminal else Console(width=_PIPED_WIDTH)


def _print_rows(rows: list[dict[str, Any]], as_json: bool, title: str | None = None) -> None:
    """Rows as a table, or as JSON with --json."""
    if as_json:
        print(json.dumps(rows, indent=2))
        return
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    if not rows:
        _console().print(f"{title or 'nothing'}: none")
        return
    table = Table(title=title, box=SIMPLE_HEAD, title_justify="left")
    for column in rows[0]:
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    _console().print(table)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, dict):
        return ", ".join(f"{key} {count}" for key, count in value.items())
    if isinstance(value, list):
        return "; ".join(map(str, value)) or "–"
    return str(value)
