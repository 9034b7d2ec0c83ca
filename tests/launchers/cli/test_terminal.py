"""What a terminal gets: colours where they are wanted, completion, local times."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from niobe.launchers.terminal import local_time

MAIN = "import sys; sys.argv[0] = 'niobe'; from niobe.launchers.cli import main; main()"
COLOUR = re.compile(r"\x1b\[[0-9;]*(3[0-7]|9[0-7]|38;)[0-9;]*m")


def environment(folder: Path, **more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("NIOBE_", "NO_COLOR", "FORCE_COLOR"))}
    root = str(Path(__file__).parents[3])
    return kept | {"NIOBE_HOME": str(folder / "home"), "PYTHONPATH": root, "TERM": "xterm-256color"} | more


def on_a_terminal(folder: Path, *arguments: str, **more: str) -> str:
    """What a command writes where stdout is a terminal."""
    ours, its = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-c", MAIN, *arguments], cwd=folder, env=environment(folder, **more), stdout=its
    ):
        os.close(its)
        said = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # The other end is closed.
                break
            if not part:
                break
            said += part
    os.close(ours)
    return said.decode()


@pytest.fixture
def file(tmp_path: Path) -> str:
    (tmp_path / "c.yaml").write_text("id: c\nelements: [Cu, Au]\noracle: {name: emt}\n", encoding="utf-8")
    return "c.yaml"


@pytest.mark.parametrize("command", [["check", "c.yaml"], ["--help"]])
def test_colours_are_for_terminals_that_want_them(tmp_path: Path, file: str, command: list[str]) -> None:
    coloured = on_a_terminal(tmp_path, *command)
    assert "\x1b[" in coloured
    plain = on_a_terminal(tmp_path, *command, NO_COLOR="1")
    assert not COLOUR.search(plain)
    piped = subprocess.run(
        [sys.executable, "-c", MAIN, *command],
        cwd=tmp_path,
        env=environment(tmp_path),
        capture_output=True,
        check=True,
    )
    assert b"\x1b" not in piped.stdout


@pytest.mark.parametrize(
    ("shell", "more"),
    [
        ("bash", {"COMP_WORDS": "niobe la", "COMP_CWORD": "1"}),
        ("zsh", {"_TYPER_COMPLETE_ARGS": "niobe la"}),
        (
            "fish",
            {"_TYPER_COMPLETE_ARGS": "niobe la", "_TYPER_COMPLETE_FISH_ACTION": "get-args"},
        ),
    ],
)
def test_a_shell_completes_commands(tmp_path: Path, shell: str, more: dict[str, str]) -> None:
    asked = environment(tmp_path, _NIOBE_COMPLETE=f"complete_{shell}", **more)
    answer = subprocess.run(
        [sys.executable, "-c", MAIN], cwd=tmp_path, env=asked, capture_output=True, text=True, check=True
    )
    assert "launch" in answer.stdout and "status" not in answer.stdout
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("zone", "shown"),
    [
        ("UTC", "2026-11-28 23:30"),
        ("Asia/Tokyo", "2026-11-29 08:30"),
        ("America/New_York", "2026-11-28 18:30"),
    ],
)
def test_times_are_those_of_the_machine(monkeypatch: pytest.MonkeyPatch, zone: str, shown: str) -> None:
    import time

    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert local_time("2026-11-28T23:30:59+00:00") == shown
    finally:
        monkeypatch.undo()
        time.tzset()
