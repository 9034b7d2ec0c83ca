"""A checkpoint folder that a stranger made, or that was cut short, is refused in one line."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from niobe.surrogates.gan import CrystalGAN
from niobe.surrogates.models import load_surrogate, make_surrogate
from niobe.surrogates.protocols import Prediction
from tests.loop.factory import nbo, rocksalt, rutile

ROWS = [build(size) for size in (4.1, 4.2, 4.3, 4.4) for build in (nbo, rocksalt)] + [rutile()]
KINDS = ("gbt", "schnet", "gan")
FILES = {"gbt": "surrogate.json", "schnet": "surrogate.json", "gan": "gan.json"}
Harm = Callable[[Path], object]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A whole checkpoint of each kind."""
    folders = {kind: tmp_path_factory.mktemp(kind) for kind in KINDS}
    for kind in ("gbt", "schnet"):
        model = make_surrogate(kind, members=1, epochs=1)
        model.fit(ROWS, {"formation_energy_per_atom": np.linspace(-1, 0, len(ROWS))}, seed=0)
        model.save(folders[kind])
    gan = CrystalGAN(epochs=1)
    gan.fit(ROWS, np.ones(len(ROWS)), seed=0)
    gan.save(folders["gan"])
    return folders


def load(kind: str, folder: Path) -> object:
    return CrystalGAN.load(folder) if kind == "gan" else load_surrogate(folder)


def refused(kind: str, folder: Path) -> None:
    with pytest.raises(ValueError) as error:
        load(kind, folder)
    said = str(error.value)
    assert "checkpoint" in said or "train it again" in said, said
    assert "\n" not in said and len(said) < 800, said


def answers(found: object) -> None:
    """What was read is whole: it says something of a crystal."""
    if not isinstance(found, CrystalGAN):
        said: dict[str, Prediction] = found.predict([nbo()])  # type: ignore[attr-defined]
        assert np.isfinite(said["formation_energy_per_atom"].mean).all()


ODD: tuple[object, ...] = (-1, 0.5, "x", [None], {"x": []}, None)
TEXTS = {
    "deep": "[" * 100_000,
    "deep objects": '{"a":' * 100_000,
    "a list": "[]",
    "a number": "1",
    "null": "null",
    "empty": "",
    "cut short": '{"model": "gbt"',
    "no UTF-8": "\udcff",
    "half a letter": '{"model": "\\ud800"}',
    "an empty object": "{}",
    "many digits": '{"model": ' + "9" * 10_000 + "}",
    "another model": '{"model": "nothing", "version": 1}',
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", TEXTS)
def test_settings_that_are_none_are_refused(
    made: dict[str, Path], tmp_path: Path, kind: str, text: str
) -> None:
    folder = shutil.copytree(made[kind], tmp_path / "c")
    (folder / FILES[kind]).write_bytes(TEXTS[text].encode(errors="surrogateescape"))
    refused(kind, folder)


@pytest.mark.parametrize("kind", KINDS)
def test_no_value_of_another_type_ends_it(made: dict[str, Path], tmp_path: Path, kind: str) -> None:
    """Each setting is left out, and is a number, a text, a list, an object and nothing: refused in a line, or
    read, where nothing hangs on it."""
    folder = shutil.copytree(made[kind], tmp_path / "c")
    file = folder / FILES[kind]
    whole: dict[str, Any] = json.loads(file.read_text())
    for key in whole:
        without = {name: value for name, value in whole.items() if name != key}
        for changed in (without, *(whole | {key: odd} for odd in ODD)):
            file.write_text(json.dumps(changed))
            try:
                found = load(kind, folder)
            except ValueError:
                refused(kind, folder)
            else:
                answers(found)
    file.write_text(json.dumps(whole))
    load(kind, folder)


def _to_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


def _to_a_link(file: Path) -> None:
    file.unlink()
    file.symlink_to(file.with_name("nothing"))


HARMS: dict[str, Harm] = {
    "gone": Path.unlink,
    "empty": lambda file: file.write_bytes(b""),
    "cut short": lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
    "a longer header than file": lambda file: file.write_bytes(b"\xff" * 8 + file.read_bytes()[8:]),
    "text": lambda file: file.write_text("no tensors"),
    "a folder": _to_a_folder,
    "a link to nothing": _to_a_link,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("harm", HARMS)
def test_tensors_that_are_none_are_refused(
    made: dict[str, Path], tmp_path: Path, kind: str, harm: str
) -> None:
    names = [
        file.name for file in sorted(made[kind].glob("*.safetensors")) if file.name != "trees.safetensors"
    ]
    for name in names:
        folder = shutil.copytree(made[kind], tmp_path / name)
        HARMS[harm](folder / name)
        refused(kind, folder)


@pytest.mark.parametrize("kind", ["gbt", "gan"])
def test_depth_ends_no_process_where_a_library_raised_the_recursion_limit(tmp_path: Path, kind: str) -> None:
    (tmp_path / FILES[kind]).write_text("[" * 300_000)
    code = (
        "import pathlib, sys; sys.setrecursionlimit(10**6)\n"
        "from niobe.surrogates.gan import CrystalGAN\n"
        "from niobe.surrogates.models import load_surrogate\n"
        "load = CrystalGAN.load if sys.argv[1] == 'gan' else load_surrogate\n"
        "try: load(pathlib.Path(sys.argv[2]))\n"
        "except ValueError as error: print(error)"
    )
    command = [sys.executable, "-c", code, kind, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and "JSON more than 100 levels deep" in done.stdout, done.stderr
