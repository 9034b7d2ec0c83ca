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


def test_a_megabyte_of_tags_and_controls_is_a_page_in_seconds(
    pages_of_words: httpx.Client, database: Database, records: Records
) -> None:
    word = "[/x]\u202e\x01<b>" * 2**17
    for record in records.values():
        database.records.update(record.id, note=word, reason=word, lineage=Lineage(generator=word[:10_000]))
    database.campaigns.update("t", reason=word)
    database.mongo["rounds"].update_many({}, {"$set": {"notes": [word], "doing": word}})
    paths = ["/", "/campaigns/t", "/campaigns/t/rounds", "/campaigns/t/table", "/campaigns/t/hull"]
    for path in (*paths, *(f"/structures/{record.id}" for record in records.values())):
        answer = pages_of_words.get(path)
        assert answer.status_code == 200 and answer.elapsed.total_seconds() < 30, path
        assert not {"\u202e", "\x01"} & set(answer.text), path


@pytest.mark.filterwarnings("ignore:Accessing the 'model_fields' attribute")  # optimade on pydantic 2.11+
def test_what_optimade_warns_of_is_told_to_the_client_alone(
    pages_of_words: httpx.Client, recwarn: pytest.WarningsRecorder
) -> None:
    hint = "\x1b]0;owned\x07"
    for _ in range(2):
        answer = pages_of_words.get("/optimade/v1/structures", params={"api_hint": hint}).json()
        (said,) = answer["meta"]["warnings"]
        assert said["type"] == "warning" and "api_hint" in said["detail"]
    assert "owned" not in "".join(str(shown.message) for shown in recwarn)
