"""``python -m tests.benchmarks.generators.speed``: training, sampling, uniqueness and limits of the GAN."""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

from rich.progress import track

from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.crystals.validity import why_invalid
from niobe.surrogates.protocols import Sample
from tests.benchmarks.generators.settings import request, trained_gan, training_of
from tests.benchmarks.publish import publish

_SYSTEM = "Nb-O"


def main() -> None:
    """Draw once and count; CPU seconds stand beside wall seconds since other work may be running."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.generators.speed")
    parser.add_argument("--samples", type=int, default=1_000)
    parser.add_argument(
        "--folder", type=Path, default=Path("benchmark-generators"), help="of the settings' GAN"
    )
    parser.add_argument("--publish", action="store_true", help="write docs/benchmarks")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.monotonic()
    rows = [_training(options.folder)]
    gan = trained_gan(options.folder, "symmetric")
    gan.sample(request(_SYSTEM), 1, seed=0)  # the tables of 230 space groups are built once a process
    wall, cpu = time.monotonic(), time.process_time()
    batch = gan.sample(request(_SYSTEM), options.samples, seed=1)
    wall, cpu = time.monotonic() - wall, time.process_time() - cpu
    n = len(batch.samples)
    rows.append(
        _row(
            "structures a second, decoded, after the first",
            "≥ 500",
            f"{n / cpu:.0f} a CPU s, {n / wall:.0f} a wall s",
        )
    )
    rows += _counted(batch.samples)
    print(*rows, dict(batch.rejected), sep="\n")
    if options.publish:
        notes = [f"Thrown away while drawing: {dict(batch.rejected)}."]
        seconds = time.monotonic() - started
        command = f"python -m tests.benchmarks.generators.speed --samples {options.samples} --publish"
        publish(
            "gan_speed",
            page="generators",
            title="The GAN: training and sampling",
            command=command,
            rows=rows,
            seconds=seconds,
            seeds=[1],
            notes=notes,
            order=32,
        )


def _training(folder: Path) -> dict[str, object]:
    """Encoding and training, as they went when the GAN of the settings was made."""
    took = training_of(folder, "symmetric")
    figure = f"{took['cpu'] / 60:.1f} CPU min, {took['wall'] / 60:.1f} wall min"
    return _row(f"training on {took['structures']} structures", "≤ 15 min", figure)


def _counted(samples: tuple[Sample, ...]) -> list[dict[str, object]]:
    asked, seen = request(_SYSTEM), SeenStructures()
    reasons = [why_invalid(sample.structure, asked) for sample in samples]
    outside = sum(reason in {"composition", "size"} for reason in reasons)
    invalid = sum(bool(reason) for reason in reasons) - outside
    unique = 0
    for number, sample in enumerate(track(samples, "matching")):
        if seen.find(sample.structure) is None:
            seen.add(str(number), sample.structure)
            unique += 1
    n = len(samples)
    return [
        _row(f"unique among {n} samples, by StructureMatcher", "≥ 95 %", f"{100 * unique / n:.1f} %"),
        _row("inside elements and limits", "100 %", f"{100 * (n - outside) / n:.1f} %"),
        _row("of them set aside by screening (volume, aspect, distance)", "counted", str(invalid)),
    ]


def _row(what: str, bar: str, figure: str) -> dict[str, object]:
    return {"what": what, "bar": bar, "figure": figure}


if __name__ == "__main__":
    main()
