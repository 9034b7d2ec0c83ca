"""``python -m tests.benchmarks.generative``: the parts of the loop one by one, on a system; hours, resumable.

It runs `niobe bench generative` on the system's file in ``campaigns/`` beside it, with a GAN trained once on
Materials Project structures without that system's, and publishes what came of it. Runs that are finished
stay in ``runs/`` beside it: what takes a day is added to, not done again. Without that folder all is. What
former code found lies in ``former/`` there: where there is any, all is judged a second time by a hull that it
deepens.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from niobe.config.loading import load_campaign, with_changes
from niobe.launchers.benchmarking import LONGER_SEED, kept_at, longer_setting
from niobe.loop.benchmark.ablation import SIZES, ablation_series
from tests.benchmarks.publish import publish

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".niobe/benchmarks/generative"
RUNS = Path(__file__).parent / "runs"
SYSTEMS = {"Nb-O": "niobium oxides", "Ti-N": "titanium nitrides"}
CORPUS = ROOT.parent / "shared/data/dev_mp_structures.parquet"
RANDOM_CALLS = 200
NIOBE = [sys.executable, "-c", "from niobe.launchers.cli import main; main()"]
NOTES = [
    "bars for the full loop, ε 0.1 eV/atom: mSUN ≥ 0.5, AUDC ≥ 0.5, AF ≥ 6 against the first "
    "setting; the loop "
    "as campaigns run it by default finds what '+ offspring' finds, but for fine-tuning: phonons judge and "
    "do not choose (a test), and what the settings after it add is off",
    "every run: 50 calls of 7net-0 in 5 rounds, 500 candidates drawn a round",
    "the hull that judges is that of all settings, their seeds, the known phases that the campaign "
    "file keeps "
    "out of the seeds and a random search of 200 calls",
    "'+ GAN' draws 7 of 9 candidates from the GAN, trained once for all runs on dev_mp_structures.parquet "
    "without the system's own compounds, and 2 at random",
    "greedy and acquisition learn from the seeds only; from '+ retraining' on, from each batch",
    "'+ potential as prior mean': CHGNet relaxes candidates and 7net-0 judges; they share no "
    "weights, but both "
    "were trained on Materials Project calculations",
    "'+ offspring' draws two thirds of the candidates as children of what was found, in four "
    "offspring batches after "
    "CHGNet has relaxed the others",
    "means over runs with 90 % bootstrap intervals (none for one run); the effect is mSUN less that of the "
    "setting before, with a 90 % credible interval that counts calls as independent",
    "'+ phonons, soft modes' chooses as the settings before do; '+ P(dynamically stable)' "
    "multiplies by what the "
    "surrogate learned of it (p_target), which is off by default",
    "phonon-stable: hits among what phonons call stable, over calls; phonons of settings that run none were "
    "run afterwards, at no call's cost",
    "a setting without a row has not been run yet; the effect is then that over the row above. "
    "Minutes are of "
    "one core, the others busy with other runs",
    "of the loop of 27 November 2026: its runs lie in tests/benchmarks/runs, where "
    "tests.benchmarks.complete_hull judges them anew; this command would run all again, which "
    "takes hours",
    "tried, in the settings with pre-relaxation: see docs/decisions/0084 to 0099",
]
NOTES_OF = {
    "Nb-O": [
        "the deeper hull also has what former code found (tests/benchmarks/runs/Nb-O/former)",
        "the two last settings ran before decision 99 and drew 483 to 500 candidates a round, as "
        "far as there "
        "were soft modes to follow",
        "'+ acquisition' to '+ fine-tuning', and greedy's seed 4, ran on another machine (16 cores, Python "
        "3.12, torch 2.11) and before decision 94, when batches were spread more; '+ potential as "
        "prior mean' and "
        "'+ offspring' began there, on the code of now, and were finished here",
    ],
}


def main() -> None:
    """Run what is missing, or judge what is finished, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.generative", description=__doc__)
    parser.add_argument("--system", choices=SYSTEMS, default="Nb-O")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--setting", action="append", default=[], help="a setting to run (repeatable)")
    parser.add_argument("--finished", action="store_true", help="run nothing, publish what there is")
    options = parser.parse_args()
    kept, file = KEPT / options.system, campaign_of(options.system)
    ensure_gan(options.system)
    for place, archive in places(options.system, options.seeds):
        if archive.is_file() and not place.is_file():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(gzip.decompress(archive.read_bytes()))
    settings = [word for setting in options.setting for word in ("--setting", setting)]
    asked = ["--seeds", str(options.seeds), "--random-calls", str(RANDOM_CALLS), "--phonons", *settings]
    command = ["bench", "generative", str(file), *asked, "--to"]
    niobe(*command, str(kept), *(["--finished"] if options.finished else []))
    for place, archive in places(options.system, options.seeds):
        if place.is_file():
            archive.parent.mkdir(parents=True, exist_ok=True)
            archive.write_bytes(gzip.compress(place.read_bytes(), mtime=0))
    rows, by_generator = figures_in(kept, "rows"), figures_in(kept, "generators")
    once = [row for row in rows if row["table"] == rows[0]["table"]]
    seconds = 60 * sum(row["runs"] * (row["minutes"] or 0.0) for row in once)
    former = [word for run in former_runs(options.system) for word in ("--hull", str(run))]
    if former:
        niobe(*command, str(with_same_runs(kept / "deeper", kept)), "--finished", *former)
        rows += [
            row | {"table": f"{row['table']}, deeper hull"} for row in figures_in(kept / "deeper", "rows")
        ]
    publish(
        f"acceleration-generative-{options.system}",
        page="discovery",
        headline="mSUN {0[mSUN]} by random search, {7[mSUN]} by the loop as campaigns run it",
        title=f"Generative: {SYSTEMS[options.system]} from nothing, each part of the loop added to the last",
        command=f"python -m tests.benchmarks.generative --system {options.system}",
        rows=rows,
        seconds=seconds,
        seeds=range(1, options.seeds + 1),
        notes=NOTES + NOTES_OF.get(options.system, []),
        order=43,
    )
    publish(
        f"acceleration-generators-{options.system}",
        page="discovery",
        headline="random search: {0[calls]} calls, {0[hits]} of them hits, {0[phonon-stable]} phonon-stable",
        title=f"Generative: {SYSTEMS[options.system]}, what each generator's oracle calls were",
        command=f"python -m tests.benchmarks.generative --system {options.system}",
        rows=[row for row in by_generator if row["table"] == rows[0]["table"]],
        seconds=seconds,
        seeds=range(1, options.seeds + 1),
        notes=[
            "the same runs; shares of the calls: hits, and what is stable, unique and novel by phonons too"
        ],
        order=44,
    )


