"""A disk that is full: where, in one line, and nothing half written stays."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from niobe.config.atomic import write_whole
from niobe.launchers.output.exports import export
from tests.loop.factory import nbo, validated
from tests.loop.readers.test_fuzz import SPGLIB


@contextmanager
def full_after(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes: what a full disk looks like to who writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_report_that_finds_no_room_says_where_and_leaves_nothing(tmp_path: Path) -> None:
    with full_after(4096), pytest.raises(OSError) as error:
        write_whole(tmp_path / "report.html", "x" * 100_000)
    assert error.value.filename == str(tmp_path / "report.html")
    assert list(tmp_path.iterdir()) == []


def test_what_stood_there_stays(tmp_path: Path) -> None:
    write_whole(tmp_path / "report.html", "before")
    with full_after(4096), pytest.raises(OSError):
        write_whole(tmp_path / "report.html", "x" * 100_000)
    assert [file.read_text() for file in tmp_path.iterdir()] == ["before"]


@pytest.mark.filterwarnings(SPGLIB)
@pytest.mark.parametrize("kind", ["json", "csv", "extxyz", "optimade", "cif", "poscar"])
def test_an_export_that_finds_no_room_says_where_and_leaves_nothing(tmp_path: Path, kind: str) -> None:
    records = [validated(nbo(4 + n / 100), -9.0, index=n) for n in range(3)]
    with full_after(300), pytest.raises(OSError) as error:
        export(records, kind, tmp_path / "out")
    assert str(tmp_path) in str(error.value.filename)
    assert list(tmp_path.iterdir()) == []
