"""The trainer: losses by hand, resuming, early stopping."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from niobe.surrogates.networks.compositions import ElemNet
from niobe.surrogates.representations.batches import RowEncoder
from niobe.surrogates.training import LossName, Rows, Training, loss_of, one_cycle, train
from tests.contract.test_surrogates import TRAIN

ENCODER = RowEncoder()
ITEMS = ENCODER.encode(TRAIN)
LABELS = np.array([[s.composition.get_atomic_fraction("O")] for s in TRAIN])
NAN = float("nan")


def network() -> torch.nn.Module:
    torch.manual_seed(3)
    return ElemNet(1, shrink=32)


def run(
    net: torch.nn.Module, settings: Training, folder: Path | None = None, stop_after: int = 0
) -> torch.nn.Module:
    rows, valid = Rows(ITEMS[:24], LABELS[:24]), Rows(ITEMS[24:], LABELS[24:])
    tick = (lambda epoch, _: epoch < stop_after) if stop_after else None
    train(net, ENCODER, rows, valid, settings, seed=5, binary=[False], folder=folder, tick=tick)
    return net


def test_an_interrupted_training_ends_where_an_uninterrupted_one_does(tmp_path: Path) -> None:
    settings = Training(epochs=5)
    whole = run(network(), settings).state_dict()
    run(network(), settings, tmp_path, stop_after=2)
    resumed = run(network(), settings, tmp_path).state_dict()
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_folder_of_another_training_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(network(), Training(epochs=1), tmp_path)
    with pytest.raises(ValueError, match=r"another identity: rate \(0.002, not 0.0001\)"):
        run(network(), Training(epochs=1, rate=1e-4), tmp_path)
    with pytest.raises(ValueError, match=r"another identity: epochs \(1, not 2\)"):
        run(network(), Training(epochs=2), tmp_path)
    monkeypatch.setattr("tests.surrogates.test_training.LABELS", LABELS + 1)
    with pytest.raises(ValueError, match=r"another identity: rows \("):
        run(network(), Training(epochs=1), tmp_path)


def test_training_stops_when_it_gets_no_better_and_keeps_the_best() -> None:
    rows = Rows(ITEMS[:24], LABELS[:24])
    against = Rows(ITEMS[:24], -10 * LABELS[:24])
    history = train(
        network(), ENCODER, rows, against, Training(epochs=40, patience=2), seed=5, binary=[False]
    )
    assert len(history.valid) == history.best + 3 < 40


def losses(outputs: list[list[float]], labels: list[list[float]], name: LossName) -> float:
    return float(loss_of(torch.tensor(outputs), torch.tensor(labels), name, [False] * len(labels[0])))


def test_losses_by_hand() -> None:
    assert losses([[1.0], [3.0]], [[2.0], [NAN]], "mae") == pytest.approx(1.0)
    assert losses([[1.0], [0.1]], [[2.0], [0.0]], "huber") == pytest.approx((0.9 + 0.01 / 0.4) / 2)
    assert losses([[1.0, math.log(4.0)]], [[3.0]], "gaussian") == pytest.approx(0.5 * (math.log(4) + 1))
    assert losses([[0.0, 1.0, 2.0]], [[4.0]], "quantile") == pytest.approx(0.05 * 4 + 0.5 * 3 + 0.95 * 2)


def test_a_class_is_learned_by_cross_entropy() -> None:
    found = loss_of(torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [0.0]]), "mae", [True])
    assert float(found) == pytest.approx((math.log(2) + math.log1p(math.exp(2))) / 2)


def test_nothing_known_costs_nothing() -> None:
    assert losses([[1.0]], [[NAN]], "mae") == 0.0


def test_the_rate_rises_and_falls() -> None:
    rates = [one_cycle(progress, 0.1) for progress in (0.0, 0.1, 0.55, 1.0)]
    assert rates == pytest.approx([0.05, 1.0, 0.5, 0.0])
