"""Words of the database that would turn the writing of a page around are spelt out there."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from niobe.loop.documents.records import Lineage, StructureRecord
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import fill, served

Records = dict[str, StructureRecord]


@pytest.fixture
def records(database: Database) -> Records:
    return fill(database)


@pytest.fixture
def pages_of_words(database: Database, mongo_uri: str, records: Records) -> Iterator[httpx.Client]:
    with served(database, mongo_uri) as address, httpx.Client(base_url=address, timeout=60) as client:
        yield client


@pytest.mark.parametrize("word", ["\u202egnp", "\u2066x\u2069\u200f", "\x1b]0;x\x07", "\x9b31m", "\u2028"])
def test_no_word_turns_the_writing_of_a_page_around(
    pages_of_words: httpx.Client, database: Database, records: Records, word: str
) -> None:
    for record in records.values():
        database.records.update(record.id, note=word, lineage=Lineage(generator=word, origin={word: word}))
    database.campaigns.update("t", reason=word)
    database.mongo["rounds"].update_many({}, {"$set": {"notes": [word], "doing": word}})
    spelt = 0
    paths = ["/", "/campaigns/t", "/campaigns/t/rounds", "/campaigns/t/table", "/campaigns/t/hull"]
    for path in (*paths, *(f"/structures/{record.id}" for record in records.values())):
        text = pages_of_words.get(path).text
        assert not set(word) & set(text) - set("]0;x31mgnp"), path
        spelt += f"\\u{ord(word[0]):04x}" in text
    assert spelt >= 5