def with_same_runs(folder: Path, other: Path) -> Path:
    """A folder for figures of its own on the runs of another."""
    folder.mkdir(exist_ok=True)
    if not (folder / "runs").is_symlink():
        (folder / "runs").symlink_to(other / "runs")
    return folder


def figures_in(folder: Path, name: str) -> list[dict[str, Any]]:
    """A list of those that were written last."""
    found: list[dict[str, Any]] = json.loads((folder / "generative.json").read_text(encoding="utf-8"))[name]
    return found


def campaign_of(system: str) -> Path:
    """The campaign file of a system."""
    return Path(__file__).parent / "campaigns" / f"{system}.yaml"


def places(system: str, seeds: int) -> Iterator[tuple[Path, Path]]:
    """Where each run of a system lies once finished, here and in the repository.

    The latter does not depend on where the GAN lies.
    """
    spec = load_campaign(campaign_of(system))
    runs = [
        (setting, seed) for setting in ablation_series(spec, SIZES["full"]) for seed in range(1, seeds + 1)
    ]
    for setting, seed in [*runs, (longer_setting(spec, "full", RANDOM_CALLS), LONGER_SEED)]:
        anywhere = with_changes(setting.spec, {"seed": seed, "corpus": None}).digest()[:8]
        name = f"{setting.name}-{seed}-{anywhere}.json.gz"
        yield kept_at(setting, seed, KEPT / system), RUNS / system / name


def former_runs(system: str) -> list[Path]:
    """What former code found on a system, unpacked."""
    files = []
    for archive in sorted((RUNS / system / "former").glob("*.json.gz")):
        file = KEPT / system / "former" / archive.stem
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(gzip.decompress(archive.read_bytes()))
        files.append(file)
    return files


def ensure_gan(system: str) -> None:
    """Train the GAN that all runs on a system share, unless it is there."""
    folder = KEPT / system / "gan"
    if not folder.is_dir():
        niobe("train-gan", str(CORPUS), str(folder), "--without", system)


def niobe(*arguments: str) -> None:
    subprocess.run([*NIOBE, *arguments], check=True)


if __name__ == "__main__":
    main()
