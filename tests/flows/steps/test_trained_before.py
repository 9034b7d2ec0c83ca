"""``surrogate.checkpoint``: a surrogate of `niobe models fit` ranks a campaign's candidates as it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from niobe.config.errors import ConfigError
from niobe.config.home import checkpoint
from niobe.config.loading import load_campaign
from niobe.flows.oracles.checks import check_inputs
from niobe.flows.steps.train import train_surrogate
from niobe.loop.store.database import Database
from niobe.surrogates.models import load_surrogate, make_surrogate
from tests.contract.test_surrogates import OXYGEN, TRAIN
from tests.flows.steps.acquisition.test_acquire import pool

__all__ = ["pool"]

ENERGY = "formation_energy_per_atom"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    model = make_surrogate("gbt", members=2, epochs=2)
    model.fit(TRAIN, {ENERGY: -OXYGEN}, seed=3)
    (tmp_path / "fit" / "training").mkdir(parents=True)
    model.save(tmp_path / "fit")
    return tmp_path / "fit"


def campaign(folder: Path, more: str = "", elements: str = "Nb, O", surrogate: str = "") -> Path:
    file = folder.parent / "campaign.yaml"
    text = f"id: begun\nelements: [{elements}]\nsurrogate: {{checkpoint: {folder.name}{surrogate}}}\n{more}"
    file.write_text(text, encoding="utf-8")
    return file


def test_every_round_ranks_by_what_was_trained_before(
    folder: Path, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    spec = load_campaign(campaign(folder))
    check_inputs(spec)
    assert spec.prerelax is None and spec.surrogate.checkpoint == str(folder)
    database.campaigns.create(spec)
    told = load_surrogate(folder).predict(TRAIN)[ENERGY]
    for number in (1, 2):
        train_surrogate(database, spec, database.rounds.open(spec.id, number))
        kept = checkpoint(spec.id, number, "surrogate")
        assert np.array_equal(load_surrogate(kept).predict(TRAIN)[ENERGY].mean, told.mean, equal_nan=True)
        assert (kept / "origin.json").is_file() and not (kept / "training").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"more": "prerelax: {potential: chgnet}"}, "surrogate.checkpoint: learned no differences"),
        ({"surrogate": ", model: moments"}, "surrogate: model: a checkpoint has its own"),
        ({"surrogate": ", epochs: 5"}, "surrogate: epochs: a checkpoint has its own"),
        ({"elements": "Nb, Ti, O"}, "fit: was trained on no crystal with Ti"),
    ],
)
def test_what_does_not_go_with_it_is_named(folder: Path, given: dict[str, str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        check_inputs(load_campaign(campaign(folder, **given)))


def test_a_folder_without_a_surrogate_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"surrogate.checkpoint: .*nothing: no surrogate.json"):
        load_campaign(campaign(tmp_path / "nothing"))


def as_of_an_older_niobe(folder: Path) -> None:
    """Takes the kinds of nonmetals, which a domain did not know once, from a surrogate's checkpoint."""
    tensors = load_file(folder / "surrogate.safetensors")
    del tensors["domain.kinds"]
    save_file(tensors, folder / "surrogate.safetensors")


def test_a_checkpoint_of_an_older_niobe_is_refused_in_one_line(folder: Path) -> None:
    as_of_an_older_niobe(folder)
    says = r"surrogate.checkpoint: .*fit: of an older Niobe, .*; train it again with `niobe models fit`, into"
    with pytest.raises(ConfigError, match=says) as refused:
        check_inputs(load_campaign(campaign(folder)))
    assert "\n" not in str(refused.value)
