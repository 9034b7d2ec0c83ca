"""Commands that keep a home and its database in order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from niobe.config.errors import ConfigError
from niobe.launchers.cli.shared import AsJson, print_rows
from niobe.launchers.terminal import console

if TYPE_CHECKING:
    from niobe.launchers.upkeep.finding import Finding
    from niobe.launchers.upkeep.forgetting import Plan

app = typer.Typer()
_MENDED = "mended"


@app.command()
def forget(
    name: Annotated[str, typer.Argument(help="A campaign, a source, or an entry (SOURCE:ID).")],
    kind: Annotated[
        Literal["campaign", "source", "entry"] | None, typer.Option(help="Which, where it is several.")
    ] = None,
    shared: Annotated[
        bool, typer.Option("--shared", help="Of a campaign, also the answers that other campaigns use.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a campaign, a source or an entry, with all that hangs on it; killed, the same again ends it."""
    from niobe.launchers.services import campaign_database
    from niobe.launchers.upkeep.forgetting import forget as run
    from niobe.launchers.upkeep.forgetting import plan

    with campaign_database() as database:
        planned = plan(database, name, kind, shared=shared)
        _say(planned)
        if not yes and not _confirmed(planned):
            console().print("nothing was changed")
            return
        changed = run(database, planned)
    again = f"; {changed} finds have another verdict of novelty now" if changed else ""
    console().print(
        f"{planned.what}: forgotten{again}; `niobe db compact` gives its room back", soft_wrap=True
    )


@app.command()
def doctor(
    repair: Annotated[bool, typer.Option("--repair", help="Mend what can lose nothing by it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Look at home, server, database, FireWorks and folders; exit code 1 where something is left to do."""
    from niobe.launchers.upkeep.doctor import examine

    rows = []
    for found in examine():
        mended = _mended(found) if repair else ""
        rows.append(
            {
                "about": found.about,
                "says": found.says,
                "fine": found.fine or mended == _MENDED,
                "do": found.advice,
                "mended": mended,
            }
        )
        if not as_json:
            _print_finding(found, mended)
    if as_json:
        print_rows(rows, as_json)
    if not all(row["fine"] for row in rows):
        raise typer.Exit(1)


def _mended(found: Finding) -> str:
    """That it was mended, or why it could not be; "" where only a person can."""
    if found.mend is None:
        return ""
    try:
        found.mend()
    except (ConfigError, OSError) as error:
        return f"not mended: {error}"
    return _MENDED


def _print_finding(found: Finding, mended: str) -> None:
    mark = "fine" if found.fine else mended if mended == _MENDED else "LOOK"
    said = f"{mark:6} {found.about}: {found.says}"
    todo = [part for part in (mended or found.advice,) if part and part != _MENDED]
    console().print(" -> ".join([said, *todo]), soft_wrap=True)


def _say(planned: Plan) -> None:
    rows: list[dict[str, Any]] = [
        {"what": what, "goes": count, "stays": planned.stays.get(what, 0)}
        for what, count in planned.goes.items()
        if count or planned.stays.get(what)
    ]
    rows += [{"what": what, "goes": f"{size:.1f} MB", "stays": 0} for what, size in planned.megabytes.items()]
    print_rows(rows, False, title=f"To be forgotten: {planned.what}")
    if any(planned.stays.values()):
        console().print("what stays, other campaigns use; --shared removes it too")
    if planned.named:
        console().print(f"other campaigns name, and so stay: {', '.join(planned.named)}", soft_wrap=True)
    if planned.known:
        console().print(f"{planned.known} finds are told by these entries; what was known stays known")


def _confirmed(planned: Plan) -> bool:
    try:
        return input(f"forget {planned.what}? [y/N] ").strip().lower() in {"y", "yes"}
    except EOFError:
        raise ConfigError(f"forget: no answer; --yes removes {planned.what} without asking") from None
