"""`niobe ingest`, `db upgrade`, `schema`, `import` as a person calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pymatgen.io.cif import CifWriter
from typer.testing import CliRunner

from niobe.config.errors import ConfigError
from niobe.launchers.cli import app
from niobe.loop.store.database import Database
from tests.loop.factory import nbo, rutile
from tests.loop.sources.provider import Provider, serving

RUN = CliRunner()


def rows(*arguments: str, code: int = 0) -> list[dict[str, object]]:
    result = RUN.invoke(app, [*arguments, "--json"])
    assert result.exit_code == code, result.output
    found: list[dict[str, object]] = json.loads(result.stdout)
    return found


def test_files_are_ingested_once_and_counted(database: Database, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name, structure in (("a", nbo()), ("b", nbo(4.22) * (1, 1, 2)), ("c", rutile())):
        CifWriter(structure).write_file(tmp_path / "in" / f"{name}.cif")
    (first,) = rows("ingest", str(tmp_path / "in"), "--licence", "CC0", "--name", "mine")
    assert (first["new"], first["groups"], first["complete"]) == (3, 2, True)
    (second,) = rows("ingest", str(tmp_path / "in"), "--licence", "CC0", "--name", "mine")
    assert (second["new"], second["changed"], second["unchanged"]) == (0, 0, 3)
    assert rows("sources") == [{"source": "mine", "entries": 3}]


def test_a_partial_source_ends_with_code_1_and_says_so(database: Database) -> None:
    with serving(Provider([], faults={1: 404})) as provider:
        result = RUN.invoke(app, ["ingest", f"optimade:{provider.url}", "--elements", "Nb,O"])
    assert result.exit_code == 1
    assert "PARTIAL" in result.stderr and "404" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["ingest", "nowhere"], "no such file, and no KIND:AT"),
        (["ingest", "optimade:"], "needs at"),
        (["ingest", "oqmd", "--elements", "Nb,Xx"], "unknown element 'Xx'"),
        (["ingest", "optimade:http://127.0.0.1:1"], "name elements"),
        (["ingest", "optimade:http://127.0.0.1:1", "--filter", "elements HAS"], "no OPTIMADE filter"),
        (["schema", "rounds"], "allowed: structures, entries"),
        (["import", "nowhere"], "no bundle"),
    ],
)
def test_bad_input_is_one_clear_line(database: Database, arguments: list[str], problem: str) -> None:
    result = RUN.invoke(app, arguments)
    assert isinstance(result.exception, ConfigError)
    assert problem in str(result.exception) and "\n" not in str(result.exception)


def test_upgrade_and_schema(database: Database) -> None:
    assert rows("db", "upgrade") == []
    result = RUN.invoke(app, ["schema", "structures"])
    assert json.loads(result.stdout)["$id"].startswith("niobe:structures:")
