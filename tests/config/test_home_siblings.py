"""Homes that cannot be one: too long, of no user, below a file, a link to nowhere, on a disk without room."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from niobe.config.settings import LONGEST_HOME
from niobe.launchers.cli.commands import run
from niobe.launchers.embedded import stop_server


def of_length(top: Path, size: int) -> str:
    """A path below a folder that has so many bytes, in names of 100 at most."""
    path = str(top)
    while len(path) < size:
        path += "/" + "x" * min(100, max(1, size - len(path) - 1))
    return path[: size - 1] + "x"


def linked(top: Path, to: str) -> str:
    (top / "link").symlink_to(to)
    return str(top / "link")


def file(top: Path) -> str:
    (top / "file").write_text("x")
    return str(top / "file")


HOMES: dict[str, tuple[Callable[[Path], str], str]] = {
    **{
        f"{size} bytes": (
            lambda top, size=size: of_length(top, size),  # type: ignore[misc]
            f"NIOBE_HOME: its absolute path has {size} bytes; at most {LONGEST_HOME} are allowed",
        )
        for size in (LONGEST_HOME + 1, 490, 505, 513, 600, 1000, 3_900, 4_095, 4_096, 4_200, 100_000)
    },
    "a name of 256 bytes": (lambda top: str(top / ("y" * 256)), "a name in it has 256 bytes; at most 255"),
    "umlauts": (lambda top: str(top / ("ä" * 128)), "a name in it has 256 bytes; at most 255"),
    "a long name above": (lambda top: str(top / ("y" * 257) / "x"), "a name in it has 257 bytes"),
    "a link to a long path": (lambda top: linked(top, of_length(top, 450)), "a path of|link to nothing"),
    "a folder of nobody": (lambda _: "~no-such-user/home", "the folder of a user who is not there"),
    "a file": (file, "a file, where a folder belongs"),
    "below a file": (lambda top: f"{file(top)}/home", "Not a directory|a file, where"),
    "a link to nothing": (lambda top: linked(top, "nowhere/x"), "a link to nothing, where a folder belongs"),
    "below a link to nothing": (lambda top: linked(top, "nowhere") + "/home", "a link to nothing, where a"),
    "a loop of links": (lambda top: linked(top, "link"), "leads nowhere"),
    "below a loop": (lambda top: linked(top, "link") + "/home", "leads nowhere"),
    "a device": (lambda _: "/dev/null", "a device, where a folder belongs"),
    "below a device": (lambda _: "/dev/null/home", "Not a directory"),
    "where nobody writes": (lambda _: "/proc/home", "/proc/home: "),
    "where the kernel writes": (lambda _: "/sys/home", "/sys/home: "),
}
COMMANDS = [["status"], ["db", "status"], ["db", "start"], ["doctor"]]


@pytest.fixture
def said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[str, list[str]], str]:
    """What a command says in a home; no more than a line of it are complaints."""
    for name in ("MONGO_URI", "EMBEDDED_URI", "DATABASE"):
        monkeypatch.delenv(f"NIOBE_{name}", raising=False)

    def say(home: str, command: list[str]) -> str:
        monkeypatch.setenv("NIOBE_HOME", home)
        monkeypatch.setattr(sys, "argv", ["niobe", *command])
        with pytest.raises(SystemExit) as ended:
            run()
        printed = capsys.readouterr()
        assert ended.value.code in {None, 0, 1, 2} and printed.err.count("\n") <= 1
        assert "Traceback" not in printed.err and len(printed.err) < 1_000
        return printed.err + printed.out

    return say


@pytest.mark.parametrize("name", HOMES)
def test_a_home_that_cannot_be_one_is_a_line(
    said: Callable[[str, list[str]], str], tmp_path: Path, name: str
) -> None:
    make, wanted = HOMES[name]
    home = make(tmp_path)
    found = [said(home, command) for command in COMMANDS]
    assert any(part in found[0] for part in wanted.split("|")), found[0]
    assert not list(tmp_path.rglob("*.sqlite"))


def test_the_longest_home_is_one(said: Callable[[str, list[str]], str], tmp_path: Path) -> None:
    home = of_length(tmp_path, LONGEST_HOME)
    try:
        assert "started the embedded database" in said(home, ["status"])
        assert "stopped" in said(home, ["db", "stop"])
        assert list(Path(home, "db", "snapshots").glob("*.sqlite"))
    finally:
        stop_server(Path(home, "db"))


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    (disk / "filler").write_bytes(os.urandom(65_536 - 8_192))
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_home_on_a_disk_without_room_is_a_line(
    said: Callable[[str, list[str]], str], full_disk: Path
) -> None:
    found = said(str(full_disk / "home"), ["status"])
    assert "free on its disk" in found or "No space left" in found
