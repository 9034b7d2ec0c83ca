"""What a campaign file names and could not be used is said before anything is spent."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.checks import check_inputs
from tests.loop.factory import nbo, rutile


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "garbage.cif").write_text("nothing of a crystal", encoding="utf-8")
    (tmp_path / "empty").mkdir()
    (tmp_path / "gan").mkdir()
    (tmp_path / "gan" / "gan.json").write_text("{}", encoding="utf-8")
    own = tmp_path / "own"
    own.mkdir()
    nbo().to(str(own / "nbo.cif"))
    rutile().to(str(own / "rutile.cif"))
    return tmp_path


def spec(place: Path, **content: Any) -> CampaignSpec:
    return CampaignSpec.model_validate({"id": "a", "elements": ["Nb", "O"], **content})


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        (
            "seeds",
            {"exclude": ["NbO2"]},
            "'NbO2' is neither a file nor an AFLOW prototype label of Nb-O, such as",
        ),
        (
            "seeds",
            {"exclude": ["{}/garbage.cif"]},
            "seeds.exclude: {}/garbage.cif: no structure could be read",
        ),
        ("seeds", {"exclude": ["{}/empty"]}, "seeds.exclude: {}/empty: no structure could be read from it"),
        ("seeds", {"files": ["{}/garbage.cif"]}, "seeds.files: {}/garbage.cif: no structure could be read"),
        ("corpus", "{}/garbage.cif", "corpus: {}/garbage.cif: no structure could be read from it"),
        (
            "corpus",
            "{}/own/nbo.cif",
            "corpus: {}/own/nbo.cif: holds structures of exactly Nb-O only; the GAN learns from",
        ),
        ("corpus", "{}/gan", "corpus: {}/gan: a GAN checkpoint of version"),
        ("surrogate", {"options": {"foo": 1}}, "surrogate.options: option 'foo' is unknown"),
    ],
)
def test_what_could_not_be_used_is_named(place: Path, key: str, value: Any, says: str) -> None:
    def put(text: Any) -> Any:
        if isinstance(text, str):
            return text.replace("{}", str(place))
        return {name: [put(one) for one in many] for name, many in text.items()} if key == "seeds" else text

    with pytest.raises(ConfigError, match=re.escape(says.replace("{}", str(place)))):
        check_inputs(spec(place, **{key: put(value)}))


@pytest.mark.parametrize("model", ["auto", "gbt_magpie"])
def test_a_package_that_is_not_installed_is_named(
    place: Path, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setitem(sys.modules, "matminer", None)
    says = r"model gbt_magpie needs matminer, .*: pip install 'niobe-crystals\[descriptors\]'"
    with pytest.raises(ConfigError, match=says):
        check_inputs(spec(place, surrogate={"model": model}))


def test_structures_in_seed_files_are_counted(place: Path) -> None:
    seeds = {"files": [str(place / "own")], "exclude": ["AB_cP6_221_c_d Nb-O"]}
    assert check_inputs(spec(place, seeds=seeds)) == 2
    assert check_inputs(spec(place)) == 0
