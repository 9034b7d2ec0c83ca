"""Train a surrogate of formation energy on the Materials Project rows, or go on where it was interrupted.

``python -m tests.benchmarks.train_surrogate moments WORK --members 2 --epochs 14`` leaves trainings
that the benchmark judges; one thread, and CPU seconds are kept with each member.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from niobe.surrogates.models.neural import NeuralSurrogate
from tests.benchmarks.materials import TARGET, Materials, materials

SEED = 7
LAST_KNOWN_YEAR = 2003


def split_rows(data: Materials, split: str) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Rows to train and to test on: by hash, or those known by 2003 and those found later."""
    if split == "year":
        return data.year <= LAST_KNOWN_YEAR, data.year > LAST_KNOWN_YEAR
    return ~data.test_part(), data.test_part()


def fit(name: str, split: str, work: Path, *, members: int, epochs: int) -> NeuralSurrogate:
    """The trained surrogate; each member's training in ``work`` goes on where it was."""
    data = materials()
    structures, energies = data.at(split_rows(data, split)[0])
    model = NeuralSurrogate(name, members=members, epochs=epochs, work=work)
    model.fit(structures, {TARGET: energies}, seed=SEED)
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
    model = fit(given.model, given.split, given.work, members=given.members, epochs=given.epochs)
    minutes = [round(history.seconds / 60, 1) for history in model.histories]
    print(f"{given.model}, {given.split}: CPU minutes by member {minutes}")


if __name__ == "__main__":
    main()
