"""What a person may ask of the structure records: filters of a form, and a small, harmless query language."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from niobe.config.errors import ConfigError
from niobe.config.outside.json_text import not_too_deep
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.records import StructureRecord

Query = dict[str, Any]
SortKey = Literal["round", "formula", "n_atoms", "e_above_hull", "formation_energy", "frequency"]
SORT_FIELDS: dict[str, str] = {
    "round": "round",
    "formula": "formula",
    "n_atoms": "n_atoms",
    "e_above_hull": "verdict.e_above_hull_now",
    "formation_energy": "verdict.formation_energy_per_atom",
    "frequency": "validation.phonon.lowest_frequency",
}
INDEXED_FIELDS = (*SORT_FIELDS.values(), "chemsys", "lineage.generator", "validation.phonon.outcome")
OPERATORS = frozenset(
    {"$and", "$or", "$nor", "$not", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists"}
    | {"$all", "$size", "$elemMatch", "$regex"}
)
_MOST_CHARACTERS, _DEEPEST, _MOST_PARTS = 4_000, 10, 200
_FIELD = re.compile(r"[A-Za-z0-9_]+(\.[A-Za-z0-9_]+)*")
_LITERAL = re.compile(r"\^?[\w \-]*\$?")
_LARGEST = 2**63 - 1
_COUNT = re.compile(r"([A-Z][a-z]?)(\d*)")
_FINITE = {"$gte": -1e300, "$lte": 1e300}


class Filter(BaseModel):
    """The fields of the table's form; what is None or empty does not narrow. Energies in eV/atom."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    elements: Annotated[str, Field(max_length=60, pattern=r"^[A-Za-z ,\-]*$")] = ""
    formula: Annotated[str, Field(max_length=60, pattern=r"^[A-Za-z0-9]*$")] = ""
    status: Annotated[str, Field(pattern=r"^[a-z]*$", max_length=20)] = ""
    dynamics: Stability | Literal[""] = ""
    discovery: bool = False
    round: Annotated[int, Field(ge=0, le=10**6)] | None = None
    generator: Annotated[str, Field(pattern=r"^[a-z_]*$", max_length=40)] = ""
    source: Literal["", "seed", "generated"] = ""
    max_above: Annotated[float, Field(ge=0, le=1000)] | None = None
    query: Annotated[str, Field(max_length=_MOST_CHARACTERS)] = ""

    @field_validator("round", "max_above", mode="before")
    @classmethod
    def _left_blank(cls, value: Any) -> Any:
        return None if value == "" else value

    def to_query(self, elements: Sequence[str]) -> Query:
        """The MongoDB query, for a campaign over ``elements``. Raises ConfigError for a refused one."""
        found: Query = {}
        if self.elements:
            found["chemsys"] = {"$in": systems_with(_symbols(self.elements), elements)}
        exact = {
            "formula": self.formula,
            "status": self.status,
            "validation.phonon.outcome": self.dynamics and str(self.dynamics),
            "lineage.generator": self.generator,
        }
        found |= {field: value for field, value in exact.items() if value}
        if self.discovery:
            found["verdict.discovery"] = True
        if self.round is not None:
            found["round"] = self.round
        elif self.source:
            found["round"] = 0 if self.source == "seed" else {"$gte": 1}
        if self.max_above is not None:
            found["verdict.e_above_hull_now"] = {"$lte": self.max_above}
        expert = parse_query(self.query)
        return {"$and": [found, expert]} if expert and found else expert or found


def sorted_query(query: Query, sort: SortKey) -> Query:
    """The query, narrowed to records that have what they are sorted by, as an index needs it."""
    bound = {"$gte": ""} if sort == "formula" else _FINITE
    return {"$and": [query, {SORT_FIELDS[sort]: bound}]} if query else {SORT_FIELDS[sort]: bound}


def systems_with(wanted: Sequence[str], elements: Sequence[str]) -> list[str]:
    """Chemical systems of a campaign's elements that hold all that is wanted, as pymatgen writes them."""
    others = sorted(set(elements) - set(wanted))
    chosen = (part for size in range(len(others) + 1) for part in itertools.combinations(others, size))
    return ["-".join(sorted({*wanted, *part})) for part in chosen if wanted or part]


