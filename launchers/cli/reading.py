"""Commands that read the database: tables, one structure, files, the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from niobe.config.errors import ConfigError
from niobe.launchers.cli.shared import (
    AsJson,
    CampaignId,
    chosen_records,
    one_campaign,
    packed_forces,
    print_rows,
    report_of,
)
from niobe.launchers.terminal import console, local_time, say, styled

app = typer.Typer()
_Cell = Literal["relaxed", "primitive", "conventional"]
_FORMATS = "cif, poscar, json, csv, extxyz, asedb, optimade, matbench, phonopy; or bundle: the campaign."


@app.command()
def status(as_json: AsJson = False) -> None:
    """All campaigns of this database."""
    from niobe.launchers.output.tables import status_row
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        print_rows([status_row(database, campaign) for campaign in database.campaigns.find()], as_json)


@app.command()
def rounds(campaign: CampaignId = "", as_json: AsJson = False) -> None:
    """Rounds of a campaign: counts, rates, failures by cause, and the digest of the chosen batch."""
    from niobe.launchers.output.tables import round_row
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        found = database.rounds.find(one_campaign(database, campaign))
    rows = [round_row(record) for record in found]
    if as_json:
        print_rows(rows, as_json)
        return
    for row in rows:
        row["closed at"] = local_time(row["closed at"]) if row["closed at"] else None
    _print_side_by_side(rows)


def _print_side_by_side(rounds: list[dict[str, Any]]) -> None:
    """A column a round, without what none has anything to say of; then their notes."""
    said = [key for key in rounds[0] if any(row[key] for row in rounds)] if rounds else []
    shown = [key for key in said if key not in {"round", "notes"}]
    print_rows([{"round": key} | {str(row["round"]): row[key] for row in rounds} for key in shown], False)
    for row in rounds:
        for note in row["notes"]:
            console().print(f"round {row['round']}: {note}")


@app.command()
def best(
    campaign: CampaignId = "",
    stable: Annotated[bool, typer.Option("--stable", help="Only dynamically stable ones.")] = False,
    most: Annotated[int, typer.Option("--most", "-n", min=1, help="How many.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Validated structures, the highest tier first, then the lowest e_above_hull."""
    from niobe.launchers.output.best import best_records
    from niobe.launchers.output.goals import units
    from niobe.launchers.output.tables import brief_rows, finds_title, record_row
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        shown = best_records(database, one_campaign(database, campaign), stable=stable, most=most)
        properties = units(shown)
        rows = [record_row(r, properties) for r in shown] if as_json else brief_rows(shown, properties)
        print_rows(rows, as_json, title=finds_title(shown))


@app.command()
def hull(campaign: CampaignId = "", as_json: AsJson = False) -> None:
    """What the newest hull was built from, and how well each system under it was searched."""
    from niobe.launchers.output.tables import hull_sources, hull_systems
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        newest = database.hulls.last(one_campaign(database, campaign))
        found = [newest] if newest else []
    rows = [hull_sources(hull) + hull_systems(hull) for hull in found]
    if as_json:
        print_rows([row for part in rows for row in part], as_json)
    for newest in found if not as_json else ():
        print_rows(hull_sources(newest), as_json)
        print_rows(hull_systems(newest), as_json)


@app.command()
def watch(campaign: CampaignId = "") -> None:
    """Follow a campaign that runs elsewhere until it ends; only the database is read."""
    from niobe.config.spec import CampaignSpec
    from niobe.launchers.local.progress import watch as follow
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        name = one_campaign(database, campaign)
        found = database.campaigns.find_one(name)
        spec = CampaignSpec.model_validate(found.spec if found else {})
        said = follow(database, spec, console())
    console().print("campaign", styled(name, "bold"), said)


@app.command()
def rediscoveries(campaign: CampaignId = "", as_json: AsJson = False) -> None:
    """What was kept out of the seeds, and how many oracle calls it took to find it again."""
    from niobe.config.spec import CampaignSpec
    from niobe.launchers.output.tables import rediscovery_rows
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        name = one_campaign(database, campaign)
        found = database.campaigns.find_one(name)
        spec = CampaignSpec.model_validate(found.spec if found else {})
        print_rows(rediscovery_rows(spec, database.records.finished(name)), as_json)


@app.command()
def show(
    record: Annotated[str, typer.Argument(help="Structure record id.")], as_json: AsJson = False
) -> None:
    """One structure: lineage from generator checkpoint to verdict."""
    from niobe.launchers.output.tables import lineage_rows
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        found = database.records.get(record)
        if as_json:
            print(json.dumps(found.model_dump(mode="json"), indent=2))
            return
        print_rows(lineage_rows(database.records.get, found), False, title=f"{found.formula} {found.id}")


@app.command()
def thermo(
    record: Annotated[str, typer.Argument(help="Structure record id.")],
    temperature: Annotated[
        list[float] | None, typer.Option("--temperature", "-t", min=0, max=3000, help="K (repeatable).")
    ] = None,
    quasi_harmonic: Annotated[
        bool, typer.Option("--quasi-harmonic", help="Ask the potential for phonons at seven volumes.")
    ] = False,
    minutes: Annotated[float, typer.Option(min=0.1, help="What that may take.")] = 30.0,
    as_json: AsJson = False,
) -> None:
    """Free energy, entropy and heat capacity at temperatures; with seven volumes thermal expansion too."""
    from niobe.launchers.services import campaign_database
    from niobe.launchers.thermo import harmonic_rows, quasi_harmonic_rows, told_once

    kelvin = sorted(set(temperature or (0.0, 300.0)))
    with campaign_database() as database:
        if quasi_harmonic:
            rows = quasi_harmonic_rows(database, record, kelvin, 60 * minutes)
        else:
            rows = harmonic_rows(database, record, kelvin)
    shown, said = told_once(rows)
    title = f"{'quasi-harmonic' if quasi_harmonic else 'harmonic, at constant volume'}, {said}"
    print_rows(rows if as_json else shown, as_json, title=title)


@app.command()
def export(
    format: Annotated[str, typer.Argument(help=_FORMATS)],
    to: Annotated[Path, typer.Argument(help="File; a folder for cif, poscar, phonopy and bundle.")],
    campaign: CampaignId = "",
    all: Annotated[bool, typer.Option("--all", help="Every validated structure, not only finds.")] = False,
    cell: Annotated[
        _Cell, typer.Option(help="As stored, or the primitive or conventional standard cell.")
    ] = "relaxed",
) -> None:
    """Write structures of a campaign to files."""
    from niobe.launchers.output.bundles import write_bundle
    from niobe.launchers.output.exports import export as write
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        if format == "bundle":
            say(write_bundle(database, one_campaign(database, campaign), to))
            return
        chosen = chosen_records(database, one_campaign(database, campaign), every=all)
        forces: dict[str, str] = {}
        if format == "phonopy":
            forces = packed_forces(database, chosen)
            chosen = [record for record in chosen if record.id in forces]
        try:
            written = write(chosen, format, to, forces, cell=cell)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        count = len(chosen)
    say(f"{count} structures: {written}")


@app.command()
def report(
    to: Annotated[Path, typer.Argument(help="HTML file to write.")] = Path("report.html"),
    campaign: CampaignId = "",
) -> None:
    """Write one HTML file that opens offline: hull per round, discoveries, parity, phonons, structures."""
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        say(report_of(database, one_campaign(database, campaign), to))
