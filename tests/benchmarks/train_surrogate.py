"""Train a surrogate of formation energy on the Materials Project rows, or go on where it was interrupted.

``python -m tests.benchmarks.train_surrogate moments WORK --members 2 --epochs 14`` writes a checkpoint that the
benchmark judges; one thread, and CPU seconds are kept with each member.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from surrogates.models.neural import NeuralSurrogate
from tests.benchmarks.materials import TARGET, Materials, materials

SEED = 7
LAST_KNOWN_YEAR = 2003


def training_rows(data: Materials, split: str) -> NDArray[np.bool_]:
    """Rows to train on: all but the test part by hash, or those known by 2003."""
    return data.year <= LAST_KNOWN_YEAR if split == "year" else ~data.test_part()


def fit(name: str, split: str, work: Path, *, members: int, epochs: int) -> NeuralSurrogate:
    """The trained surrogate; its checkpoint lies in ``work``/checkpoint."""
    model = NeuralSurrogate(name, members=members, epochs=epochs, work=work)
    data = materials()
    structures, energies = data.at(training_rows(data, split))
    model.fit(structures, {TARGET: energies}, seed=SEED)
    folder = work / f"checkpoint-{members}"
    folder.mkdir(parents=True, exist_ok=True)
    model.save(folder)
    test = (data.year > LAST_KNOWN_YEAR) if split == "year" else data.test_part()
    others, truth = data.at(test)
    answer = model.predict(others)[TARGET]
    errors = np.abs(model.member_means(others)[TARGET] - truth).mean(1)
    print(
        f"{name} {split}: members {errors.round(4)}, ensemble {np.nanmean(np.abs(answer.mean - truth)):.4f}"
    )
    return model


def main() -> None:
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model")
    parser.add_argument("work", type=Path)
    parser.add_argument("--split", choices=["hash", "year"], default="hash")
    parser.add_argument("--members", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=14)
    given = parser.parse_args()
    torch.set_num_threads(1)
    fit(given.model, given.split, given.work, members=given.members, epochs=given.epochs)


if __name__ == "__main__":
    main()
