"""Force constants that someone else stored: data of phonopy's form, or one line; nothing else is read."""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from niobe.config.errors import ConfigError
from niobe.config.spec import Phonons
from niobe.loop.stability.force_constants import loaded, unpacked
from niobe.loop.stability.phonons import dynamics
from tests.loop.stability.test_phonons import copper, emt_forces


@pytest.fixture(scope="module")
def stored() -> str:
    return str(dynamics(copper(), emt_forces, Phonons(min_length=6.0)).bands["phonopy"])  # type: ignore[arg-type]


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content, 9)).decode()


def test_files_of_the_working_folder_are_not_read(
    stored: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = loaded(stored)
    for name in ("FORCE_CONSTANTS", "FORCE_SETS", "BORN", "force_constants.hdf5"):
        (tmp_path / name).write_text("1 1\n" * 9)
    monkeypatch.chdir(tmp_path)
    assert np.array_equal(loaded(stored).force_constants, before.force_constants)


HOSTILE = {
    "deep brackets": b"a: " + b"[" * 100_000,
    "deep blocks": b"- " * 100_000,
    "deeper and deeper": b"".join(b" " * n + b"a:\n" for n in range(2_000)),
    "keys of keys": b"? " * 50_000,
    "braces": b"{a: " * 50_000,
    "anchors": b"a: &a [1]\nb: [*a, *a]\n",
    "a tag": b"a: !!python/object/apply:os.system [x]\n",
    "nothing": b"",
    "a number": b"5",
    "a list": b"[1, 2]",
    "no YAML": b"a: [",
    "a long number": b"x: " + b"1" * 10_000,
    "too long": b"#" * (33 * 2**20),
}


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE)
def test_what_is_none_is_one_line(content: bytes) -> None:
    with pytest.raises(ConfigError) as refused:
        loaded(packed(content))
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 300


CHANGES = [
    (rb"(supercell_matrix:\n- \[ +)-?\d+", rb"\g<1>2000"),
    (rb"(primitive_matrix:\n- \[ +)[\d.]+", rb"\g<1>1000.0"),
    (rb"symbol: Cu", rb"symbol: Xx"),
    (rb"atom: +1", rb"atom: 99999"),
    (rb"(forces:\n  - \[ +)[-\d.]+", rb"\g<1>.nan"),
    (rb"(forces:\n  - \[ +)[-\d.]+,", rb"\g<1>"),
    (rb"(?s)displacements:.*", rb""),
    (rb"(?s)unit_cell:.*?supercell:", rb"supercell:"),
]


@pytest.mark.parametrize(("old", "new"), CHANGES, ids=range(len(CHANGES)))
def test_what_is_changed_is_one_line(stored: str, old: bytes, new: bytes) -> None:
    content = unpacked(stored)
    changed = re.sub(old, new, content, count=1)
    assert changed != content
    with pytest.raises(ConfigError, match="cannot be read"):
        loaded(packed(changed))
