"""Commands that measure how much faster the loop finds crystals."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from niobe.launchers.cli.shared import CampaignFile, print_rows
from niobe.launchers.terminal import console, say, styled

if TYPE_CHECKING:
    from niobe.loop.benchmark.replaying import Runs

bench = typer.Typer(help="Measure how much faster the loop finds crystals.", no_args_is_help=True)
app = typer.Typer()
Preset = Literal["short", "full"]
app.add_typer(bench, name="bench")
_AF = (
    "AF is how many times fewer calls a setting needed than the first setting to find the given "
    "share of what that "
    "found in all"
)
_REPLAY = (
    "Targets found against oracle calls; the band holds 90 % of the seeds. "
    f"{_AF}; median over seeds, 90 % bootstrap interval."
)
_GENERATIVE = (
    "Crystals found against oracle calls: stable on the hull that all settings make together, "
    "unique in a run "
    "and in no seed; the band holds 90 % of the runs. mSUN is their number over that of calls, AUDC the area "
    f"under the curve over that of a search that always hits. {_AF}; means over seeds, 90 % intervals."
)
_SYSTEMS = (
    "Unique finds against oracle calls: within 0.1 eV/atom of the hull of all that any arm validated and of "
    "what is known, by the oracle of campaigns, no seed and no earlier find of the run; the band holds "
    "90 % of the runs."
)
_OF_SYSTEMS = (
    *("system", "protocol", "arm", "runs", "calls", "finds, ε 0", "finds, ε 0.02", "finds, ε 0.1"),
    *("mSUN", "AUDC", "AF 50%", "known found", "known", "minutes", "finds an hour"),
    *("finds in equal time", "Niobe's by then", "finds in equal evaluations", "Niobe's in as many"),
)
_BRIEF = ("setting", "runs", "mSUN", "AUDC", "AF 50%", "effect on mSUN")


@bench.command()
def acceleration(
    files: Annotated[list[Path], typer.Argument(help="Parquet tables whose labels are hidden and revealed.")],
    seeds: Annotated[int, typer.Option(min=1, help="How many seeds.")] = 20,
    tolerance: Annotated[
        list[float] | None, typer.Option(help="Targets lie this far above the hull, eV/atom (repeatable).")
    ] = None,
    setting: Annotated[
        list[str] | None, typer.Option(help="A setting by name (repeatable), beside random choice.")
    ] = None,
    references: Annotated[
        Path | None, typer.Option(help="Elemental energies (JSON) for tables of formation energies.")
    ] = None,
    to: Annotated[Path, typer.Option(help="Folder for the figures and what is finished so far.")] = Path(
        "acceleration"
    ),
) -> None:
    """Replay tables with hidden labels: every setting against random choice, resumable."""
    started = time.monotonic()
    with console().status("reading") as status:
        rows, replays = _replayed(
            files,
            to / "runs",
            tolerances=tolerance or [0.0],
            references=references,
            names=setting,
            seeds=seeds,
            tick=lambda doing: status.update(styled(f"{doing} · {time.monotonic() - started:.0f} s", "")),
        )
    _write_replays(to, rows, replays, round(time.monotonic() - started, 1))


def _replayed(
    files: Sequence[Path],
    scratch: Path,
    *,
    tolerances: Sequence[float],
    references: Path | None,
    names: Sequence[str] | None,
    seeds: int,
    tick: Callable[[str], None],
) -> tuple[list[dict[str, Any]], dict[str, Runs]]:
    """Figures, one row a table and setting, and hits by table."""
    from niobe.loop.benchmark.replaying import chosen_settings, figures, replay, tables_of

    rows: list[dict[str, Any]] = []
    replays: dict[str, Runs] = {}
    for file in files:
        found = tables_of(file, scratch, tolerances=tolerances, references=references, tick=tick)
        for table, plan, settings in found:
            asked = chosen_settings(settings, names)
            replays[table.name] = replay(table, plan, asked, range(seeds), scratch, tick)
            rows += figures(table, replays[table.name])
    return rows, replays


def _write_replays(to: Path, rows: list[dict[str, Any]], replays: dict[str, Runs], seconds: float) -> None:
    from niobe.launchers.pages.acceleration import write_page
    from niobe.loop.benchmark.replaying import against_the_prior, overall, without_hits, write_json

    for line in without_hits(replays):
        console().print(line, soft_wrap=True)
    medians = overall(list(replays.values()))
    beside = against_the_prior(replays)
    content = {"rows": rows, "overall AF 50%": medians, "against the prior": beside, "seconds": seconds}
    write_json(to / "acceleration.json", content)
    curves = {
        name: {setting: list(runs.values()) for setting, runs in by.items()} for name, by in replays.items()
    }
    page = write_page(to / "acceleration.html", curves, rows, about=_REPLAY, medians=medians)
    print_rows([{"setting": setting, "AF 50%": factor} for setting, factor in medians.items()], False)
    say(f"figures: {to / 'acceleration.json'}")
    say(f"curves: {page}")


@bench.command()
def generative(
    file: CampaignFile,
    seeds: Annotated[int, typer.Option(min=1, help="How many campaign seeds, from 1 on.")] = 5,
    setting: Annotated[
        list[str] | None, typer.Option(help="A setting by name (repeatable), beside the first.")
    ] = None,
    preset: Annotated[
        Preset, typer.Option(help="full: 50 oracle calls a run; short: 12, few settings.")
    ] = "full",
    tolerance: Annotated[
        list[float] | None, typer.Option(help="Hits lie this far above the hull, eV/atom (repeatable).")
    ] = None,
    random_calls: Annotated[
        int, typer.Option(min=0, help="Calls of one longer random search, for the hull only.")
    ] = 0,
    hull: Annotated[
        list[Path] | None,
        typer.Option(help="The run.json of another benchmark's run (repeatable), for the hull only."),
    ] = None,
    finished: Annotated[bool, typer.Option("--finished", help="Run nothing, judge what there is.")] = False,
    phonons: Annotated[
        bool, typer.Option("--phonons", help="Run those of hits afterwards where a setting runs none.")
    ] = False,
    to: Annotated[Path, typer.Option(help="Folder for the figures and every run.")] = Path("generative"),
) -> None:
    """Run a campaign's parts one after the other on, each against the random search, resumable."""
    from niobe.config.loading import load_campaign
    from niobe.flows.oracles.calculators import trust
    from niobe.flows.oracles.checks import check_inputs
    from niobe.flows.oracles.registry import check_machine
    from niobe.launchers.benchmarking import Benchmark, measure
    from niobe.launchers.local.launcher import StepFailedError
    from niobe.launchers.pages.acceleration import write_page
    from niobe.launchers.sources import PartialSourceError
    from niobe.loop.benchmark.replaying import write_json

    started = time.monotonic()
    spec = load_campaign(file)
    check_inputs(spec)
    trust(spec.oracle)
    check_machine(spec)
    asked = Benchmark(
        spec,
        to,
        preset,
        seeds=range(1, seeds + 1),
        settings=tuple(setting or ()),
        random_calls=random_calls,
        finished=finished,
        hull_runs=tuple(hull or ()),
        phonons=phonons,
    )
    try:
        measured = measure(asked, tolerance or [0.1, 0.01], console())
    except (StepFailedError, PartialSourceError) as error:
        say(f"niobe: {error}", error=True)
        raise typer.Exit(1) from None
    write_json(to / "generative.json", measured | {"seconds": round(time.monotonic() - started, 1)})
    page = write_page(to / "generative.html", measured["hits"], measured["rows"], about=_GENERATIVE)
    for table in measured["hits"]:
        rows = [row for row in measured["rows"] if row["table"] == table]
        print_rows([{key: row[key] for key in _BRIEF} for row in rows], False, title=table)
    say(f"figures: {to / 'generative.json'}")
    say(f"curves: {page}")


