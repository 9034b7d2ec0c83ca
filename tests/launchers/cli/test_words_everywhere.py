"""Words in every text of every stored document, through every command that there is.

The commands are asked of the command line itself: one that is new has to be told here how it is called.
"""

from __future__ import annotations

import copy
import csv
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import BaseModel, ValidationError

from niobe.config.spec import CampaignSpec, Source
from niobe.launchers.cli.commands import app, run
from niobe.loop.documents.entries import Found, Origin, label, new_entry
from niobe.loop.store.database import Database
from niobe.loop.store.foreign import COLLECTIONS
from niobe.loop.store.mapping import from_mongo
from tests.launchers.cli.test_no_shape import FIREWORKS
from tests.launchers.cli.test_words import put as put_in_keys
from tests.launchers.pages.serving import fill
from tests.loop.factory import rocksalt

WORDS = {
    "markup": "[/x][link=file:///etc/passwd]a[/link]:bomb:[",
    "title": "\x1b]0;owned\x07\x1b[2J\x1b[31m",
    "device control": "\x1bPq\x1b\\\x1b_G\x1b\\\x1b^x\x1b\\\x05",
    "C1": "\x9b31m\x9d0;x\x9c\x85\x90",
    "carriage return": "x\r\x1b[Aowned\x08\x08",
    "turned around": "\u202egnp\u2066x\u2069\u200f",
    "no width": "a\u200b\u200d\ufeff\u2060\U000e0041b",
    "a line of its own": "x\nFORGED: all is well\u2028FORGED",
    "zero byte": "a\0b",
    "formula": "=HYPERLINK(\"http://x\";\"a\")",
    "at": "@SUM(1+1)*cmd|' /C calc'!A0",
    "tab": "\t=1+1",
    "formats": "{0} {task.x} %s %n {{x}} ${HOME} $(id) `id`",
    "marked up": "</script><script>alert(1)</script>&amp;<!--]]>",
    "set": "$\\input{/etc/passwd}$ \\x # _ ^ ~ **a** | [a](javascript:x) ![](http://x)",
    "path": "../../../../etc/passwd",
    "option": "--json",
    "not all printable": "\U000f0000\ue000\ufffe\u0378",
    "long": "漢[x] " * 25_000,
}  # fmt: skip
OBEYED = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f]"
)
NOT_CALLED = {
    "bench acceleration": "runs campaigns; what it prints goes through the same console",
    "bench generative": "as bench acceleration",
    "bench systems": "as bench acceleration",
    "serve": "tests/launchers/pages",
    "rockets": "tests/launchers/fireworks; its tables are shown in test_words",
    "launch": "its progress is shown in test_words",
    "train-gan": "reads no database",
    "tune": "reads no database",
}
FORGED = re.compile("^FORGED", re.MULTILINE)
MOST_LINES = {"ingest": 3, "db upgrade": 20}
"""On stderr, of commands that say more than one mistake."""
IDS = {"_id", "record_id", "campaign", "batch", "parents", "promising", "phonons", "finds", "fw_id"}
NOT_CHANGED = IDS | {"structure", "facets", "source"}


def commands() -> set[str]:
    """Every command that there is, as it is typed."""

    def below(command: Any, names: tuple[str, ...]) -> Iterator[str]:
        for name, part in getattr(command, "commands", {}).items():
            yield from below(part, (*names, name))
        if not getattr(command, "commands", {}):
            yield " ".join(names)

    return set(below(typer.main.get_command(app), ()))


