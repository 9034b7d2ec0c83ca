"""A crystal of thousands of sites is kept, set aside, and holds no later ingest up."""

from __future__ import annotations

import time

from niobe.loop.documents.entries import MOST_SITES, Found, Origin, new_entry
from niobe.loop.sources.ingest import regroup
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


def test_as_many_sites_as_a_campaign_allows_are_usable() -> None:
    entry = new_entry(ORIGIN, Found("a", rocksalt() * (5, 5, 1)))
    assert (entry.n_atoms, entry.set_aside, entry.spacegroup) == (200, "", 225)
