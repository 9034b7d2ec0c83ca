"""Goals in a campaign file: what is allowed, and the one line of what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from niobe.config.errors import ConfigError
from niobe.config.loading import campaign_of
from niobe.config.spec import CampaignSpec

WIDE = {"range": [None, 5.0]}
FILE = {"file": "gaps.csv", "unit": "eV"} | WIDE


def campaign(*goals: Any, folder: Path = Path()) -> CampaignSpec:
    return campaign_of({"id": "a", "elements": ["Cu"], "goals": list(goals)}, "c.yaml", folder)


def test_a_campaign_without_goals_is_stored_as_before() -> None:
    plain, none = CampaignSpec(id="a", elements=("Cu",)), CampaignSpec(id="a", elements=("Cu",), goals=())
    assert "goals" not in plain.model_dump() and plain.digest() == none.digest()
    wanted = campaign({"property": "density", **WIDE})
    assert wanted.digest() != plain.digest()
    assert CampaignSpec.model_validate(wanted.model_dump(mode="json")) == wanted


def test_names_limits_and_files(tmp_path: Path) -> None:
    (tmp_path / "gaps.csv").write_text("formula,gap\nCu,0\n")
    by_path, by_file = campaign(
        {"property": "acme.hard:vickers", "unit": "GPa", "range": [1, None]},
        {"property": "gap", "file": "gaps.csv", "unit": "eV", "range": [1, 2]},
        folder=tmp_path,
    ).goals
    assert (by_path.name, by_path.is_path, by_path.limits) == ("vickers", True, (1.0, float("inf")))
    assert (by_file.name, by_file.is_path, by_file.file) == ("gap", False, str(tmp_path / "gaps.csv"))


@pytest.mark.parametrize(
    ("goals", "says"),
    [
        ([{"property": "densty", **WIDE}], "goals.0: property: 'densty' is unknown; allowed: bulk_modulus,"),
        ([{"property": "os.system", **WIDE}], "goals.0: property: 'os.system' is unknown; allowed: "),
        ([{"property": "density"}], "goals.0: needs a range such as [null, 5.0], maximize: true or min"),
        ([{"property": "density", "range": [None, None]}], "goals.0: needs a range such as"),
        (
            [{"property": "density", "maximize": True, "minimize": True}],
            "goals.0: maximize, minimize: one of",
        ),
        ([{"property": "density", "range": [5, 1]}], "goals.0: range: [5, 1] holds nothing"),
        ([{"property": "density", "range": [5]}], "goals.0.range.1: missing"),
        ([{"property": "density", "range": ["low", 5]}], "goals.0.range.0: Input should be a valid number"),
        ([{"property": "density", "range": [float("nan"), 5]}], "goals.0.range.0: Input should be a finite"),
        ([{"property": "density", "unit": "kg/l", **WIDE}], "goals.0: unit: density has one of its own"),
        ([{"property": "gap", "file": "gaps.csv", **WIDE}], "goals.0: unit: missing; say what the values of"),
        ([{"property": "gap", "file": "no.csv", "unit": "eV", **WIDE}], "goals: gap: "),
        (
            [{"property": "the gap", "file": "g.csv", "unit": "eV", **WIDE}],
            "goals.0: property: 'the gap': al",
        ),
        ([{"property": "density", **WIDE}, {"property": "density", **WIDE}], "goals: names density twice"),
        (
            [{"property": "a:Hardness", **WIDE}, {"property": "b:hardness", **WIDE}],
            "goals: names hardness twice",
        ),
        ([{"property": "a-b", **FILE}, {"property": "A_b", **FILE}], "goals: names A_b twice"),
        ([{"property": "a.gap", "file": "g.csv", "unit": "eV", **WIDE}], "goals.0: property: 'a.gap': allow"),
        ([{"property": "density", "rnge": [1, 2]}], "goals.0.rnge: unknown key; did you mean 'range'?"),
        ({"density": [1, 2]}, "goals: needs a list, such as [a, b]"),
    ],
)
def test_a_mistake_is_one_line(goals: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as refused:
        campaign_of({"id": "a", "elements": ["Cu"], "goals": goals}, "c.yaml", tmp_path)
    message = str(refused.value)
    assert message.removeprefix("c.yaml: ").startswith(says) and "\n" not in message, message


@pytest.mark.parametrize("acquisition", [{}, {"acquisition": {"batch": 3}}])
def test_an_objective_has_an_acquisition_function(acquisition: dict[str, Any], tmp_path: Path) -> None:
    content = {"id": "a", "elements": ["Cu"], "goals": [{"property": "density", "minimize": True}]}
    spec = campaign_of(content | acquisition, "c.yaml", tmp_path)
    assert spec.acquisition.function == "qlognehvi"
    assert campaign_of(spec.model_dump(), "c.yaml", tmp_path) == spec
    with pytest.raises(
        ConfigError, match=r"acquisition.function: goals to maximize or minimize need qlognehvi"
    ):
        campaign_of(content | {"acquisition": {"function": "p_hull"}}, "c.yaml", tmp_path)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ([None, 5], "at most 5"),
        ([1.5, None], "at least 1.5"),
        ([1, 2], "1 to 2"),
        ([-1, None], "at least -1"),
    ],
)
def test_a_range_in_words(given: list[float | None], says: str) -> None:
    assert campaign({"property": "density", "range": given}).goals[0].wanted == says
