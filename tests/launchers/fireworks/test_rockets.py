"""The rockets of one machine: what is left of an interrupt."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from niobe.launchers.fireworks.rockets import Interrupts, _retrying


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupt_that_was_swallowed_is_raised_at_the_next_check(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Interrupts() as interrupts:
        interrupts.check()
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(number)
        with pytest.raises(KeyboardInterrupt):
            interrupts.check()
    assert signal.getsignal(number) is before


def test_an_interrupt_leaves_the_exit_code_alone(tmp_path: Path) -> None:
    """Wherever it comes: code compiled from a string is where Python takes note of it for the very end."""
    (tmp_path / "interrupted.py").write_text(
        "import sys\n"
        "from niobe.launchers.fireworks.rockets import Interrupts\n"
        "try:\n"
        "    with Interrupts():\n"
        "        exec('import signal; signal.raise_signal(signal.SIGTERM)')\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(130)\n"
    )
    path = os.pathsep.join([str(Path(__file__).parents[3]), str(tmp_path)])
    command = [sys.executable, "-m", "interrupted"]
    assert subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=False).returncode == 130


def lose(message: str) -> None:
    raise RuntimeError(message)


def test_a_lost_connection_that_fireworks_wraps_is_waited_out(capsys: pytest.CaptureFixture[str]) -> None:
    with _retrying():
        lose("Error refreshing workflow: pymongo.errors.AutoReconnect: mongo.sock: Broken pipe")
    assert "database lost" in capsys.readouterr().err
    with pytest.raises(RuntimeError, match="another"), _retrying():
        lose("another")