def calls(ids: list[str], word: str) -> dict[str, list[list[str]]]:
    """How each command is called; the word stands where a user gives words. Those that change come last."""
    shows = [[identifier, *more] for identifier in ids for more in ([], ["--json"])]
    formats = ("cif", "poscar", "json", "csv", "extxyz", "asedb", "optimade", "matbench", "phonopy", "bundle")
    table = [[], ["--json"]]
    return {
        "status": table,
        "rounds": table,
        "best": [*table, ["--stable"], ["-c", word]],
        "hull": table,
        "watch": [[]],
        "rediscoveries": table,
        "sources": table,
        "doctor": [*table, ["--repair"]],
        "show": [*shows, ["--", word]],
        "thermo": [[ids[0]], [ids[1]], ["--", word]],
        "report": [["out.html"]],
        "export": [[kind, f"out.{kind}", "--all"] for kind in formats] + [["--", word, "x"]],
        "check": [["given/t.yaml"], ["given/t.yaml", "--json"], ["--", word]],
        "ingest": [
            *(["given/t.csv"], ["given/t.csv", "--json"], ["--", word]),
            ["given/t.csv", "--name", "x", "--licence", word],
        ],
        "import": [["out.bundle", "--as", "again"], ["--", word]],
        "models list": table,
        "models compare": [["given/t.csv", "-t", word]],
        "models fit": [["given/t.csv", "to", "-t", word]],
        "learning-curve": [["given/t.csv", "-t", word]],
        "representations check": [["given/t.csv", "-n", "10"]],
        "oracles": table,
        "schema": [["structures"], ["--", word]],
        "db status": table,
        "db dump": [["dump"]],
        "db upgrade": table,
        "db start": [["--tcp", "1"]],
        "db stop": [[]],
        "db compact": [[]],
        "db restore": [["nowhere"]],
        "db migrate": [["--", word]],
        "new": [["new.yaml", "--elements", word, "-y"]],
        "init": [["fw"]],
        "tend": table,
        "pin": [[ids[3], "--note", word], ["--note", "x", "--", word]],
        "veto": [[ids[3], "--note", word]],
        "retry": [[ids[0]], ["--", word]],
        "budget": [["--rounds", "1"], ["--rounds", "1", "-c", word]],
        "stop": [[], ["--undo"]],
        "forget": [["--", word], ["t", "-y"]],
    }  # fmt: skip


def test_every_command_is_called_here() -> None:
    called = calls([""] * 9, "").keys()
    assert called | NOT_CALLED.keys() == commands() and not called & NOT_CALLED.keys()


