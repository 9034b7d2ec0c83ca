"""A bundle with values changed at random, checksums right: refused in a line, or data that can be read."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from niobe.config.errors import ConfigError
from niobe.launchers.output.restoring import read_bundle
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.store.database import Database
from niobe.loop.store.foreign import COLLECTIONS
from tests.launchers.output.test_bundles import contents
from tests.launchers.output.test_foreign_bundles import Lines, places, write_lines

__all__ = ["places"]


def paths(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value inside a value."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inside:
        yield (*way, key)
        yield from paths(part, (*way, key))


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(["", ".", "..", "/etc/passwd", "[/x]", "$where", "a.b", "other", "t", "0" * 16]),
    st.sampled_from([{}, [], {"@module": "this", "@class": "x"}, {"$gt": ""}, {"$oid": "0" * 24}, [[[]]]]),
    st.sampled_from(
        [{"$numberDouble": "NaN"}, {"$numberLong": "9" * 18}, {"$code": "x"}, {"$date": {"$numberLong": "0"}}]
    ),
)


def _mutate(lines: Lines, draw: Callable[[Any], Any]) -> None:
    collection = draw(st.sampled_from(sorted(lines)))
    document = draw(st.sampled_from(range(len(lines[collection]))))
    way = draw(st.sampled_from(sorted(paths(lines[collection][document]), key=str)))
    part = lines[collection][document]
    for key in way[:-1]:
        part = part[key]
    what = draw(st.sampled_from(["replace", "delete", "double"]))
    if what == "replace":
        part[way[-1]] = copy.deepcopy(draw(VALUES))
    elif what == "delete":
        del part[way[-1]]
    elif isinstance(part, dict):
        part[draw(st.text(max_size=8))] = part[way[-1]]
    else:
        part.append(part[way[-1]])


def _check_readable(database: Database) -> None:
    """Everything loads through its model, and only collections of a campaign were written."""
    written = {name for name, found in contents(database).items() if found}
    assert written <= COLLECTIONS.keys()
    for campaign in database.campaigns.find():
        assert campaign.id == "t" and campaign.state != "running"
        found: list[StructureRecord] = database.records.find(campaign.id)
        assert all(record.status is not Status.VALIDATED or record.validation for record in found)
        database.rounds.find(campaign.id)
        database.hulls.find(campaign.id)
        assert all(database.phonons.find_one(record.id) is None or record.id for record in found)
    database.entries.find()


def _empty(database: Database) -> None:
    for name in database.mongo.list_collection_names():
        database.mongo[name].delete_many({})


def _try_mutations(places: tuple[Path, Lines, Database], data: st.DataObject) -> None:
    bundle, lines, other = places
    changed = copy.deepcopy(lines)
    for _ in range(data.draw(st.integers(1, 3))):
        _mutate(changed, data.draw)
    write_lines(bundle, changed)
    try:
        read_bundle(other, bundle)
    except ConfigError as refused:
        assert "\n" not in str(refused)
        assert not any(contents(other).values())
    else:
        _check_readable(other)
    finally:
        _empty(other)
    assert "this" not in sys.modules


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_a_changed_bundle_is_refused_in_a_line_or_readable(
    places: tuple[Path, Lines, Database], data: st.DataObject
) -> None:
    _try_mutations(places, data)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@settings(max_examples=2000, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_two_thousand_changed_bundles_are_refused_in_a_line_or_readable(
    places: tuple[Path, Lines, Database], data: st.DataObject
) -> None:
    _try_mutations(places, data)
