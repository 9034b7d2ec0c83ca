"""A pipe, a device, a loop of links where the home has a file or a folder: said, and nobody waits for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from niobe.config.errors import ConfigError
from niobe.config.home import unlike
from niobe.launchers.cli import app
from niobe.launchers.embedded import ensure_server, held, server_status, stop_server
from niobe.launchers.upkeep.doctor import examine
from niobe.launchers.upkeep.folders import misplaced

DATABASE = (
    *("niobe.sqlite", "niobe.sqlite-wal", "niobe.sqlite-shm", "acknowledged", "server.lock"),
    *("server.json", "server.log", "tcp.uri", "snapshots/2026-11-29T10-19-41.094926Z.sqlite"),
)
FILES = ("serve.token", "worker.log", "calculators.jsonl", "t.lock", *(f"db/{name}" for name in DATABASE))
FOLDERS = ("db", "checkpoints", "work", "failed", "results", "sources", "rockets", "db/snapshots")
HARMS: dict[str, Callable[[Path], object]] = {
    "pipe": os.mkfifo,
    "device": lambda path: path.symlink_to("/dev/zero"),
    "link to nothing": lambda path: path.symlink_to("/nowhere/at/all"),
    "link or path that leads nowhere": lambda path: path.symlink_to(path.name),
}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an empty folder of a database."""
    for variable in ("NIOBE_MONGO_URI", "NIOBE_EMBEDDED_URI", "NIOBE_DATABASE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "db").mkdir(parents=True, mode=0o700)
    return tmp_path / "home"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", (*FILES, *FOLDERS, ""))
def test_what_is_neither_file_nor_folder_is_said_and_nobody_waits_for_it(place: Path, name: str) -> None:
    other: tuple[str, Callable[[Path], object]] = (
        ("folder", Path.mkdir) if name in FILES else ("file", Path.touch)
    )
    path = place / name
    for what, harm in (*HARMS.items(), other):
        if name in {"", "db"}:
            path.rename(place.parent / "aside")
        path.parent.mkdir(parents=True, exist_ok=True)
        harm(path)
        found = [one for one in examine() if not one.fine]
        assert len(found) == 1, found
        assert f"{path}: a {what}" in found[0].says and "where a f" in found[0].says
        said = CliRunner().invoke(app, ["status"])
        assert isinstance(said.exception, ConfigError) and f"{path}: a {what}" in str(said.exception)
        path.rmdir() if path.is_dir() else path.unlink()
        if name in {"", "db"}:
            (place.parent / "aside").rename(path)


def test_links_to_files_and_folders_are_what_they_lead_to(place: Path, tmp_path: Path) -> None:
    """A home, or its large folders, may lie on another disk."""
    for name in FOLDERS:
        if name != "db":
            (tmp_path / "elsewhere" / name).mkdir(parents=True)
            (place / name).symlink_to(tmp_path / "elsewhere" / name)
    (tmp_path / "elsewhere" / "log").touch()
    (place / "worker.log").symlink_to(tmp_path / "elsewhere" / "log")
    try:
        ensure_server(place / "db")
        assert server_status(place / "db") is not None
        assert [one for one in examine() if not one.fine and one.about not in {"disk", "home"}] == []
    finally:
        stop_server(place / "db")


def test_a_server_is_neither_started_nor_kept_from_it_by_what_is_no_file(place: Path) -> None:
    os.mkfifo(place / "db" / "acknowledged")
    for use in (ensure_server, lambda folder: held(folder).__enter__()):
        with pytest.raises(ConfigError, match="acknowledged: a pipe, where a file belongs; move it away"):
            use(place / "db")


def test_a_campaigns_folder_that_is_none_is_said(place: Path) -> None:
    (place / "checkpoints").mkdir()
    (place / "checkpoints" / "t").touch()
    (place / "results").mkdir()
    (place / "results" / "t").symlink_to("/dev/null")
    (place / "work").mkdir()
    (place / "work" / "notes.txt").touch()  # of no campaign: somebody's own
    found = [problem.replace(str(place), "HOME") for problem in misplaced(["t", "u", "../x"])]
    assert found == [
        "HOME/checkpoints/t: a file, where a folder belongs",
        "HOME/results/t: a device, where a folder belongs",
    ]


def test_below_a_file_lies_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert unlike(tmp_path / "file" / "below", "file") == ""
