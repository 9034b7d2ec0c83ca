"""A campaign file from three answers."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from niobe.config.loading import load_campaign
from tests.launchers.cli.test_mistakes import Niobe, niobe

__all__ = ["niobe"]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NIOBE_HOME", str(tmp_path / "home"))
    return tmp_path


def typed(monkeypatch: pytest.MonkeyPatch, *lines: str) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))


@pytest.mark.parametrize(
    ("elements", "oracle", "budget", "rounds", "batch"),
    [
        ("Cu,O", "7net-0", "40", 4, 10),
        ("Y N", "7net-0", "7", 1, 7),
        ("Cu-Au", "emt", "25", 3, 10),
        ("H, B, C, N, O", "vasp", "1", 1, 1),
        ("Si", "chgnet", "100000", 10_000, 10),
    ],
)
def test_flags_answer_and_the_file_says_the_same(
    niobe: Niobe, here: Path, elements: str, oracle: str, budget: str, rounds: int, batch: int
) -> None:
    said = niobe.said("new", "f.yaml", "--elements", elements, "--oracle", oracle, "--budget", budget)
    assert "`niobe check f.yaml`" in said and "`niobe launch f.yaml`" in said
    spec = load_campaign(here / "f.yaml")
    assert (spec.id, spec.oracle.name, spec.budget.validations) == ("f", oracle, int(budget))
    assert (spec.budget.rounds, spec.acquisition.batch) == (rounds, batch)
    assert (here / "f.yaml").read_text().count("#") > 15
    assert not (here / "home").exists()


@pytest.mark.parametrize("name", ["no", "on", "123", "1e5", "null", "true", "2024-01-01", "0x1f"])
def test_a_name_that_yaml_takes_for_another_thing_stays_a_name(niobe: Niobe, here: Path, name: str) -> None:
    niobe.said("new", f"{name}.yaml", "--yes")
    assert load_campaign(here / f"{name}.yaml").id == name


def test_three_questions_have_a_default_each(
    niobe: Niobe, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, "", "", "")
    said = niobe.said("new")
    assert [f"[{default}]" in said for default in ("Cu, O", "7net-0", "40")] == [True] * 3
    asked = (here / "cu-o.yaml").read_text()
    (here / "cu-o.yaml").unlink()
    niobe.said("new", "--yes")
    assert (here / "cu-o.yaml").read_text() == asked
    assert niobe.said("check", "cu-o.yaml").startswith("cu-o.yaml is a valid campaign")


def test_an_answer_that_cannot_be_used_is_asked_for_again(
    niobe: Niobe, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, "Cu, Xx", "Cu Nb", "emt", "7net-0", "many", "0", "12")
    said = niobe.said("new")
    for mistake in ("unknown element 'Xx'", "emt", "'many': allowed: a whole number", "'0': allowed"):
        assert mistake in said
    spec = load_campaign(here / "cu-nb.yaml")
    assert (spec.elements, spec.oracle.name, spec.budget.validations) == (("Cu", "Nb"), "7net-0", 12)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--elements", "CuO"], "elements: unknown element 'CuO'"),
        (["--elements", ""], "elements: needs 1 to 5"),
        (["--elements", "Cu,O", "--oracle", "emtt"], "oracle.name"),
        (["--elements", "Nb,O", "--oracle", "emt"], "emt"),
        (["--budget", "4e1"], "budget: '4e1': allowed"),
        ([], "no answer to 'Which elements?'; give --elements, --oracle and --budget, or"),
    ],
)
def test_a_mistake_is_one_line_and_writes_nothing(
    niobe: Niobe, here: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], says: str
) -> None:
    typed(monkeypatch)
    code, _, err = niobe("new", *flags)
    assert (code, err.count("\n")) == (2, 1) and says in err
    assert list(here.glob("*.yaml")) == []


@pytest.mark.parametrize("kind", ["file", "folder", "link to nothing"])
def test_nothing_is_overwritten(niobe: Niobe, here: Path, kind: str) -> None:
    place = here / "mine.yaml"
    if kind == "file":
        place.write_text("mine")
    elif kind == "folder":
        place.mkdir()
    else:
        place.symlink_to(here / "nowhere")
    assert "mine.yaml: is there already" in niobe.mistake("new", "mine.yaml", "--yes")
    assert kind != "file" or place.read_text() == "mine"
    assert not (here / "nowhere").exists()
