"""Workers are forked from one process that has the libraries, and are what own processes would be."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ASK = """
import os, sys
from niobe.launchers.local.executor import _new_pool, _no_main_module, _no_working_folder
def ask(name):
    with _no_main_module(), _no_working_folder():
        return pool.submit(os.getenv, name).result()
def worker():
    with _no_main_module(), _no_working_folder():
        return pool.submit(os.getpid).result()
"""


def environment(folder: Path) -> dict[str, str]:
    (folder / "home").mkdir(exist_ok=True)
    return os.environ | {"NIOBE_HOME": str(folder / "home"), "OMP_NUM_THREADS": "2", "OF_THE_PARENT": "first"}


def test_each_pool_sees_the_variables_of_its_time(tmp_path: Path) -> None:
    """Forked where only Niobe's own changed, which nothing reads as it is imported, and torch's, which it
    sets itself."""
    script = ASK + (
        "pool = _new_pool(1)\n"
        "first = ask('OF_THE_PARENT'), ask('OMP_NUM_THREADS'), os.environ['OMP_NUM_THREADS']\n"
        "pool.shutdown()\n"
        "os.environ['NIOBE_DATABASE'] = 'other'\n"
        "os.environ['KMP_INIT_AT_FORK'] = 'FALSE'\n"
        "pool = _new_pool(1)\n"
        "own = ask('NIOBE_DATABASE'), pool._mp_context.get_start_method()\n"
        "pool.shutdown()\n"
        "os.environ['OF_THE_PARENT'] = 'second'\n"
        "pool = _new_pool(1)\n"
        "print(*first, *own, ask('OF_THE_PARENT'), pool._mp_context.get_start_method())\n"
        "pool.shutdown()\n"
    )
    answer = subprocess.run(
        [sys.executable, "-P", "-c", script],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=120,
    )
    wanted = ["first", "1", "2", "other", "forkserver", "second", "spawn"]
    assert answer.stdout.split() == wanted, answer.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_workers_end_with_the_process_that_was_killed(tmp_path: Path) -> None:
    script = ASK + "pool = _new_pool(1)\nprint(worker(), flush=True)\nsys.stdin.read()\n"
    with subprocess.Popen(
        [sys.executable, "-P", "-c", script],
        env=environment(tmp_path),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        worker = int(process.stdout.readline())
        assert Path(f"/proc/{worker}").exists()
        process.send_signal(signal.SIGKILL)
    ends = time.monotonic() + 30
    while is_alive(worker):
        assert time.monotonic() < ends
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
