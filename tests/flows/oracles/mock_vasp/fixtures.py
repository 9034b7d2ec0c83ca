"""A machine on which VASP is mock-vasp, for tests that ask the oracle in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.flows.oracles.mock_vasp.machine import COMMAND, ROOT

UseMock = Callable[[str], None]


@pytest.fixture(scope="session")
def potcars(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of made-up POTCARs."""
    from niobe.flows.oracles.mock_vasp.potcars import write_potcars

    folder = tmp_path_factory.mktemp("psp")
    write_potcars(folder)
    return folder


@pytest.fixture
def use_mock(potcars: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> UseMock:
    """Makes mock-vasp with the potential given what atomate2 runs. pymatgen reads its settings once."""
    from pymatgen.core import SETTINGS

    nobodys = tmp_path / "atomate2.yaml"
    nobodys.write_text("{}", encoding="utf-8")

    def use(potential: str) -> None:
        for name in ("ATOMATE2_VASP_CMD", "ATOMATE2_VASP_GAMMA_CMD"):
            monkeypatch.setenv(name, COMMAND)
        monkeypatch.setenv("ATOMATE2_CONFIG_FILE", str(nobodys))
        monkeypatch.setenv("MOCK_VASP_POTENTIAL", potential)
        monkeypatch.setenv("PYTHONPATH", str(ROOT))
        monkeypatch.setitem(SETTINGS, "PMG_VASP_PSP_DIR", str(potcars))

    return use
