"""Modules that lie in the folder where Niobe runs are not imported by Niobe or what it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = (
    *("multiprocessing", "random", "json", "logging", "socket", "tempfile", "config", "flows", "loop"),
    *(
        "launchers",
        "surrogates",
        "niobe",
        "sitecustomize",
        "usercustomize",
        "yaml",
        "numpy",
        "torch",
        "fireworks",
    ),
    *("jobflow", "pymongo", "rich", "typer", "pydantic", "_posixsubprocess", "secrets", "struct"),
)
WORKERS = """
import os
from niobe.launchers.local.executor import _new_pool, _no_main_module, _no_working_folder
pool = _new_pool(1)
with _no_main_module(), _no_working_folder():
    future = pool.submit(os.getenv, "PYTHONSAFEPATH")
print(future.result(), os.environ.get("PYTHONSAFEPATH"))
pool.shutdown()
"""


@pytest.fixture
def mined(tmp_path: Path) -> Path:
    """A folder with a module of each name that leaves a trace where it is imported."""
    for name in NAMES:
        trace = tmp_path / f"imported-{name}"
        (tmp_path / f"{name}.py").write_text(f"open({str(trace)!r}, 'w').close()\nraise SystemExit(77)\n")
    return tmp_path


def run(mined: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"NIOBE_HOME": str(mined / "home")}
    environment.pop("NIOBE_MONGO_URI", None)
    return subprocess.run(command, cwd=mined, env=environment, capture_output=True, text=True, timeout=120)


def traces(mined: Path) -> list[str]:
    return sorted(path.name for path in mined.glob("imported-*"))


def test_worker_processes_do_not_look_where_they_start(mined: Path) -> None:
    (mined / "home").mkdir()
    answer = run(mined, sys.executable, "-P", "-c", WORKERS)
    assert (answer.stdout.strip(), traces(mined)) == ("None None", []), answer.stderr


def test_workers_of_a_script_that_lies_elsewhere_do_not_either(
    mined: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    (mined / "home").mkdir()
    script = tmp_path_factory.mktemp("elsewhere") / "script.py"
    script.write_text(WORKERS)
    answer = run(mined, sys.executable, str(script))
    assert (answer.stdout.strip(), traces(mined)) == ("None None", []), answer.stderr


def test_commands_and_the_database_server_do_not_either(mined: Path) -> None:
    niobe = str(Path(sys.executable).parent / "niobe")
    try:
        answer = run(mined, niobe, "status")
        assert (answer.returncode, traces(mined)) == (0, []), answer.stderr
        for name in ("rlaunch", "lpad", "mock-vasp", "mock-vasp-potcars"):
            run(mined, str(Path(sys.executable).parent / name), "--help")
            assert traces(mined) == [], name
    finally:
        run(mined, niobe, "db", "stop")