def parse_query(text: str) -> Query:
    """A MongoDB query written by a person, as JSON.

    Only comparisons and logic are let through: no code, no writes, no pattern that could take long. Raises
    ConfigError that names what is refused.
    """
    if not text.strip():
        return {}
    try:
        query = json.loads(not_too_deep(text), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"query: not JSON ({str(error)[:80]})") from None
    if not isinstance(query, dict):
        raise ConfigError('query: needs an object such as {"n_atoms": {"$lte": 8}}')
    if sum(1 for _ in _parts(query)) > _MOST_PARTS:
        raise ConfigError(f"query: more than {_MOST_PARTS} parts")
    _check_filter(query)
    return query


def _symbols(text: str) -> list[str]:
    return sorted({part.capitalize() for part in re.split(r"[ ,\-]+", text) if part})


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _parts(value: Any, depth: int = 0) -> Iterator[Any]:
    if depth > _DEEPEST:
        raise ConfigError(f"query: nested deeper than {_DEEPEST}")
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in inner:
        yield from _parts(part, depth + 1)


def _check_filter(query: Any) -> None:
    """A filter: field names, or $and, $or and $nor over filters."""
    if not isinstance(query, dict):
        raise ConfigError("query: $and, $or, $nor and $elemMatch take filters in braces")
    for key, value in query.items():
        if key in {"$and", "$or", "$nor"}:
            if not isinstance(value, list) or not value:
                raise ConfigError(f"query: {key} takes a list of filters")
            for part in value:
                _check_filter(part)
        elif key.startswith("$"):
            raise ConfigError(f"query: {key!r} is not allowed here; allowed: $and, $or, $nor and field names")
        elif not _FIELD.fullmatch(key):
            raise ConfigError(f"query: {key!r} is no field name")
        else:
            _check_condition(value)


def _check_condition(value: Any) -> None:
    """A plain value, or an object of operators."""
    if not isinstance(value, dict):
        _check_value(value)
        return
    for operator, argument in value.items():
        if operator not in OPERATORS - {"$and", "$or", "$nor"}:
            allowed = ", ".join(sorted(OPERATORS))
            raise ConfigError(f"query: operator {operator!r} is not allowed; allowed: {allowed}")
        _check_argument(operator, argument)


def _check_argument(operator: str, argument: Any) -> None:
    if operator == "$not":
        if not isinstance(argument, dict):
            raise ConfigError("query: $not takes operators in braces")
        _check_condition(argument)
    elif operator == "$elemMatch":
        _check_filter(argument)
    elif operator in {"$in", "$nin", "$all"}:
        if not isinstance(argument, list):
            raise ConfigError(f"query: {operator} takes a list")
        _check_value(argument)
    elif operator == "$regex":
        if not isinstance(argument, str) or not _LITERAL.fullmatch(argument):
            raise ConfigError("query: $regex takes letters, digits, ^ at the start and $ at the end")
    elif operator == "$size":
        if not isinstance(argument, int) or isinstance(argument, bool) or not 0 <= argument < 10**6:
            raise ConfigError("query: $size takes a whole number")
    elif operator == "$exists":
        if not isinstance(argument, bool):
            raise ConfigError("query: $exists takes true or false")
    else:
        _check_value(argument)


def _check_value(value: Any) -> None:
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, dict | list):
            raise ConfigError("query: compare with numbers, words, true, false or null, or a list of them")
        if isinstance(part, int | float) and not -_LARGEST <= part <= _LARGEST:
            raise ConfigError(f"query: {part} is too large")
        if isinstance(part, str) and ("\0" in part or not part.isprintable()):
            raise ConfigError("query: a word holds characters that cannot be printed")


def facets(record: StructureRecord) -> dict[str, Any]:
    """What other programs search by besides the record's own fields, as OPTIMADE 1.2 names it.

    Ratios are of an element's atoms to all, elements in alphabetical order.
    """
    amounts = {symbol: int(count or 1) for symbol, count in _COUNT.findall(record.formula_reduced)}
    total = sum(amounts.values())
    return {
        "id": record.id,
        "elements": list(amounts),
        "elements_ratios": [amount / total for amount in amounts.values()],
        "chemical_formula_anonymous": _anonymous(sorted(amounts.values(), reverse=True)),
        "nperiodic_dimensions": 3,
        "dimension_types": [1, 1, 1],
        "structure_features": [],
    }


def _anonymous(amounts: Sequence[int]) -> str:
    return "".join(letter + ("" if n == 1 else str(n)) for letter, n in zip("ABCDE", amounts, strict=False))
