"""Commands that measure how much faster the loop finds crystals."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from launchers.cli.shared import console, print_rows

bench = typer.Typer(help="Measure how much faster the loop finds crystals.", no_args_is_help=True)
app = typer.Typer()
app.add_typer(bench, name="bench")


@bench.command()
def acceleration(
    files: Annotated[list[Path], typer.Argument(help="Parquet tables whose labels are hidden and revealed.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 20,
    tolerance: Annotated[
        list[float] | None, typer.Option(help="Targets lie this far above the hull, eV/atom (repeatable).")
    ] = None,
    references: Annotated[
        Path | None, typer.Option(help="Elemental energies (JSON) for tables of formation energies.")
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder for the figures and what is finished so far.")] = Path(
        "acceleration"
    ),
) -> None:
    """Replay tables with hidden labels: every arm against random choice, resumable."""
    from flows.replaying import Runs, figures, overall, replay, tables_of, write_json
    from launchers.pages.acceleration import write_page

    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    replays: dict[str, Runs] = {}
    with console().status("reading") as status:

        def tick(doing: str) -> None:
            status.update(f"{doing} · {time.monotonic() - started:.0f} s")

        for file in files:
            for table, plan, arms in tables_of(
                file, to / "runs", tolerances=tolerance or [0.0], references=references, tick=tick
            ):
                replays[table.name] = replay(table, plan, arms, range(seeds), to / "runs", tick)
                rows += figures(table, replays[table.name])
    medians = overall(list(replays.values()))
    content = {"rows": rows, "overall AF 50%": medians, "seconds": round(time.monotonic() - started, 1)}
    write_json(to / "acceleration.json", content)
    curves = {name: {arm: list(runs.values()) for arm, runs in by.items()} for name, by in replays.items()}
    page = write_page(to / "acceleration.html", curves, rows, medians)
    print_rows([{"arm": arm, "AF 50%": factor} for arm, factor in medians.items()], False)
    console().print(f"figures: {to / 'acceleration.json'}\ncurves: {page}", soft_wrap=True)
