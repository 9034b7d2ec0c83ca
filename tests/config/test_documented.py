"""docs/campaign.md names every key, value, default and bound of a campaign file, and every setting."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, get_args

import pytest
from pydantic import BaseModel

from niobe.config.elements import ELEMENTS
from niobe.config.loading import load_campaign
from niobe.config.potentials import unknown_to
from niobe.config.settings import Settings
from niobe.config.spec import CampaignSpec

PAGE = (Path(__file__).parents[2] / "docs" / "campaign.md").read_text(encoding="utf-8")
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")


class Key(NamedTuple):
    """A key of the campaign file that holds no further keys, or a list of what holds some."""

    name: str
    schema: dict[str, Any]
    default: Any


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]


def _keys(model: type[BaseModel], prefix: str = "") -> Iterator[Key]:
    properties = model.model_json_schema()["properties"]
    for name, field in model.model_fields.items():
        inner = _models(field.annotation)
        if not inner or (isinstance(field.default, tuple) and field.default):
            default = field.default if not field.is_required() else "required"
            yield Key(prefix + name, properties[name], default)
        for part in inner:
            yield from _keys(part, f"{prefix}{name}.")


def _parts(model: type[BaseModel]) -> Iterator[str]:
    for name, field in model.model_fields.items():
        if _models(field.annotation):
            yield name


def _tables() -> Iterator[tuple[str, list[list[str]]]]:
    """Each table's first heading, and its rows as cells."""
    for block in re.findall(r"(?:^\|.*\n)+", PAGE, re.MULTILINE):
        heading, _, *rows = [
            [cell.strip() for cell in line.strip("|\n").split("|")] for line in block.split("\n")[:-1]
        ]
        yield heading[0], rows


ROWS = {cells[0].strip("`"): cells for heading, rows in _tables() if heading == "key" for cells in rows}
VARIABLES = {
    cells[0].strip("`"): cells for heading, rows in _tables() if heading == "variable" for cells in rows
}
VALUES = {
    heading.strip("`"): [cells[0].strip("`") for cells in rows]
    for heading, rows in _tables()
    if heading[0] == "`"
}
KEYS = list(_keys(CampaignSpec))


def _all(schema: Any, *names: str) -> list[Any]:
    """All values of these names in a schema, however deep; those of an ``enum`` one by one."""
    if isinstance(schema, list):
        return [found for part in schema for found in _all(part, *names)]
    if not isinstance(schema, dict):
        return []
    own = [value for name, value in schema.items() if name in names]
    here = [each for value in own for each in (value if isinstance(value, list) else [value])]
    return here + [found for name, part in schema.items() if name != "$defs" for found in _all(part, *names)]


def _numbers(text: str) -> set[float]:
    plain = re.sub(r"(?<=\d),(?=\d{3})", "", text)
    return {
        float(base) ** float(power or 1) for base, power in re.findall(r"(\d+(?:\.\d+)?)(?:\^(\d+))?", plain)
    }


def _names(text: str) -> set[str]:
    return set(re.findall(r"`([^`]*)`", text))


def _says(cell: str, default: Any) -> bool:
    """Whether a table's cell states the default."""
    if isinstance(default, tuple) and default:
        return all(_says(cell, value) for part in default for value in part.model_dump().values())
    if default is None or isinstance(default, bool):
        return {None: "null", True: "true", False: "false"}[default] in _names(cell)
    if isinstance(default, int | float):
        return float(default) in _numbers(cell)
    if default == "required":
        return cell == "required"
    return {"": "empty", "()": "`[]`", "{}": "`{}`"}.get(str(default), f"`{default}`") in cell


def test_every_key_has_a_row_and_every_row_is_a_key() -> None:
    assert sorted(ROWS) == sorted(key.name for key in KEYS)


def test_every_part_has_a_heading() -> None:
    assert [part for part in _parts(CampaignSpec) if f"\n## `{part}`: " not in PAGE] == []


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key.name)
def test_the_row_of_a_key_says_default_bounds_and_values(key: Key) -> None:
    _, meaning, default, allowed = ROWS[key.name]
    assert meaning
    assert _says(default, key.default), f"default {key.default!r}"
    assert set(map(float, _all(key.schema, *BOUNDS))) <= _numbers(allowed), "bounds"
    literals = {str(value) for value in _all(key.schema, "enum", "const")}
    if key.name in VALUES:
        assert sorted(VALUES[key.name]) == sorted(literals)
    else:
        assert literals <= _names(allowed), "values"


def test_tables_of_values_are_those_of_keys() -> None:
    assert set(VALUES) <= {key.name for key in KEYS}


def test_vasp_has_a_wall_time_of_its_own() -> None:
    spec = CampaignSpec.model_validate({"id": "a", "elements": ["Nb"], "oracle": {"name": "vasp"}})
    assert spec.oracle.wall_time in _numbers(ROWS["oracle.wall_time"][2])


@pytest.mark.parametrize(("oracle", "known"), [("emt", True), ("7net-0", False)])
def test_the_row_of_an_oracle_names_the_elements(oracle: str, known: bool) -> None:
    is_ = next(
        cells[1]
        for heading, rows in _tables()
        if heading == "`oracle.name`"
        for cells in rows
        if cells[0] == f"`{oracle}`"
    )
    unknown = unknown_to(oracle, ELEMENTS)
    named = [symbol for symbol in re.findall(r"\b[A-Z][a-z]?\b", is_) if symbol in ELEMENTS]
    assert sorted(named) == sorted(symbol for symbol in ELEMENTS if (symbol not in unknown) == known)


def test_the_example_is_a_campaign_file(tmp_path: Path) -> None:
    file = tmp_path / "cu-o.yaml"
    file.write_text(re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)[0], encoding="utf-8")
    assert load_campaign(file).id == file.stem


def test_every_setting_has_a_row() -> None:
    assert sorted(VARIABLES) == sorted(f"NIOBE_{name.upper()}" for name in Settings.model_fields)
    for name, field in Settings.model_fields.items():
        default = VARIABLES[f"NIOBE_{name.upper()}"][2]
        if field.default_factory is None:
            assert ("empty" if field.default == "" else f"`{field.default}`") in default
