"""Ctrl-C at any moment of a command's first seconds: code 130, one line, no traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from niobe.launchers.interrupts import held_back

STARTED = "import os; from niobe.launchers.cli import main; os.write(1, b'x'); main()"


@pytest.mark.parametrize(
    "command", [["launch", "c.yaml"], ["status"], ["check", "c.yaml"], ["best", "--json"]]
)
@pytest.mark.parametrize("after", [0.02, 0.1, 0.25, 0.5, 0.9, 1.6])
def test_an_early_interrupt_is_no_traceback(tmp_path: Path, command: list[str], after: float) -> None:
    """The clock starts with the command's first line: what Python does before, no program can change."""
    (tmp_path / "c.yaml").write_text("id: c\nelements: [Cu, Au]\noracle: {name: emt}\nprerelax: null\n")
    environment = os.environ | {"NIOBE_HOME": str(tmp_path / "home")}
    running = subprocess.Popen(
        [sys.executable, "-c", STARTED, *command],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert running.stdout is not None
    running.stdout.read(1)
    time.sleep(after)
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    stop(tmp_path / "home")
    assert b"Traceback" not in said, said.decode()
    if running.returncode != 130:
        assert running.returncode in {0, 2} and b"interrupted" not in said
    else:
        assert b"niobe: interrupted" in said


def test_an_interrupt_waits_until_what_is_begun_is_whole() -> None:
    done: list[str] = []
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), held_back():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["whole"]


def test_an_interrupt_in_a_destructor_is_not_lost() -> None:
    """Python drops what a destructor raises."""
    script = """
import signal, time
from niobe.launchers import interrupts
class Held:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
interrupts.interrupt()
try:
    Held()
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted in time")
"""
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "interrupted in time\n"
    assert "Traceback" not in ran.stderr


def stop(home: Path) -> None:
    from niobe.launchers.embedded import stop_server

    if (home / "db").is_dir():
        stop_server(home / "db")
