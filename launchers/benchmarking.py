"""Runs the settings of a generative benchmark, each in a home and database of its own; finished ones are
kept."""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from niobe.config.errors import ConfigError
from niobe.config.loading import with_changes
from niobe.config.spec import CampaignSpec
from niobe.launchers.terminal import styled

if TYPE_CHECKING:
    from rich.console import Console

    from niobe.loop.benchmark.ablation import Setting
    from niobe.loop.benchmark.generative import Run
    from niobe.loop.documents.records import StructureRecord
    from niobe.loop.documents.rounds import RoundRecord
    from niobe.surrogates.protocols import FloatArray

LONGER_SEED = 0
_OWN = ("NIOBE_HOME", "NIOBE_MONGO_URI", "NIOBE_EMBEDDED_URI", "NIOBE_OFFLINE")


@dataclass(frozen=True)
class Benchmark:
    """What to run: a campaign, a size by name, campaign seeds, settings by name, calls of a longer random
    search.

    Without ``settings`` the full size runs all, the short one the first and the last. finished: nothing is
    run, what there is already is judged. hull_runs: files of runs, as of former code, that only add to the
    hull.
    """

    spec: CampaignSpec
    folder: Path
    preset: Literal["short", "full"]
    seeds: Sequence[int]
    settings: tuple[str, ...] = ()
    random_calls: int = 0
    finished: bool = False
    hull_runs: Sequence[Path] = ()
    phonons: bool = False


def measure(benchmark: Benchmark, tolerances: Sequence[float], console: Console) -> dict[str, Any]:
    """Run what is missing; ``rows`` of figures, ``hits`` by setting, run and call and ``generators``, each
    for every tolerance.

    benchmark: what to run. tolerances: e_above_hull of a hit, at most, eV/atom. console: where progress is
    shown.
    Raises ConfigError for an unknown setting, where of what is ``finished`` no run is the first setting's,
    and where one of the ``hull_runs`` is no finished run.
    """
    from niobe.loop.benchmark.ablation import SIZES
    from niobe.loop.benchmark.generative import ScoredRun, by_generator, energies_above, figures

    spec, size = benchmark.spec, SIZES[benchmark.preset]
    settings = _chosen_settings(benchmark)
    judging = [_read_run(file) for file in benchmark.hull_runs]
    known = known_phases(spec, benchmark.folder)
    runs = _runs(benchmark, settings, console)
    everything = [*runs, *judging, *_longer_search(benchmark, console)]
    above = energies_above(everything, known, spec.elements)
    if benchmark.phonons:
        runs = _with_phonons(benchmark, settings, runs, above, max(tolerances), console)
    labels = {setting.name: setting.adds for setting in settings}
    rows: list[dict[str, Any]] = []
    generators: list[dict[str, Any]] = []
    found: dict[str, Any] = {}
    for tolerance in tolerances:
        table = f"{spec.chemsys} ε {tolerance:g} eV/atom"
        judged = [
            ScoredRun.of(run, energies, tolerance, size.calls)
            for run, energies in zip(runs, above, strict=False)
        ]
        by_setting = {name: [one for one in judged if one.run.setting == name] for name in labels}
        by_setting = {name: of_setting for name, of_setting in by_setting.items() if of_setting}
        rows += [{"table": table, **row} for row in figures(by_setting, labels, size.batch)]
        generators += [{"table": table, **row} for row in by_generator(by_setting, labels)]
        found[table] = {
            labels[name]: [one.hits for one in of_setting] for name, of_setting in by_setting.items()
        }
    return {"rows": rows, "hits": found, "generators": generators}


def _runs(benchmark: Benchmark, settings: Sequence[Setting], console: Console) -> list[Run]:
    """Every setting on the first seed, then on the next."""
    pairs = [(seed, setting) for seed in benchmark.seeds for setting in settings]
    if benchmark.finished:
        pairs = [
            (seed, setting) for seed, setting in pairs if kept_at(setting, seed, benchmark.folder).is_file()
        ]
        if all(setting is not settings[0] for _, setting in pairs):
            raise ConfigError(f"--finished: {benchmark.folder} holds no finished run of {settings[0].name!r}")
    runs = []
    for number, (seed, setting) in enumerate(pairs, start=1):
        console.print(styled(setting.adds, "bold"), f"seed {seed} ({number} of {len(pairs)})")
        runs.append(run_setting(setting, seed, benchmark.folder, console))
    return runs


def _with_phonons(
    benchmark: Benchmark,
    settings: Sequence[Setting],
    runs: Sequence[Run],
    above: Sequence[FloatArray],
    tolerance: float,
    console: Console,
) -> list[Run]:
    """The runs, with a dynamical verdict on all within ``tolerance`` where the setting runs no phonons."""
    from niobe.flows.oracles.benchmark import stability_of
    from niobe.loop.benchmark.replaying import write_json
    from niobe.loop.documents.dynamics import Stability

    without = {setting.name: setting for setting in settings if not setting.spec.phonons.enabled}
    done = []
    for run, energies in zip(runs, above, strict=False):
        verdicts = zip(run.calls, run.dynamics(), energies, strict=True)
        low = [call for call, verdict, e in verdicts if e <= tolerance and verdict is Stability.UNDECIDED]
        asked = [call for call in low if run.setting in without and call.id not in run.later]
        if asked:
            console.print(f"{run.setting}, seed {run.seed}: phonons of {len(asked)} structures")
        for call in asked:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                verdict = stability_of(benchmark.spec, call, benchmark.folder / "work")
            run = run.model_copy(update={"later": run.later | {call.id: verdict}})
            write_json(kept_at(without[run.setting], run.seed, benchmark.folder), run.model_dump(mode="json"))
        done.append(run)
    return done


