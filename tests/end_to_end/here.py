"""The command in this process, in a folder of its own: what it imports, and what it forks workers from, is
there already. A process of its own takes ten seconds of one processor for that."""

from __future__ import annotations

import io
import os
import sys
from contextlib import chdir, redirect_stderr, redirect_stdout
from multiprocessing import get_context
from multiprocessing.context import BaseContext
from pathlib import Path
from unittest import mock

import pytest

from niobe.launchers.cli import main
from niobe.launchers.local.forking import worker_context


def forking_context() -> BaseContext:
    """Of workers that are forked whatever the environment has become: spawned ones import for themselves, and
    some hundred of them would take all memory."""
    worker_context(dict(os.environ))
    return get_context("forkserver")


def answer_here(place: Path, *arguments: str, workers: int = 2) -> tuple[int | str | None, str, str]:
    """Exit code, and what the command said on stdout and stderr.

    place: the folder it is run in, whose ``home`` is its NIOBE_HOME. workers: of a launch.
    """
    own = {"NIOBE_HOME": str(place / "home"), "NIOBE_WORKERS": str(workers), "NIOBE_OFFLINE": "1"}
    out, err = io.StringIO(), io.StringIO()
    # Workers are forked where all but Niobe's own variables are as before, and this one names the test.
    left_out = ("NIOBE_", "PYTEST_CURRENT_TEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    with (
        mock.patch.dict(os.environ, kept | own, clear=True),  # what a launch sets for its workers goes, too
        mock.patch.object(sys, "argv", ["niobe", *arguments]),
        chdir(place),
        redirect_stdout(out),
        redirect_stderr(err),
        pytest.raises(SystemExit) as ended,
    ):
        main()
    return ended.value.code, out.getvalue(), err.getvalue()


def niobe_here(place: Path, *arguments: str, workers: int = 2) -> str:
    """What a command that ends well prints; as ``answer_here``."""
    code, out, err = answer_here(place, *arguments, workers=workers)
    assert code == 0, err
    return out
