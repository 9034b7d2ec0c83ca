"""``python -m tests.benchmarks.generators.finetuning``: does the GAN find more once it learned from finds?

Round 1 draws from the GAN as the corpus left it. Each later round goes on from the checkpoint before, by the
step that a campaign takes, on all that was relaxed so far. What earlier rounds drew or relaxed is screened
out before the oracle, as a campaign does. Resumable.
"""

from __future__ import annotations

import argparse
import itertools
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Structure
from rich.console import Console
from scipy.stats import beta

from niobe.flows.steps.train import fine_tune
from niobe.loop.campaign.acceleration import hit_ratio
from niobe.loop.campaign.seeds import new_record
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Lineage, StructureRecord, Verdict
from niobe.surrogates.gan import CrystalGAN
from niobe.surrogates.protocols import Sample
from tests.benchmarks.generators.judging import Tally, above_hull, elements, hull, is_solid, judge
from tests.benchmarks.generators.relaxing import (
    drawn_once,
    relax_references,
    relax_samples,
    relaxed,
    seconds_of,
    settings,
)
from tests.benchmarks.generators.settings import draw_from, trained_gan
from tests.benchmarks.generators.store import Run, read, structure, validation
from tests.benchmarks.publish import DOCS, publish

_LEVEL, _PLOT = 0.90, "finetuning.png"


