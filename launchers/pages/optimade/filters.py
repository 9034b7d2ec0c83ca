"""OPTIMADE filters as queries of records, and what a request may cost."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from typing import Any

from optimade.exceptions import BadRequest
from optimade.filtertransformers.mongo import MongoTransformer

_LONGEST, _DEEPEST, _MOST_TERMS = 4_000, 20, 200
_MOST_FIELDS, _FURTHEST = 100, 10_000_000
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_TERMS = re.compile(r"[^\s(),:]+")


class RecordTransformer(MongoTransformer):
    """From an OPTIMADE filter to a query of records.

    ``species_at_sites`` is searched in the stored elements: the same symbols, but not as many of them. The
    library keeps one length for each stored field, so this one gets its stored name after it is done.
    """

    def fuzzy_string_op_rhs(self, arg: list[Any]) -> dict[str, str]:
        """CONTAINS, STARTS and ENDS: the text itself, as the library would take it for a pattern."""
        text = re.escape(str(arg[-1]))
        patterns = {"CONTAINS": text, "STARTS": f"^{text}", "ENDS": f"{text}$"}
        return {"$regex": patterns[str(arg[0])]}

    def postprocess(self, query: dict[str, Any]) -> Any:
        """The query as MongoDB takes it. Raises BadRequest for a time that is none."""
        return _renamed(super().postprocess(query), "species_at_sites", "facets.elements")

    def _apply_mongo_date_filter(self, filter_: dict[str, Any]) -> Any:
        """Times as MongoDB stores them; the library reads numbers and knownness as times too."""
        return _with_times(filter_, "modified", stored=False)


def _with_times(query: Any, name: str, *, stored: bool) -> Any:
    """The query, what is compared with the field of that name as a time. stored: within that field."""
    if isinstance(query, dict):
        known = {"$exists", "$type"}
        return {
            key: value if key in known else _with_times(value, name, stored=stored or key == name)
            for key, value in query.items()
        }
    if isinstance(query, list):
        return [_with_times(part, name, stored=stored) for part in query]
    return query if query is None or not stored else _time(query)


def _time(text: Any) -> datetime:
    try:
        found = datetime.fromisoformat(text if isinstance(text, str) else "")
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise BadRequest(detail="filter: a time is as in last_modified > 2026-01-31T12:00:00Z") from None


def _renamed(query: Any, name: str, stored: str) -> Any:
    if isinstance(query, dict):
        return {key.replace(name, stored): _renamed(value, name, stored) for key, value in query.items()}
    return [_renamed(part, name, stored) for part in query] if isinstance(query, list) else query


def check_cost(params: Any) -> None:
    """Raises BadRequest, before anything is parsed, for a filter or a page that costs too much."""
    filter, fields = getattr(params, "filter", None) or "", getattr(params, "response_fields", None) or ""
    bare = _QUOTED.sub('""', filter)
    depths = itertools.accumulate((letter == "(") - (letter == ")") for letter in bare)
    offset = getattr(params, "page_offset", 0) or 0
    number = getattr(params, "page_number", 0) or 0
    problems = {
        f"filter: more than {_LONGEST} characters": len(filter) > _LONGEST,
        f"filter: parentheses deeper than {_DEEPEST}": max(depths, default=0) > _DEEPEST,
        f"filter: more than {_MOST_TERMS} words and values": len(_TERMS.findall(bare)) > _MOST_TERMS,
        f"response_fields: more than {_MOST_FIELDS}": fields.count(",") >= _MOST_FIELDS,
        f"sort: more than {_LONGEST} characters": len(getattr(params, "sort", None) or "") > _LONGEST,
        f"page_offset, page_number: not between 0 and {_FURTHEST}": not (
            0 <= offset <= _FURTHEST and number <= _FURTHEST
        ),
    }
    for problem, found in problems.items():
        if found:
            raise BadRequest(detail=problem)
