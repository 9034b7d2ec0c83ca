"""One filled database and one server for all tests that only read."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import httpx
import pytest

from niobe.loop.documents.records import StructureRecord
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import fill, served


@pytest.fixture(scope="module")
def read_database(mongo_uri: str) -> Iterator[Database]:
    """A database that tests only read."""
    database = Database.connect(mongo_uri, f"pages_{uuid.uuid4().hex[:12]}")
    yield database
    database.mongo.client.drop_database(database.mongo.name)
    database.close()


@pytest.fixture(scope="module")
def read_records(read_database: Database) -> dict[str, StructureRecord]:
    """What is in it, by name."""
    return fill(read_database)


@pytest.fixture(scope="module")
def pages(
    read_database: Database, mongo_uri: str, read_records: dict[str, StructureRecord]
) -> Iterator[httpx.Client]:
    """A client of the pages over it."""
    with (
        served(read_database, mongo_uri) as address,
        httpx.Client(base_url=address, timeout=60) as client,
    ):
        yield client