def main() -> None:
    """Round by round within the seconds given, then publish the rounds there are."""
    options = _options()
    warnings.simplefilter("ignore")
    until = time.monotonic() + options.seconds
    relax_references(options.folder, options.system)
    runs = [
        [_run(options, number, seed) for number in range(1, options.rounds + 1)] for seed in options.seeds
    ]
    for rounds in runs:
        for number, run in enumerate(rounds, start=1):
            if time.monotonic() < until:
                _play(options.folder, run, rounds[: number - 1], options.samples, until)
    tallies = [judge(options.folder, rounds, rounds=True) for rounds in runs]
    by_round = [
        [tally[run] for tally, run in zip(tallies, same, strict=True)] for same in zip(*runs, strict=True)
    ]
    for number, found in enumerate(by_round, start=1):
        Console().print(f"round {number}:", *[f"{len(t.sun)} of {t.calls}: {t.found}" for t in found])
    if options.publish:
        _publish(options, runs, [found for found in by_round if any(tally.calls for tally in found)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.generators.finetuning")
    parser.add_argument("--system", default="Nb-O")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--samples", type=int, default=30, help="relaxed a round")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop relaxing after this long")
    parser.add_argument(
        "--folder", type=Path, default=Path("benchmark-generators"), help="of the settings' GAN"
    )
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks and the plot")
    return parser.parse_args()


def _run(options: argparse.Namespace, number: int, seed: int) -> Run:
    return Run(options.system, f"finetuning/round-{number}", seed)


def _play(root: Path, run: Run, before: Sequence[Run], n: int, until: float) -> None:
    """One round: train, draw what is new, relax."""

    def draw() -> tuple[list[Sample], dict[str, int]]:
        gan = _gan(root, run, before)
        return draw_from(gan, run.system, n, _seed(run, "draw"), _known(root, before))

    relax_samples(root, {run: drawn_once(run.folder(root), n, draw)}, until)


def _seed(run: Run, step: str) -> int:
    return settings(run.system).derived_seed(run.seed, f"{run.setting}/{step}")


def _gan(root: Path, run: Run, before: Sequence[Run]) -> CrystalGAN:
    """The GAN of this round: of the corpus in the first, else fine-tuned from the round before's."""
    if not before:
        return trained_gan(root, "symmetric")
    checkpoint = run.folder(root) / "gan"
    if not (checkpoint / "gan.json").is_file():
        gan = _gan(root, before[-1], before[:-1])
        fine_tune(gan, _records(root, before), seed=_seed(run, "train"), report=lambda done, total: None)
        checkpoint.mkdir(parents=True, exist_ok=True)
        gan.save(checkpoint)
    return CrystalGAN.load(checkpoint)


def _records(root: Path, runs: Sequence[Run]) -> list[StructureRecord]:
    """What these rounds relaxed as records of a campaign, judged by the hull as it stands after them."""
    diagram, energies = hull(root, runs[0].system, runs), elements(root, runs[0].system)
    return [
        _record(run.system, number, content, above_hull(diagram, content))
        for number, run in enumerate(runs, start=1)
        for _, content in relaxed(root, run)
        if is_solid(content, energies)
    ]


def _record(system: str, number: int, content: dict[str, Any], above: float) -> StructureRecord:
    record = new_record(settings(system), number, 0, structure(content), Lineage(generator="gan"))
    verdict = Verdict(
        formation_energy_per_atom=0.0, e_above_hull_found=above, e_above_hull_now=above, hull_round=number
    )
    return record.model_copy(update={"validation": validation(content), "verdict": verdict})


def _known(root: Path, runs: Sequence[Run]) -> SeenStructures:
    """What these rounds drew and relaxed."""
    known = SeenStructures()
    for run in runs:
        for drawn in read(run.folder(root) / "samples.json")["structures"]:
            known.add(run.setting, Structure.from_dict(drawn))
        for _, content in relaxed(root, run):
            if "structure" in content:
                known.add(run.setting, structure(content))
    return known


def _publish(options: argparse.Namespace, runs: list[list[Run]], rounds: list[list[Tally]]) -> None:
    calls = [sum(tally.calls for tally in found) for found in rounds]
    hits = [sum(len(tally.sun) for tally in found) for found in rounds]
    last = hit_ratio(hits[-1], calls[-1], hits[0], calls[0])
    rows = [
        _row(f"round {number}: S.U.N. of relaxed", "reported", f"{h} of {c}: {_rate(h, c)}")
        for number, (h, c) in enumerate(zip(hits, calls, strict=True), start=1)
    ]
    ratio = f"{last.value:.2f} ({last.low:.2f} to {last.high:.2f})"
    rows.append(_row(f"round {len(rounds)} ÷ round 1 (90 %)", "> 1", ratio))
    _plot(hits, calls, options.system)
    publish(
        "gan_finetuning",
        page="generators",
        title="The GAN fine-tuned on its own records",
        command=(
            f"python -m tests.benchmarks.generators.finetuning --rounds {options.rounds} "
            f"--samples {options.samples} --seeds {' '.join(map(str, options.seeds))} --publish"
        ),
        rows=rows,
        seconds=seconds_of(options.folder, itertools.chain(*runs)),
        seeds=options.seeds,
        notes=[
            f"{options.system}, 7net-0; ![S.U.N. rate a round](../images/{_PLOT})",
            "S.U.N.: at most 0.1 eV/atom above the hull of references and all rounds together, unique and "
            "new against earlier rounds. What earlier rounds drew or relaxed is screened out before the "
            "oracle, so each round has fewer easy finds left. No phonons were run.",
            *[
                f"Round {number}: {'; '.join(', '.join(t.found) or 'none' for t in found)}."
                for number, found in enumerate(rounds, start=1)
            ],
        ],
        order=33,
    )


def _row(what: str, bar: str, figure: str) -> dict[str, object]:
    return {"what": what, "bar": bar, "figure": figure}


def _rate(hits: int, calls: int) -> str:
    low, high = _interval(hits, calls)
    return f"{hits / calls:.2f} ({low:.2f} to {high:.2f})"


def _interval(hits: int, calls: int) -> tuple[float, float]:
    """90 % credible interval of a rate, by Jeffreys' prior."""
    low, high = beta.interval(_LEVEL, hits + 0.5, calls - hits + 0.5)
    return float(low), float(high)


def _plot(hits: Sequence[int], calls: Sequence[int], system: str) -> None:
    from matplotlib.figure import Figure

    rates = np.array(hits) / np.array(calls)
    low, high = np.array([_interval(h, c) for h, c in zip(hits, calls, strict=True)]).T
    figure = Figure(figsize=(5.2, 3.4))
    axes = figure.subplots()
    numbers = np.arange(1, len(hits) + 1)
    axes.vlines(numbers, low, high, color="#1f5fa8")
    axes.plot(numbers, rates, "o-", color="#1f5fa8")
    for number, rate, h, c in zip(numbers, rates, hits, calls, strict=True):
        axes.annotate(f"{h}/{c}", (number, rate), xytext=(7, 5), textcoords="offset points", fontsize=8)
    axes.set_xlim(0.6, len(hits) + 0.6)
    axes.set(xlabel="round", ylabel="S.U.N. of relaxed samples", xticks=numbers, ylim=(0, None))
    axes.set_title(f"{system}: the GAN on its own records (90 % intervals)", fontsize=10)
    figure.tight_layout()
    figure.savefig(DOCS / "images" / _PLOT, dpi=150)


if __name__ == "__main__":
    main()