def _chosen_settings(benchmark: Benchmark) -> list[Setting]:
    """The first setting always. Raises ConfigError for a name that the campaign has no setting for."""
    from niobe.loop.benchmark.ablation import SIZES, ablation_series

    every = ablation_series(benchmark.spec, SIZES[benchmark.preset])
    names = [setting.name for setting in every]
    unknown = sorted(set(benchmark.settings) - set(names))
    if unknown:
        raise ConfigError(
            f"--setting: {unknown[0]!r} is no setting of this campaign; allowed: {', '.join(names)}"
        )
    wanted = benchmark.settings or (names if benchmark.preset == "full" else names[-1:])
    return [setting for setting in every if setting.name in {names[0], *wanted}]


def _longer_search(benchmark: Benchmark, console: Console) -> list[Run]:
    """One random search of more calls, which only adds to the hull that judges."""
    if not benchmark.random_calls:
        return []
    longer = longer_setting(benchmark.spec, benchmark.preset, benchmark.random_calls)
    if benchmark.finished and not kept_at(longer, LONGER_SEED, benchmark.folder).is_file():
        return []
    console.print(styled(longer.adds, "bold"))
    return [run_setting(longer, LONGER_SEED, benchmark.folder, console)]


def longer_setting(spec: CampaignSpec, preset: Literal["short", "full"], calls: int) -> Setting:
    """The first setting with more oracle calls than the settings have.

    spec: the campaign. preset: how large: short or full.
    """
    from niobe.loop.benchmark.ablation import SIZES, ablation_series

    first = ablation_series(spec, replace(SIZES[preset], calls=calls))[0]
    return replace(first, name="longer", adds=f"random search of {calls} calls, for the hull")


def _read_run(file: Path) -> Run:
    """A finished run. Raises ConfigError where the file holds none."""
    from niobe.loop.benchmark.generative import Run

    try:
        return Run.model_validate_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"--hull: {file}: no finished run ({type(error).__name__})") from error


def run_setting(setting: Setting, seed: int, folder: Path, console: Console) -> Run:
    """One setting on one seed: run to its end, or taken up where it was, or read where it is finished.

    folder: of the benchmark. console: where progress is shown.
    Raises StepFailedError or PartialSourceError as a campaign does.
    """
    from niobe.loop.benchmark.generative import Run
    from niobe.loop.benchmark.replaying import write_json

    kept = kept_at(setting, seed, folder)
    if kept.is_file():
        return Run.model_validate_json(kept.read_text(encoding="utf-8"))
    spec, home = with_changes(setting.spec, {"seed": seed}), kept.parent
    began, started, fresh = datetime.now(UTC), time.monotonic(), not home.exists()
    records, rounds = _campaign(spec, home, console)
    seconds = round(time.monotonic() - started, 1) if fresh else None
    closed = {
        one.number: (datetime.fromisoformat(one.closed_at) - began).total_seconds()
        for one in rounds
        if fresh and one.closed_at
    }
    run = Run.of(setting.name, seed, records, seconds, closed)
    write_json(kept, run.model_dump(mode="json"))
    return run


def kept_at(setting: Setting, seed: int, folder: Path) -> Path:
    """Where the finished run of a setting lies; another one once the campaign file says something else.

    seed: of everything drawn at random. folder: of the benchmark.
    """
    spec = with_changes(setting.spec, {"seed": seed})
    return folder / "runs" / f"{setting.name}-{seed}-{spec.digest()[:8]}" / "run.json"


def _campaign(
    spec: CampaignSpec, home: Path, console: Console
) -> tuple[list[StructureRecord], list[RoundRecord]]:
    from niobe.launchers.local.launcher import run_campaign
    from niobe.launchers.local.progress import CampaignProgress
    from niobe.launchers.services import campaign_database
    from niobe.launchers.sources import ingest_sources

    with own_home(home), campaign_database() as database:
        database.campaigns.create(spec)
        ingest_sources(database, spec)
        with CampaignProgress(database, spec, console) as progress:
            run_campaign(database, spec, progress.tick)
        return database.records.find(spec.id), database.rounds.find(spec.id)


@contextmanager
def own_home(home: Path) -> Iterator[None]:
    """This process and those it starts work in ``home``, with its embedded database, stopped in the end.

    Optional sources are not asked: what a benchmark finds hangs on its file alone. Raises ConfigError where
    another process works there: each would stop the other's database.
    """
    from filelock import FileLock, Timeout

    from niobe.launchers.embedded import stop_server

    home.mkdir(parents=True, exist_ok=True)
    lock = FileLock(home / "benchmark.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ConfigError(
            f"{home}: another benchmark works there; wait for it, or name another folder"
        ) from None
    before = {name: os.environ.pop(name, None) for name in _OWN}
    os.environ |= {"NIOBE_HOME": str(home.resolve()), "NIOBE_OFFLINE": "1"}
    try:
        yield
    finally:
        stop_server(home.resolve() / "db")
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
        lock.release()


def known_phases(spec: CampaignSpec, folder: Path) -> list[StructureRecord]:
    """What the campaign keeps out of its seeds, relaxed once by its oracle and kept in ``folder``."""
    from niobe.flows.oracles.benchmark import relaxed_exclusions
    from niobe.loop.benchmark.replaying import write_json
    from niobe.loop.documents.records import StructureRecord

    asked = with_changes(spec, {"seed": 0}).digest()[:8]
    kept = folder / "runs" / f"known-{asked}.json"
    if not kept.is_file():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = relaxed_exclusions(spec, folder / "work")
        write_json(kept, [record.model_dump(mode="json") for record in found])
    content = json.loads(kept.read_text(encoding="utf-8"))
    return [StructureRecord.model_validate(record) for record in content]
