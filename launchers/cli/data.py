"""Commands that bring data in from elsewhere, restore it, and bring older documents up to date."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from niobe.config.errors import ConfigError
from niobe.config.home import resolved
from niobe.launchers.cli.shared import AsJson, print_rows
from niobe.launchers.terminal import say

if TYPE_CHECKING:
    from niobe.config.spec import Source
    from niobe.loop.sources.ingest import Ingested

app = typer.Typer()


@app.command()
def ingest(
    source: Annotated[
        str, typer.Argument(help="optimade:URL, niobe:URL, oqmd, mp, icsd:PATH, files:PATH, or a path.")
    ],
    name: Annotated[str, typer.Option(help="Name in the database; the file's or kind's if left out.")] = "",
    elements: Annotated[str, typer.Option(help="Elements such as Nb,O: all made of these only.")] = "",
    filter: Annotated[str, typer.Option(help="OPTIMADE filter, instead of elements.")] = "",
    licence: Annotated[str, typer.Option(help="Licence of the data, kept with each entry.")] = "",
    most: Annotated[
        int | None, typer.Option("--most", "-n", min=1, max=2**31, help="Entries at most.")
    ] = None,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask again for what was read before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring structures of an open database or files in; interrupted, the same command goes on."""
    from niobe.launchers.services import campaign_database
    from niobe.launchers.sources import ingest_with_progress, why_nothing

    chosen = _source(source, name=name, filter=filter, licence=licence, most=most)
    symbols = [symbol.strip() for symbol in elements.split(",") if symbol.strip()]
    _check_elements(symbols)
    with campaign_database() as database:
        done = ingest_with_progress(database, chosen, symbols, refresh=refresh)
    for line in done.broken:
        say(f"not read: {line}", error=True)
    problem = f"{done.partial}; the same command goes on" if done.partial else why_nothing(done)
    row = _row(chosen.name, done, complete=not problem)
    print_rows([row], as_json, title=f"{chosen.name}: {chosen.at or chosen.kind}")
    if problem:
        say(f"niobe: {chosen.name} is PARTIAL: {problem}", error=True)
        raise typer.Exit(1)


@app.command()
def sources(as_json: AsJson = False) -> None:
    """What was brought in: entries by source."""
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        counts = database.entries.count_by_source()
    print_rows([{"source": name, "entries": count} for name, count in counts.items()], as_json)


@app.command("import")
def restore(
    bundle: Annotated[Path, typer.Argument(help="Folder that `niobe export bundle` wrote.")],
    name: Annotated[str, typer.Option("--as", help="Name of the campaign here; its own if left out.")] = "",
    as_json: AsJson = False,
) -> None:
    """Restore a campaign from a bundle into this database."""
    from niobe.launchers.output.restoring import read_bundle
    from niobe.launchers.services import campaign_database

    with campaign_database() as database:
        new = read_bundle(database, bundle, name)
    print_rows([{"collection": name, "new": count} for name, count in new.items()], as_json)


def upgrade(as_json: AsJson = False) -> None:
    """Bring documents of an older Niobe to the present schema, and have MongoDB check them."""
    from niobe.launchers.services import campaign_database
    from niobe.loop.store.schema import DOCUMENTS, mongo_schema
    from niobe.loop.store.upgrade import upgrade as run

    with campaign_database() as database:
        done = run(database)
        checked = database.enforce({name: mongo_schema(name) for name in DOCUMENTS})
    for line in done.broken:
        say(f"left as it was: {line}", error=True)
    print_rows([{"collection": name, "upgraded": count} for name, count in done.written.items()], as_json)
    say(f"documents are checked by {'MongoDB and pydantic' if checked else 'pydantic'}", error=True)
    if done.broken:
        raise typer.Exit(1)


@app.command()
def schema(
    collection: Annotated[
        str, typer.Argument(help="structures, entries, or campaign: the campaign file.")
    ] = "structures",
) -> None:
    """Print the JSON schema of the database's documents, or of a campaign file."""
    import json

    from niobe.loop.store.schema import DOCUMENTS, json_schema

    if collection == "campaign":
        print(json.dumps(_campaign_schema(), indent=1))
    elif collection in DOCUMENTS:
        print(json.dumps(json_schema(collection), indent=1))
    else:
        allowed = ", ".join((*DOCUMENTS, "campaign"))
        raise ConfigError(f"collection {collection!r}: no schema; allowed: {allowed}")


def _campaign_schema() -> dict[str, object]:
    from niobe.config.spec import SCHEMA_VERSION, CampaignSpec

    name = f"niobe:campaign:{SCHEMA_VERSION}"
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": name}
    return head | CampaignSpec.model_json_schema()


def _source(text: str, **options: object) -> Source:
    """A Source from ``KIND:AT``, a bare kind, or a path. Raises ConfigError."""
    from typing import get_args

    from pydantic import ValidationError

    from niobe.config.spec import Source, SourceKind

    kind, _, at = text.partition(":")
    if kind not in get_args(SourceKind):
        if not text or not Path(text).exists():
            kinds = ", ".join(get_args(SourceKind))
            raise ConfigError(f"source {text!r}: no such file, and no KIND:AT; kinds: {kinds}")
        kind, at = "files", str(resolved(Path(text)))
    elif at and (kind in {"files", "icsd"} or (kind == "niobe" and "://" not in at)):
        at = str(resolved(Path(at)))
    if options["filter"] and kind == "niobe" and "://" not in at:
        raise ConfigError(f"source {text!r}: filter: a bundle takes none; niobe:URL does")
    given = {key: value for key, value in options.items() if value not in ("", None)}
    defaults = {"name": _plain_name(Path(at).stem if kind == "files" else kind)}
    try:
        return Source.model_validate(defaults | {"kind": kind, "at": at} | given)
    except ValidationError as error:
        raise ConfigError(
            f"source {text!r}: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
        ) from None


def _plain_name(text: str) -> str:
    kept = "".join(letter if letter.isalnum() else "_" for letter in text.lower() if letter.isascii())
    return kept.strip("_")[:32] or "files"


def _check_elements(symbols: list[str]) -> None:
    from niobe.config.elements import ELEMENTS

    unknown = [symbol for symbol in symbols if symbol not in ELEMENTS]
    if unknown:
        raise ConfigError(f"--elements: unknown element {unknown[0]!r}; allowed: symbols H to Pu")


def _row(name: str, done: Ingested, *, complete: bool) -> dict[str, object]:
    return {
        "source": name,
        "new": done.new,
        "changed": done.changed,
        "unchanged": done.unchanged,
        "set aside": done.set_aside,
        "groups": done.groups,
        "not read": len(done.broken),
        "complete": complete,
        "notes": "; ".join(done.notes),
    }
