"""The commands of docs/surrogates.md end with their tables, on sketches and on rows of the shared table."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner

from niobe.launchers.cli import app
from tests.contract.test_surrogates import OXYGEN
from tests.launchers.cli.test_models import rows

PLACE = Path(__file__).parents[3]
SHARED = PLACE.parent / "shared" / "data" / "dev_mp_structures.parquet"
DOCUMENT = (PLACE / "docs" / "surrogates.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^niobe (.+ rows\.parquet.*)$", DOCUMENT, re.MULTILINE)
QUICK = {
    "models fit": "--epochs 1 --members 1",
    "models compare": "--epochs 1 --members 1",
    "learning-curve": "--epochs 1 --members 1 --repeats 2",
    "tune": "--epochs 1 --trials 2",
    "representations check": "--most 3",
}
"""What makes each command quick, said again after what the document says; the last counts."""
ENDS = {
    "models fit": r"moments trained on \d+ rows: checkpoint",
    "models compare": r"(?s)mae.*moments +0\.\d+",
    "learning-curve": r"(?s)records.*answered.*(for 0\.02: .* more records|no power law: )",
    "tune": r"(?s)trial .*error.*complete",
    "representations check": r"(?s)rotation.*crystal graph",
}


def name_of(command: str) -> str:
    return next(name for name in QUICK if command.startswith(name))


def ends_with_its_table(command: str) -> None:
    arguments = shlex.split(f"{command} {QUICK[name_of(command)]}")
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert re.search(ENDS[name_of(command)], result.output), result.output


def test_every_command_about_surrogates_is_documented() -> None:
    assert sorted(map(name_of, COMMANDS)) == sorted(QUICK)


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_it_ends_with_its_table(command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    rows(OXYGEN).to_parquet("rows.parquet")
    ends_with_its_table(command)


@pytest.mark.slow
@pytest.mark.skipif(not SHARED.is_file(), reason=f"needs the table {SHARED}")
@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_it_ends_with_its_table_on_the_shared_one(
    command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    pd.read_parquet(SHARED).sample(120, random_state=0).to_parquet("rows.parquet")
    ends_with_its_table(command)
