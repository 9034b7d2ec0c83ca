"""``python -m tests.benchmarks.generative``: the parts of the worked example one by one; hours, resumable.

It runs `niobe bench generative` on ``generative.yaml`` beside it and publishes what came of it.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.figures import publish

ROOT = Path(__file__).parents[2]
KEPT = ROOT / ".niobe/benchmarks/generative"
CORPUS = ROOT.parent / "shared/data/dev_mp_structures.parquet"
NIOBE = [sys.executable, "-c", "from launchers.cli import main; main()"]
NOTES = [
    "bars, last arm, ε 0.1 eV/atom: mSUN ≥ 0.5, AUDC ≥ 0.5, AF ≥ 6 against the first arm",
    "every run: 50 calls of 7net-0 in 5 rounds, 200 candidates drawn a round, the seeds of nb-o.yaml, NbO "
    "and rutile NbO2 kept out; hits lie within ε of the hull of all runs, seeds, NbO and rutile together",
    "'+ GAN' draws 7 of 9 candidates from the GAN, trained once for all runs on dev_mp_structures.parquet "
    "without its compounds of Nb and O only, and 2 at random",
    "greedy and acquisition learn from the seeds only; from '+ retraining' on, from each batch",
    "'+ potential as prior': CHGNet relaxes candidates and 7net-0 judges; they share no weights, but both "
    "were trained on Materials Project calculations",
    "means over runs with 90 % bootstrap intervals (none for one run); the effect is mSUN less that of the "
    "arm before, with a 90 % credible interval that counts calls as independent",
    "phonon-stable: hits whose phonons are stable, over calls; – where no phonons are run",
    "an arm without a row has not been run yet with the GAN that is here; the effect is then that over the "
    "row above. Minutes are of a machine with other work on it",
    "tried, in the arms with a prior: two looks of it, to afford 200 candidates; candidates whose sites it "
    "lets collapse are set aside. In every arm what is left in the pool is compared with new results",
]


def main() -> None:
    """Run what is missing, or judge what is finished, and publish."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.generative", description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--arm", action="append", default=[], help="an arm to run (repeatable)")
    parser.add_argument("--finished", action="store_true", help="run nothing, publish what there is")
    options = parser.parse_args()
    arguments = [str(Path(__file__).with_suffix(".yaml")), "--seeds", str(options.seeds)]
    arguments += [word for arm in options.arm for word in ("--arm", arm)]
    arguments += ["--finished"] if options.finished else []
    if not (KEPT / "gan").is_dir():
        trained = ["train-gan", str(CORPUS), str(KEPT / "gan"), "--without", "Nb-O"]
        subprocess.run([*NIOBE, *trained], check=True)
    subprocess.run([*NIOBE, "bench", "generative", *arguments, "--to", str(KEPT)], check=True)
    content = json.loads((KEPT / "generative.json").read_text(encoding="utf-8"))
    publish(
        "acceleration-generative",
        title="Generative: niobium oxides from nothing, each part of the loop added to the one before",
        command="python -m tests.benchmarks.generative",
        rows=content["rows"],
        seconds=60 * sum(row["runs"] * (row["minutes"] or 0.0) for row in content["rows"]) / 2,
        seeds=range(1, options.seeds + 1),
        notes=NOTES,
        order=43,
    )


if __name__ == "__main__":
    main()
