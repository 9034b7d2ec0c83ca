"""A GAN trained once by the command is where a campaign's GAN begins."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pymatgen.core import Structure
from typer.testing import CliRunner

from niobe.config.errors import ConfigError
from niobe.config.home import checkpoint
from niobe.config.loading import load_campaign
from niobe.config.version import code_version
from niobe.flows.steps.train import corpus_without, train_gan
from niobe.launchers.cli import app
from niobe.loop.generators.prototypes import decorated_prototypes
from niobe.loop.store.database import Database
from niobe.surrogates.gan import CrystalGAN
from niobe.surrogates.protocols import SampleRequest


def table(file: Path, structures: list[Structure]) -> Path:
    pd.DataFrame(
        {
            "lattice": [s.lattice.matrix.ravel() for s in structures],
            "numbers": [list(s.atomic_numbers) for s in structures],
            "frac_coords": [s.frac_coords.ravel() for s in structures],
            "e_hull": np.zeros(len(structures)),
        }
    ).to_parquet(file)
    return file


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    titanium = [s for _, s in decorated_prototypes(("Ti", "N"), 6)][:20]
    niobium = [s for _, s in decorated_prototypes(("Nb", "O"), 6)][:5]
    return table(tmp_path_factory.mktemp("corpus") / "corpus.parquet", [*titanium, *niobium])


@pytest.fixture(scope="module")
def trained(corpus: Path) -> Path:
    folder = corpus.parent / "gan"
    arguments = ["train-gan", str(corpus), str(folder), "--without", "Nb-O", "--epochs", "1"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    told = re.search(r"trained on (\d+) of 20 structures", result.output)
    assert told and 0 < int(told.group(1)) == CrystalGAN.load(folder).learned_from <= 20
    return folder


def test_a_checkpoint_names_its_code_and_data(corpus: Path, trained: Path) -> None:
    known = json.loads((trained / "origin.json").read_text(encoding="utf-8"))
    digest = hashlib.sha256(corpus.read_bytes()).hexdigest()
    data = {"count": 1, "sha256": hashlib.sha256(digest.encode()).hexdigest()}
    assert known == {"code": code_version(), "data": data}


def test_what_is_of_exactly_these_elements_is_left_out(corpus: Path) -> None:
    assert len(corpus_without(corpus, ["O", "Nb"])) == 20
    assert len(corpus_without(corpus, ["Nb"])) == 25


def test_a_campaign_begins_with_the_trained_gan(
    trained: Path, database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    file = tmp_path / "campaign.yaml"
    file.write_text(
        f"id: begun\nelements: [Nb, O]\ncorpus: {trained}\n"
        "generation: {finetune: false, mix: [{name: gan}]}\n",
        encoding="utf-8",
    )
    spec = load_campaign(file)
    database.campaigns.create(spec)
    train_gan(database, spec, database.rounds.open(spec.id, 1))
    request = SampleRequest(elements=("Nb", "O"), max_atoms=6)
    own = CrystalGAN.load(checkpoint(spec.id, 1, "gan")).sample(request, 3, seed=4)
    first = CrystalGAN.load(trained).sample(request, 3, seed=4)
    assert [s.structure for s in own.samples] == [s.structure for s in first.samples]


def test_a_trained_gan_is_not_overwritten(trained: Path, corpus: Path) -> None:
    with pytest.raises(ConfigError, match="is there already; allowed: a new or an empty folder"):
        CliRunner().invoke(app, ["train-gan", str(corpus), str(trained)], catch_exceptions=False)


def test_a_misspelt_element_is_no_way_to_leave_nothing_out(corpus: Path, tmp_path: Path) -> None:
    arguments = ["train-gan", str(corpus), str(tmp_path / "gan"), "--without", "Nb-o"]
    with pytest.raises(ConfigError, match="--without: unknown element 'o'"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_a_folder_without_a_gan_is_no_corpus(tmp_path: Path) -> None:
    file = tmp_path / "campaign.yaml"
    file.write_text(f"id: a\nelements: [Nb, O]\ncorpus: {tmp_path}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"holds no gan\.json"):
        load_campaign(file)


def test_nothing_to_train_on_is_said(tmp_path: Path) -> None:
    file = table(tmp_path / "own.parquet", [s for _, s in decorated_prototypes(("Nb", "O"), 6)][:3])
    arguments = ["train-gan", str(file), str(tmp_path / "gan"), "--without", "Nb-O"]
    with pytest.raises(ConfigError, match="holds structures of exactly Nb-O only"):
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert not (tmp_path / "gan").exists()
