"""A crystal of thousands of sites is kept, set aside, and holds no later ingest up."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from niobe.config.errors import ConfigError
from niobe.config.spec import Source
from niobe.loop.documents.entries import MOST_SITES, Found, Origin, new_entry
from niobe.loop.sources import ingest as ingesting
from niobe.loop.sources.ingest import ingest, regroup
from niobe.loop.sources.reading import Reading, ReadOptions
from niobe.loop.store.database import Database
from tests.loop.factory import rocksalt

ORIGIN = Origin("large", "file", "none", "2026-01-01")


def test_a_large_cell_is_set_aside_and_compared_with_nothing(database: Database) -> None:
    began = time.monotonic()
    entries = [new_entry(ORIGIN, Found(str(n), rocksalt(4.4 + n / 100) * (10, 10, 12))) for n in range(2)]
    assert [entry.n_atoms for entry in entries] == [9600, 9600]
    assert {entry.set_aside for entry in entries} == {f"more than {MOST_SITES} sites"}
    earlier = [entry.model_copy(update={"set_aside": ""}) for entry in entries]  # as before this bound
    database.entries.store(earlier)
    regroup(database, {entry.formula_reduced for entry in entries})
    assert {entry.group for entry in database.entries.find()} == {"large:0", "large:1"}
    assert time.monotonic() - began < 60


def test_what_could_not_be_kept_is_a_line_each_whatever_its_id_holds(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a\nniobe: all is well\r" + "x" * 1000
    items: list[Found | str] = [Found(name, rocksalt()), Found(name, rocksalt()), f"{name}: ValueError"]
    monkeypatch.setattr(ingesting, "read_source", lambda *_: Reading(items, "there", "none"))
    done = ingest(database, Source(name="large", kind="files", at="there"), (), ReadOptions(tmp_path))
    assert done.new == 1 and len(done.broken) == 2
    assert all(len(line.splitlines()) == 1 and len(line) < 500 for line in done.broken)


def test_an_ingest_ends_where_its_source_is_forgotten_meanwhile(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def items() -> Iterator[Found]:
        for number in range(3):
            if number == 2:
                database.mongo["forgetting"].insert_one({"_id": "source large"})
            yield Found(str(number), rocksalt(4.4 + number / 100))

    monkeypatch.setattr(ingesting, "_BATCH", 2)
    monkeypatch.setattr(ingesting, "read_source", lambda *_: Reading(items(), "there", "none"))
    with pytest.raises(ConfigError, match="source 'large' is being forgotten"):
        ingest(database, Source(name="large", kind="files", at="there"), (), ReadOptions(tmp_path))
    assert {entry.id for entry in database.entries.find()} == {"large:0", "large:1"}


def test_as_many_sites_as_a_campaign_allows_are_usable() -> None:
    entry = new_entry(ORIGIN, Found("a", rocksalt() * (5, 5, 1)))
    assert (entry.n_atoms, entry.set_aside, entry.spacegroup) == (200, "", 225)
