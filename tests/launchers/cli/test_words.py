"""Words of the database are shown as they are: they end no command, and no terminal obeys them."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.table import Table
from typer.testing import CliRunner

from niobe.launchers.cli import app
from niobe.launchers.fireworks.display import _table, campaign_row
from niobe.launchers.local.progress import CampaignProgress
from niobe.launchers.terminal import console, local_time, shown, styled
from niobe.loop.documents.records import Choice, Failure, Lineage, PredictedValue, Status
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import fill
from tests.loop.factory import SPEC

HOSTILE = (
    *("[/x]", "[/]", "[", "]", "[bold]", "[/bold][/bold]", "[link=file:///etc/passwd]x[/link]", "\\[/x]"),
    *("[@click=app.quit]x[/]", "[#]", "[red on", "[[/x]]", ":bomb:", "{task.x}", "{", "%s", "[x" * 50),
    *(
        "\x1b]0;owned\x07",
        "\x1b[2J",
        "\x1b[31m",
        "\x9b31m",
        "\r\x1b[A",
        "\x07",
        "\x08" * 9,
        "\u202egnp",
        "\x7f",
    ),
    *("line\nline", "tab\t", "\u2028", "é" * 20, "漢字", "🧨", "\x00".replace("\x00", "\x01"), "", " " * 50),
)
WORDS = st.sampled_from(HOSTILE) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40
)
COMMANDS = (
    *(["status"], ["rounds"], ["best"], ["rediscoveries"], ["sources"], ["status", "--json"]),
    *(["rounds", "--json"], ["best", "--json"], ["best", "--stable"]),
)
OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]")


@pytest.fixture(scope="module")
def filled(mongo_uri: str) -> Iterator[tuple[Database, list[str]]]:
    """A database whose words each example changes, and the ids of its structures."""
    database = Database.connect(mongo_uri, "words")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NIOBE_MONGO_URI", mongo_uri)
        patch.setenv("NIOBE_DATABASE", "words")
        yield database, [record.id for record in fill(database).values()]
    database.mongo.client.drop_database("words")
    database.close()


def put(database: Database, ids: list[str], word: str) -> None:
    """The word wherever a document of the database has room for one."""
    failure = Failure(step=word, cause=word, exception=word, message=word, files=word)
    choice = Choice(function=word, selection="acquired", rank=1)
    lineage = Lineage(generator=word, checkpoint=word, origin={word: word})
    value = PredictedValue(mean=0.0, std=1.0, in_domain=True)
    fields: dict[str, Any] = {"note": word, "reason": word, "choice": choice, "lineage": lineage}
    for identifier in ids:
        database.records.update(identifier, **fields, prediction={"x" + word.replace(".", ""): value})
    database.records.update(ids[3], failure=failure, status=Status.FAILED)
    database.campaigns.update("t", reason=word)
    metrics = database.rounds.get("t", 1).metrics.model_copy(update={"failures_by_cause": {word: 1}})
    database.rounds.update("t", 1, metrics=metrics)
    steps = {f"step {word}": 1.0}
    database.mongo["rounds"].update_many({}, {"$set": {"notes": [word, f"[{word}]"], "doing": word}})
    database.mongo["rounds"].update_one({"number": 2}, {"$set": {"steps": steps}})


@settings(max_examples=25, suppress_health_check=list(HealthCheck))
@given(word=WORDS)
@example(word="[/x]")
@example(word="\x1b]0;owned\x07[/")
def test_no_word_ends_a_command_or_steers_the_terminal(filled: tuple[Database, list[str]], word: str) -> None:
    database, ids = filled
    put(database, ids, word)
    runner = CliRunner()
    for command in (*COMMANDS, *(["show", identifier] for identifier in ids)):
        answer = runner.invoke(app, [*command])
        assert answer.exit_code == 0, (command, answer.exception)
        assert not OBEYED.search(answer.output), command
    for arguments in (["show", word], ["best", "-c", word], ["pin", ids[0], "--note", word]):
        if not word.startswith("-"):
            runner.invoke(app, arguments)
    watched(database)


def watched(database: Database) -> None:
    """What a launch and rockets show, on a terminal."""
    output = io.StringIO()
    screen = console()
    screen.file, screen._force_terminal = output, True
    with CampaignProgress(database, SPEC, screen) as progress:
        progress._closed.clear()
        progress._known.clear()
        progress.tick()
    screen.print(_table({"1": "job"}, [campaign_row(database, "t")], 1))
    assert not re.search(r"\x1b\]|\x07|\x9b|\x1b\[2J", output.getvalue())


@given(st.text())
def test_what_is_shown_is_printable_and_what_is_printable_stays(text: str) -> None:
    assert shown(text).isprintable()
    if text.isprintable():
        assert shown(text) == text


@pytest.mark.parametrize("word", HOSTILE)
def test_a_console_prints_words_literally(word: str) -> None:
    screen = console()
    screen.file = output = io.StringIO()
    screen.print(word, soft_wrap=True)
    screen.print(styled(word, "bold"), soft_wrap=True)
    lines = output.getvalue().replace("\n", "")
    assert lines == 2 * shown(word).replace("\n", "")
    assert isinstance(screen, Console)


LONG = {"one": "a" * 2**20, "lines": "x\n" * 2**19, "escapes": "\x1b[2J" * 2**18, "wide": "漢" * 2**18}


@pytest.mark.parametrize("word", LONG.values(), ids=LONG)
def test_a_very_long_word_is_begun(word: str) -> None:
    screen, began = console(), time.process_time()
    screen.file = output = io.StringIO()
    table = Table("key", "value")
    table.add_row(word, styled(word, "bold"))
    screen.print(table)
    assert time.process_time() - began < 5
    assert "letters in" in " ".join(output.getvalue().split())


@pytest.mark.parametrize(
    "word",
    ["[/x][bold]" * 2**17, "\u202e\x01" * 2**18],
    ids=["tags", "controls"],
)
def test_a_megabyte_of_tags_or_control_characters_ends_no_command(
    filled: tuple[Database, list[str]], word: str
) -> None:
    """In notes, reasons, failures and names: each command takes seconds, and obeys nothing of it."""
    database, ids = filled
    failure = Failure(step="relax", cause=word[:2000], exception="x", message=word)
    for identifier in ids:
        lineage = Lineage(generator=word[:100_000])
        database.records.update(identifier, note=word, reason=word, lineage=lineage)
    database.records.update(ids[3], failure=failure, status=Status.FAILED)
    database.campaigns.update("t", reason=word)
    database.mongo["rounds"].update_many({}, {"$set": {"notes": [word], "doing": word}})
    for command in (*COMMANDS, ["show", ids[0]], ["show", ids[3]]):
        began = time.process_time()
        answer = CliRunner().invoke(app, [*command])
        assert answer.exit_code == 0, (command, answer.exception)
        assert not OBEYED.search(answer.output), command
        assert time.process_time() - began < 10, command
    watched(database)
    put(database, ids, "")


def test_a_moment_that_is_none_is_shown_as_it_is() -> None:
    assert [local_time(word) for word in ("x", "", "9999999-01-01")] == ["x", "", "9999999-01-01"]
