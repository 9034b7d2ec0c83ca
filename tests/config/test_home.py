"""Where everything lies: variables that are empty say nothing, and a loop of links is a line."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from niobe.config.home import home, resolved
from niobe.config.settings import Settings
from niobe.launchers.cli.commands import run


@pytest.mark.parametrize("name", ["HOME", "DATABASE", "OFFLINE", "WORKERS", "MONGO_URI", "GPAW_RANKS"])
def test_an_empty_variable_is_as_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(f"NIOBE_{name}", raising=False)
    unset = Settings()
    monkeypatch.setenv(f"NIOBE_{name}", "")
    assert Settings() == unset


def test_an_empty_home_is_not_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIOBE_HOME", "")
    assert home() == tmp_path / ".niobe"


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for one, other in (("one", "other"), ("other", "one")):
        (tmp_path / one).symlink_to(tmp_path / other)
    assert resolved(tmp_path / "link" / "x") == Path(os.path.realpath(tmp_path)) / "real" / "x"
    assert resolved(tmp_path / "one" / "db").is_absolute()


@pytest.mark.parametrize(
    "command",
    [
        *(["status"], ["doctor"], ["db", "status"], ["db", "stop"], ["check", "LOOP"], ["launch", "LOOP"]),
        *(["import", "LOOP"], ["ingest", "LOOP"], ["db", "restore", "LOOP"]),
    ],
)
def test_a_loop_of_links_is_a_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    monkeypatch.delenv("NIOBE_MONGO_URI", raising=False)
    monkeypatch.setenv("NIOBE_HOME", str(loop))
    monkeypatch.setattr(sys, "argv", ["niobe", *(str(loop) if word == "LOOP" else word for word in command)])
    with pytest.raises(SystemExit) as ended:
        run()
    said = capsys.readouterr()
    assert ended.value.code in {0, 1, 2} and "Traceback" not in said.err and said.err.count("\n") <= 1
