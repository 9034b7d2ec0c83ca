"""GPAW in a process of its own: started, bounded in time, killed with its ranks, read when it ended."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from niobe.config.errors import ConfigError
from niobe.config.settings import Settings
from niobe.flows.oracles.base import CalculationDiedError, NotConvergedError
from niobe.flows.oracles.potentials import WallTimeError

PROGRAM = Path(__file__).with_name("worker.py")
INSTALL = "apt install libxc-dev libopenblas-dev libopenmpi-dev, then pip install 'niobe-crystals[gpaw]'"
_KILLED_AFTER = 5.0
_MOST_OF_A_MESSAGE = 300


def python() -> str:
    """The Python that has GPAW: NIOBE_GPAW_PYTHON, or Niobe's own."""
    return Settings().gpaw_python or sys.executable


@functools.cache
def installed(program: str) -> dict[str, Any]:
    """Versions of GPAW and its datasets, and the elements these hold.

    program: the Python that has them. Raises ConfigError where it has none.
    """
    try:
        done = subprocess.run(
            [program, str(PROGRAM), "--version"], capture_output=True, text=True, timeout=120, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"NIOBE_GPAW_PYTHON={program!r}: cannot be run ({error})") from None
    if done.returncode != 0:
        why = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ConfigError(f"oracle gpaw: {program} has no GPAW ({why}): {INSTALL}")
    try:
        found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise ConfigError(f"oracle gpaw: {program} gave no answer; is it a Python?") from None
    return found


def ask(task: Mapping[str, Any], folder: Path, deadline: float) -> dict[str, Any]:
    """What the program answers to a task.

    task: as worker.py reads it. folder: where its files go. deadline: when it is killed, in seconds since the
    epoch. Raises WallTimeError, NotConvergedError for electrons, CalculationDiedError for what was killed,
    crashed or left no whole answer, ConfigError for a missing dataset.
    """
    folder.mkdir(parents=True, exist_ok=True)
    answer = folder / "answer.json"
    answer.unlink(missing_ok=True)
    (folder / "task.json").write_text(json.dumps(dict(task)), encoding="utf-8")
    with (folder / "gpaw.err").open("w", encoding="utf-8") as errors:
        process = subprocess.Popen(
            [*_command(), str(PROGRAM), str(folder)],
            stdin=subprocess.PIPE,  # its end is the program's
            stdout=errors,
            stderr=errors,
            env=_environment(),
            start_new_session=True,
        )
        try:
            code = process.wait(timeout=max(deadline - time.time(), 0.0))
        except subprocess.TimeoutExpired:
            raise WallTimeError("wall time of one validation used up") from None
        finally:
            _end(process)
            if process.stdin:
                process.stdin.close()
    return _read(answer, folder, code)


def _command() -> list[str]:
    ranks = Settings().gpaw_ranks
    several = ["mpiexec", "-n", str(ranks), python(), "-m", "gpaw", "python"]
    return several if ranks > 1 else [python()]


def _environment() -> dict[str, str]:
    """One thread a rank: more make it many times slower. As root OpenMPI wants to be told twice."""
    found = dict(os.environ) | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    if hasattr(os, "geteuid") and os.geteuid() == 0:
        found |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill the program with all its ranks, where it has not ended; it has a session of its own."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if process.poll() is not None:
            return
        os.killpg(process.pid, sign)
        try:
            process.wait(timeout=_KILLED_AFTER)
        except subprocess.TimeoutExpired:
            continue


def _read(answer: Path, folder: Path, code: int) -> dict[str, Any]:
    if code != 0 or not answer.exists():
        said = (folder / "gpaw.err").read_text(encoding="utf-8", errors="replace").split()
        tail = " ".join(said)[-_MOST_OF_A_MESSAGE:]
        raise CalculationDiedError(f"GPAW ended with code {code} and no answer: {tail or 'it said nothing'}")
    content: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
    if "error" not in content:
        return content
    message = " ".join(str(content["message"]).split())[:_MOST_OF_A_MESSAGE]
    if content["error"] == "electrons":
        raise NotConvergedError(f"electrons did not converge, nor with careful mixing: {message}")
    if content["error"] == "setups":
        raise ConfigError(f"oracle gpaw: a PAW dataset is missing: {message}")
    raise CalculationDiedError(f"GPAW needed more than NIOBE_GPAW_MEMORY allows: {message}")