@bench.command()
def systems(
    names: Annotated[
        list[str] | None, typer.Argument(help="Chemical systems such as Al-Ni; those of the preset.")
    ] = None,
    preset: Annotated[Preset, typer.Option(help="full: 18 systems; short: 8 of them.")] = "full",
    seeds: Annotated[int, typer.Option(min=1, help="How many campaign seeds, from 1 on.")] = 3,
    calls: Annotated[int, typer.Option(min=1, help="Oracle calls of a run; protocol made has 50.")] = 40,
    batch: Annotated[int, typer.Option(min=1, help="Of them at once.")] = 10,
    candidates: Annotated[int, typer.Option(min=1, help="Candidates drawn a round.")] = 120,
    protocol: Annotated[
        list[str] | None, typer.Option(help="What is known (repeatable): kept-out, given, made.")
    ] = None,
    arm: Annotated[list[str] | None, typer.Option(help="An arm by name (repeatable); all.")] = None,
    known: Annotated[
        Path | None, typer.Option(help="Folder with one of structure files a system: known phases.")
    ] = None,
    peers: Annotated[
        Path | None, typer.Option(help="Folder of what other programs found, SYSTEM/NAME-SEED.json.")
    ] = None,
    finished: Annotated[bool, typer.Option("--finished", help="Run nothing, judge what there is.")] = False,
    to: Annotated[Path, typer.Option(help="Folder for the figures and every run.")] = Path("systems"),
) -> None:
    """Searches side by side on chemical systems, with one judge for all, resumable."""
    from niobe.launchers.benchmark_systems import Comparison, compare
    from niobe.launchers.local.launcher import StepFailedError
    from niobe.launchers.pages.acceleration import write_page
    from niobe.loop.benchmark.replaying import write_json
    from niobe.loop.benchmark.systems import SHORT, SYSTEMS, Rules

    started = time.monotonic()
    chosen = names or (SYSTEMS if preset == "full" else SHORT)
    asked = Comparison(
        systems=["-".join(sorted(name.split("-"))) for name in chosen],
        protocols=protocol or ["kept-out", "given"],
        seeds=range(1, seeds + 1),
        rules=Rules(calls, batch, candidates),
        folder=to,
        known=known,
        peers=peers,
        arms=tuple(arm or ()),
        finished=finished,
    )
    try:
        found = compare(asked, console())
    except StepFailedError as error:
        say(f"niobe: {error}", error=True)
        raise typer.Exit(1) from None
    rows = [{"table": f"{row['system']}, {row['protocol']}", **row} for row in found["rows"]]
    write_json(to / "systems.json", found | {"seconds": round(time.monotonic() - started, 1)})
    page = write_page(to / "systems.html", found["hits"], rows, about=_SYSTEMS)
    print_rows([{key: row.get(key) for key in _OF_SYSTEMS} for row in found["rows"]], False)
    print_rows([{"Niobe beside": other, **texts} for other, texts in found["beside Niobe"].items()], False)
    say(f"figures: {to / 'systems.json'}")
    say(f"curves: {page}")
