"""docs/first-ten-minutes.md, as a new user would type it: every command, and what it is said to show."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from niobe.launchers.embedded import stop_server
from tests.end_to_end.test_campaign import NIOBE, environment
from tests.launchers.cli.test_mistakes import Niobe, niobe

__all__ = ["niobe"]

pytestmark = pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING:DeprecationWarning")
PAGE = Path(__file__).parents[2] / "docs" / "first-ten-minutes.md"
QUICK = """
generation: {candidates: 16, mix: [{name: random}, {name: prototype}]}
seeds: {max_prototypes: 3}
surrogate: {members: 2, epochs: 5}
phonons: {min_length: 5.0, confirm_length: 6.0}
"""
"""Added to the file that ``niobe new`` writes: the same commands, with less to wait for."""


def steps() -> Iterator[tuple[str, list[str]]]:
    """Each command of the page with the lines it is said to show."""
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        for part in block.removeprefix("$ ").split("\n$ "):
            command, *shown = part.strip().splitlines()
            yield command, shown


def as_pattern(line: str) -> str:
    """A line where ``…`` is anything, and any space any other."""
    parts = [r"\s+".join(map(re.escape, part.split())) for part in line.split("…")]
    return ".*".join(parts)


class Newcomer:
    """Types commands in an empty folder. A launch is a process of its own; the others run in this one."""

    def __init__(self, folder: Path, command: Niobe) -> None:
        self.folder, self._command = folder, command

    def types(self, command: str) -> tuple[int | str | None, str]:
        """Its exit code, and what it shows; ``ID`` is that of the structure nearest the hull."""
        program, *words = command.split()
        assert program == "niobe"
        if "ID" in words:
            words = [self.identifier() if word == "ID" else word for word in words]
        if words[0] != "launch":
            code, out, err = self._command(*words)
            return code, out + err
        answer = subprocess.run(
            [*NIOBE, *words],
            cwd=self.folder,
            env=environment(self.folder) | {"NIOBE_HOME": str(self.folder / ".niobe")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1500,
            check=False,
        )
        return answer.returncode, answer.stdout

    def identifier(self) -> str:
        """Of the structure nearest the hull."""
        return str(json.loads(self._command.said("best", "-n", "1", "--json"))[0]["id"])


@pytest.fixture
def newcomer(tmp_path: Path, niobe: Niobe, monkeypatch: pytest.MonkeyPatch) -> Iterator[Newcomer]:
    for variable, value in {"MONGO_URI": "", "EMBEDDED_URI": "", "HOME": str(tmp_path / ".niobe")}.items():
        monkeypatch.setenv(f"NIOBE_{variable}", value)
    monkeypatch.chdir(tmp_path)
    yield Newcomer(tmp_path, niobe)
    stop_server(tmp_path / ".niobe" / "db")


def follow(newcomer: Newcomer, added: str = "") -> None:
    mistakes = PAGE.read_text(encoding="utf-8").split("## When something is wrong")[1].split("##")[0]
    for command, shown in steps():
        code, said = newcomer.types(command)
        assert code == (2 if f"$ {command}\n" in mistakes else 0), said
        assert "Traceback" not in said
        for line in shown:
            line = line.replace(" 120 ", " … ") if added else line
            assert re.search(as_pattern(line.strip()), said), f"{command}: {line!r} is not in\n{said}"
        if command.startswith("niobe new"):
            with (newcomer.folder / "cu-au.yaml").open("a", encoding="utf-8") as file:
                file.write(added)


def test_the_first_ten_minutes_in_short(newcomer: Newcomer) -> None:
    follow(newcomer, QUICK)
    written = {path.name for path in newcomer.folder.iterdir()}
    assert {"cu-au.yaml", "structures", "all.csv", "report.html", ".niobe"} == written


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_first_ten_minutes(newcomer: Newcomer) -> None:
    follow(newcomer)