def texts(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every text within a document that is no id."""
    if isinstance(value, str):
        yield way
    for key, part in (
        value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    ):
        if key not in NOT_CHANGED:
            yield from texts(part, (*way, key))


def with_word(document: dict[str, Any], way: tuple[Any, ...], word: str) -> dict[str, Any]:
    changed = copy.deepcopy(document)
    part = changed
    for key in way[:-1]:
        part = part[key]
    part[way[-1]] = word
    return changed


def worded(model: type[BaseModel] | None, document: dict[str, Any], word: str) -> dict[str, Any]:
    """The document with the word in every text that its model lets be any."""
    for way in list(texts(document)):
        changed = with_word(document, way, word)
        try:
            if model is not None:
                content = from_mongo(changed)
                model.model_validate({key: content[key] for key in content if key in model.model_fields})
            if "spec_digest" in changed:
                CampaignSpec.model_validate(changed["spec"])
        except ValidationError:
            continue
        document = changed
    return document


def put_everywhere(database: Database, word: str) -> int:
    models = COLLECTIONS | dict.fromkeys(FIREWORKS)
    count = 0
    for name, model in models.items():
        for document in list(database.mongo[name].find({})):
            changed = worded(model, document, word)
            count += changed != document
            database.mongo[name].replace_one({"_id": document["_id"]}, changed)
    return count


def called(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["niobe", *arguments])
    with pytest.raises(SystemExit) as ended:
        run()
    return int(ended.value.code or 0)


def filled(database: Database, word: str) -> list[str]:
    """Documents of every kind with the word in all that is text; ids of the structures."""
    ids = [record.id for record in fill(database).values()]
    origin = Origin("files", word, word, "2026-01-01")
    labels = label("e_above_hull", 0.02, word)
    database.entries.store([new_entry(origin, Found(word, rocksalt(), labels))])
    for name, document in FIREWORKS.items():
        database.mongo[name].insert_one(dict(document))
    source = Source(name="files", kind="files", at=word, licence=word).model_dump(mode="json")
    database.mongo["campaigns"].update_one({}, {"$set": {"spec.sources": [source]}})
    database.campaigns.update("t", state="stopped")  # so that ``watch`` ends
    put_in_keys(database, ids, word.replace("\0", ""))
    assert put_everywhere(database, word) >= 10
    return ids


def mistakes(code: int, out: str, err: str, command: str) -> Iterator[str]:
    said = out + err
    if code not in {0, 1, 2} or "Traceback" in said:
        yield f"ended with {code}: {err[-500:]}"
    for pattern in (OBEYED, FORGED):
        if found := pattern.search(said):
            yield repr(said[max(0, found.start() - 80) :][:160])
    limit = MOST_LINES.get(command, 1)
    if err.count("\n") > limit or len(err) > limit * 6_000:
        yield f"{len(err)} letters on stderr: {err[:500]}"


def check_written(folder: Path) -> None:
    """No text file that was written has a line that the word begins; the report has no tag of it."""
    for file in folder.rglob("*"):
        if file.suffix in {".html", ".md", ".csv", ".cif", ".extxyz", ".vasp", ".yaml"} and file.is_file():
            text = "" if file.parent.name == "given" else file.read_text(encoding="utf-8")
            wrong = re.compile("<script>alert") if file.suffix == ".html" else FORGED
            assert not wrong.search(text), (file, text[:500])
    assert all((folder / name).is_file() for name in ("out.html", "out.csv", "out.bundle/LICENCES.md"))
    assert all(list((folder / f"out.{kind}").iterdir()) for kind in ("cif", "poscar"))
    assert not list(folder.glob("passwd*")) and not list(folder.parent.glob("*passwd*"))


def say_everything(
    database: Database,
    word: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    folder: Path,
) -> None:
    """Call all commands over documents, and with arguments, of that word."""
    ids = filled(database, word)
    argument = word.replace("\0", "")  # which no argument can hold
    monkeypatch.chdir(folder)
    Path("given").mkdir()
    with Path("given/t.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["id", "cif", word], [word, word, word]])
    Path("given/t.yaml").write_text(json.dumps({"id": word, "elements": [word], word: word}))
    capfd.readouterr()
    found = []
    for command, several in calls(ids, argument).items():
        for arguments in several:
            began = time.process_time()
            code = called([*command.split(), *arguments], monkeypatch)
            said = mistakes(code, *capfd.readouterr(), command)
            found += [f"{command} {arguments}"[:100] + f": {one}" for one in said]
            if (took := time.process_time() - began) > 10:
                found.append(f"{command}: {took:.0f} s")
    assert not found, "\n".join(found)
    check_written(folder)


EVERYTHING = pytest.mark.filterwarnings(
    "ignore:Set OLD_ERROR_HANDLING:DeprecationWarning",  # phonopy and others call spglib so
    "ignore:Unclosed MongoClient:ResourceWarning",  # of FireWorks, whenever they are collected
    "ignore::pytest.PytestUnraisableExceptionWarning",
)


@EVERYTHING
@pytest.mark.parametrize(
    "kinds",
    [
        pytest.param([kind for kind in WORDS if kind != "long"], id="all"),
        pytest.param(["long"], id="long", marks=pytest.mark.slow),
    ],
)
def test_no_words_together_end_or_steer_a_command(
    database: Database,
    kinds: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    word = "\n".join(WORDS[kind] for kind in kinds)
    say_everything(database, word, monkeypatch, capfd, tmp_path)


@EVERYTHING
@pytest.mark.slow
@pytest.mark.parametrize("kind", WORDS)
def test_no_word_ends_or_steers_a_command(
    database: Database,
    kind: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    say_everything(database, WORDS[kind], monkeypatch, capfd, tmp_path)
