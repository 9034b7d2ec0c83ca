"""A user's mistakes, as the command answers them: one line, exit code 2, and nothing lost."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from pymatgen.io.cif import CifWriter

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec, Source
from niobe.launchers.cli import main
from niobe.launchers.embedded import stop_server
from niobe.launchers.sources import ingest_sources
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.store.database import Database
from tests.loop.factory import SPEC, nbo, rocksalt, validated

ELSEWHERE = "mongodb://user:hush@127.0.0.1:1/"
USAGE_ERROR = "Invalid value"
CIF = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")


class Niobe:
    """The command in this process: exit code, and what it said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *arguments: str) -> tuple[int | str | None, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["niobe", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        said = self._capsys.readouterr()
        return ended.value.code, said.out, said.err

    def said(self, *arguments: str) -> str:
        """What a command that ends well prints."""
        code, out, err = self(*arguments)
        assert code == 0, err
        return out

    def mistake(self, *arguments: str) -> str:
        """The one line that says what was wrong."""
        code, out, err = self(*arguments)
        assert (code, out, err.count("\n")) == (2, "", 1), out + err
        assert err.startswith("niobe: ") and "Traceback" not in err
        return err


@pytest.fixture
def niobe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Niobe:
    return Niobe(monkeypatch, capsys)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file of the user's that no command can make use of."""
    (tmp_path / "notes.txt").write_text("remember the milk\n", encoding="utf-8")
    return tmp_path / "notes.txt"


@pytest.fixture
def records(database: Database) -> list[StructureRecord]:
    """Two structures of the campaign ``t``, in the database."""
    found = [validated(nbo(), -1.0), validated(rocksalt(), -2.0, index=1)]
    database.campaigns.create(SPEC)
    database.records.insert(found)
    return found


@pytest.fixture
def embedded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An embedded database that nothing names but NIOBE_HOME."""
    for variable in ("NIOBE_MONGO_URI", "NIOBE_EMBEDDED_URI"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    yield tmp_path / "home" / "db"
    stop_server(tmp_path / "home" / "db")


# exports


@CIF
@pytest.mark.parametrize(("format", "suffix"), [("cif", ".cif"), ("poscar", ".vasp")])
def test_an_export_replaces_an_export(
    records: list[StructureRecord], database: Database, niobe: Niobe, tmp_path: Path, format: str, suffix: str
) -> None:
    to = tmp_path / "out"
    names = [f"{record.formula}-{record.id}{suffix}" for record in records]
    assert niobe.said("export", format, str(to), "--all") == f"2 structures: {to}\n"
    assert sorted(path.name for path in to.iterdir()) == sorted(names)
    database.records.update(records[1].id, status=Status.FAILED)
    assert niobe.said("export", format, str(to), "--all") == f"1 structures: {to}\n"
    assert [path.name for path in to.iterdir()] == names[:1]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("format", ["cif", "poscar"])
@pytest.mark.parametrize(
    "name", ["thesis.tex", "mine.cif", "mine.vasp", ".hidden", "NbO-0123456789abcdef.d/x"]
)
def test_an_export_deletes_nothing_of_the_users(
    records: list[StructureRecord], niobe: Niobe, tmp_path: Path, format: str, name: str
) -> None:
    kept = tmp_path / "out" / name
    kept.parent.mkdir(parents=True)
    kept.write_text("mine", encoding="utf-8")
    said = niobe.mistake("export", format, str(tmp_path / "out"), "--all")
    assert f"{tmp_path / 'out'}: holds {name.split('/')[0]}" in said
    assert kept.read_text(encoding="utf-8") == "mine"


@CIF
def test_an_export_goes_where_a_link_leads(
    records: list[StructureRecord], niobe: Niobe, tmp_path: Path
) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    niobe.said("export", "cif", str(tmp_path / "link"), "--all")
    assert len(list((tmp_path / "there").iterdir())) == 2 and (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("to", [".", ".."])
def test_the_folder_one_is_in_is_not_replaced(
    records: list[StructureRecord], niobe: Niobe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, to: str
) -> None:
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert f"{to}: is the folder you are in" in niobe.mistake("export", "cif", to, "--all")


# another database than the embedded one


@pytest.mark.parametrize(
    "command",
    [["start"], ["stop"], ["status"], ["compact"], ["dump", "out"], ["restore"], ["restore", "out"]],
)
def test_commands_about_the_embedded_database_do_not_answer_for_another(
    embedded: Path, niobe: Niobe, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setenv("NIOBE_MONGO_URI", ELSEWHERE)
    said = niobe.mistake("db", *command)
    assert "NIOBE_MONGO_URI" in said and str(embedded) in said and "hush" not in said
    assert not embedded.exists()


def test_the_embedded_database_may_be_named_by_its_tcp_address(
    embedded: Path, niobe: Niobe, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded.mkdir(parents=True)
    (embedded / "tcp.uri").write_text(f"{ELSEWHERE}\n", encoding="utf-8")
    monkeypatch.setenv("NIOBE_MONGO_URI", ELSEWHERE)
    assert json.loads(niobe.said("db", "status", "--json"))[0]["process"] is None


# paths that cannot be


@pytest.mark.parametrize(
    ("command", "named"),
    [
        (["report", "notes.txt/report.html"], "notes.txt"),
        (["export", "json", "notes.txt/x.json"], "notes.txt"),
        (["export", "cif", "notes.txt/x"], "notes.txt"),
        (["export", "bundle", "notes.txt/x"], "notes.txt"),
        (["init", "notes.txt"], "notes.txt"),
    ],
)
def test_an_impossible_path_is_named(
    records: list[StructureRecord],
    niobe: Niobe,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    named: str,
) -> None:
    monkeypatch.chdir(file.parent)
    assert named in niobe.mistake(*command)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_report_is_no_folder_and_leaves_nothing_behind(
    records: list[StructureRecord], niobe: Niobe, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    assert f"{tmp_path / 'folder'}: is a folder" in niobe.mistake("report", str(tmp_path / "folder"))
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_dump_into_a_file_is_refused(embedded: Path, niobe: Niobe, file: Path) -> None:
    assert "notes.txt" in niobe.mistake("db", "dump", str(file / "x"))


def test_a_benchmark_into_a_file_is_refused(niobe: Niobe, embedded: Path, file: Path) -> None:
    content = {"id": "cu-au", "elements": ["Cu", "Au"], "oracle": {"name": "emt"}, "prerelax": None}
    (file.parent / "c.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    code, _, err = niobe("bench", "generative", str(file.parent / "c.yaml"), "--to", str(file))
    assert code == 2 and "notes.txt" in err and err.count("\n") == 1


def test_a_home_that_is_a_file_is_named(
    embedded: Path, niobe: Niobe, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIOBE_HOME", str(file))
    assert str(file) in niobe.mistake("status")


# variables


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        *(("NIOBE_WORKERS", value) for value in ("abc", "0")),
        ("NIOBE_DATABASE", "a.b/c"),
        *(
            ("NIOBE_MONGO_URI", value)
            for value in ("mongodb://a:hush@", "http://a:hush@b", "mongodb://h:hush")
        ),
    ],
)
def test_a_wrong_variable_is_named(
    database: Database, niobe: Niobe, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    said = niobe.mistake("status")
    assert variable in said and "hush" not in said


def test_an_address_that_is_none_is_named_to_rockets_too(
    database: Database, niobe: Niobe, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIOBE_MONGO_URI", "mongodb://a:hush@")
    said = niobe.mistake("tend")
    assert "NIOBE_MONGO_URI" in said and "hush" not in said


# files that are no tables


@pytest.mark.parametrize("name", ["garbage.parquet", "empty.csv", "image.csv"])
def test_a_table_of_labels_that_is_none_is_named(niobe: Niobe, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(
        {"empty.csv": b"", "image.csv": b"\x89PNG\xff\xfe"}.get(name, b"garbage" * 9)
    )
    said = niobe.mistake("models", "compare", str(tmp_path / name), "--target", "e_form")
    assert f"{tmp_path / name}: cannot be read" in said


@pytest.mark.parametrize("name", ["notes.txt", "rows.csv", "garbage.parquet"])
def test_a_table_to_replay_that_is_none_is_named(niobe: Niobe, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("a,b\n1,2\n", encoding="utf-8")
    code, _, err = niobe("bench", "acceleration", str(tmp_path / name), "--to", str(tmp_path / "out"))
    assert (code, err.count("\n")) == (2, 1)
    assert f"{tmp_path / name}: no parquet table" in err


# sources


@pytest.mark.parametrize("name", ["notes.txt", "garbage.parquet", "icsd"])
def test_a_source_of_which_nothing_could_be_read_is_partial(
    database: Database, niobe: Niobe, file: Path, name: str
) -> None:
    (file.parent / "garbage.parquet").write_bytes(b"garbage" * 9)
    source = f"icsd:{file}" if name == "icsd" else str(file.parent / name)
    code, out, err = niobe("ingest", source, "--json")
    assert (code, json.loads(out)[0]["complete"]) == (1, False)
    assert "is PARTIAL: nothing could be read: " in err
    assert err.splitlines()[-1].count(str(file.parent)) >= 1


def test_a_source_with_a_broken_file_among_others_is_read(
    database: Database, niobe: Niobe, file: Path
) -> None:
    CifWriter(nbo()).write_file(file.parent / "a.cif")
    code, out, err = niobe("ingest", str(file.parent), "--json")
    assert (code, json.loads(out)[0]["new"], json.loads(out)[0]["not read"]) == (0, 1, 1)
    assert f"not read: {file}" in err and "PARTIAL" not in err


def test_a_campaign_does_not_begin_without_a_source_it_names(database: Database, file: Path) -> None:
    source = Source(name="mine", kind="files", at=str(file))
    spec = CampaignSpec(id="t", elements=("Nb", "O"), sources=(source,))
    with pytest.raises(ConfigError, match=r"source mine: nothing could be read: .*notes\.txt") as caught:
        ingest_sources(database, spec)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (["icsd:"], "kind icsd needs at"),
        (["files:"], "kind files needs at"),
        ([""], "no such file"),
        (["optimade:localhost:5000", "--elements", "Nb,O"], "http"),
        (["mp", "--filter", "nelements=2"], "allowed for optimade, oqmd, niobe"),
        (["notes.txt", "--filter", "nelements=2"], "allowed for optimade, oqmd, niobe"),
        (["icsd:notes.txt", "--filter", "nelements=2"], "allowed for optimade, oqmd, niobe"),
        (["niobe:bundle", "--filter", "nelements=2"], "niobe:URL does"),
    ],
)
def test_a_wrong_source_is_refused_at_once(
    database: Database,
    niobe: Niobe,
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: list[str],
    problem: str,
) -> None:
    CifWriter(nbo()).write_file(file.parent / "a.cif")
    monkeypatch.chdir(file.parent)
    assert problem in niobe.mistake("ingest", *command)


# campaigns and steering


@pytest.mark.parametrize("command", [["rounds"], ["best"], ["stop"], ["report"]])
def test_without_a_campaign_it_is_said_where_none_is(
    database: Database, niobe: Niobe, command: list[str]
) -> None:
    said = niobe.mistake(*command)
    assert "no campaign in database 'test_" in said
    assert "NIOBE_MONGO_URI" in said and "niobe launch FILE" in said


def test_of_several_campaigns_one_is_to_be_named(database: Database, niobe: Niobe) -> None:
    for name in ("a", "b"):
        database.campaigns.create(SPEC.model_copy(update={"id": name}))
    assert "several; name one with -c: a, b" in niobe.mistake("rounds")
    assert "'c' is not in the database; known: a, b" in niobe.mistake("rounds", "-c", "c")


def test_steering_says_what_it_did(database: Database, niobe: Niobe, records: list[StructureRecord]) -> None:
    for record in records:
        database.records.update(record.id, status=Status.SCREENED)
    pinned, vetoed = (record.id for record in records)
    assert niobe.said("pin", pinned) == f"pinned {pinned}: validated in the next round\n"
    assert niobe.said("veto", vetoed) == f"vetoed {vetoed}: never validated\n"
    assert niobe.said("budget", "--rounds", "2").startswith("t: 2 rounds, 0 validations and 0 oracle")
    assert niobe.said("stop") == "t: stops after the round that is running\n"
    assert niobe.said("stop", "--undo") == "t: goes on when launched\n"
    assert "nothing to add" in niobe.mistake("budget")
    assert "t: no round is open" in niobe.mistake("retry")


def test_no_budget_is_larger_than_the_database_can_hold(
    database: Database, niobe: Niobe, records: list[StructureRecord]
) -> None:
    for option in ("--rounds", "--validations"):
        code, _, err = niobe("budget", option, "9" * 20)
        assert code == 2 and USAGE_ERROR in err and "Traceback" not in err


# schemas


def test_the_schema_of_a_campaign_file_is_printed(niobe: Niobe) -> None:
    schema = json.loads(niobe.said("schema", "campaign"))
    assert schema["$id"].startswith("niobe:campaign:")
    assert schema["required"] == ["id", "elements"]
    assert "oracle" in schema["properties"]
    assert "allowed: structures, entries, campaign" in niobe.mistake("schema", "rounds")
