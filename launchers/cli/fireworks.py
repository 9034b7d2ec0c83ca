"""Commands of the FireWorks launcher: configuration files, rockets, the sweep."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated

import typer

from niobe.launchers.cli.shared import AsJson, print_rows
from niobe.launchers.terminal import console, say

app = typer.Typer()


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(help="Folder for the files.")] = Path(),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files without asking.")] = False,
) -> None:
    """Write FireWorks' and jobflow's configuration files for this database; existing ones stay."""
    from niobe.launchers.fireworks.files import existing, write_files

    there = existing(folder)
    if there and not overwrite and sys.stdin.isatty():
        overwrite = typer.confirm(f"{folder}: replace {', '.join(there)}?")
    for name, written in write_files(folder, overwrite=overwrite).items():
        say(f"{folder / name}: {'written' if written else 'kept as it was'}")


@app.command()
def rockets(
    count: Annotated[int, typer.Argument(min=1, max=256, help="How many worker processes.")] = 1,
    forever: Annotated[bool, typer.Option("--forever", help="Wait for work when there is none.")] = False,
) -> None:
    """Run submitted campaigns with worker processes, until none has work left."""
    from niobe.launchers.fireworks.display import RocketDisplay
    from niobe.launchers.fireworks.rockets import fly_rockets

    with RocketDisplay(console()) as display:
        said, well = fly_rockets(count, display.show, forever=forever)
    console().print(said, soft_wrap=True)
    if not well:
        raise typer.Exit(1)


@app.command()
def tend(
    every: Annotated[float, typer.Option(help="Sweep again after so many seconds; 0: once.", min=0)] = 0,
    as_json: AsJson = False,
) -> None:
    """Find lost runs, rerun or give up what fizzled, release locks, submit what is due."""
    from niobe.launchers.fireworks.files import use_settings
    from niobe.launchers.fireworks.pad import open_launchpad
    from niobe.launchers.fireworks.sweep import sweep
    from niobe.launchers.services import campaign_database

    use_settings()
    launchpad = open_launchpad()
    while True:
        with campaign_database() as database:
            done = sweep(launchpad, database)
        print_rows([{"done": kind, "count": count} for kind, count in done.items()], as_json, title="sweep")
        if not every:
            return
        time.sleep(every)
