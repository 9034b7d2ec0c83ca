"""Pages of a sorted query from the equality indexes alone: what a ``hint`` asks for.

Only fields that hold one plain value a document are answered so: where any document has an array on the way,
a scan answers, and so it does where a filter needs more than comparisons on indexed fields. Documents
without the sort field are left out, as by a sparse index: the filter must bound that field.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from niobe.launchers.embedded.query.keys import NUMBER, key_of
from niobe.launchers.embedded.query.paths import is_place
from niobe.launchers.embedded.storage.indexing import arrays_in, index_key

_COMPARISONS = {"$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}
_FEW, _LISTED = 2_000, 128
_NAN = key_of(math.nan)
_FIRST = "SELECT MIN(value) FROM fields WHERE collection = ?1 AND field = ?2"
_DISTINCT = (
    f"WITH RECURSIVE f(value) AS ({_FIRST} UNION ALL SELECT ({_FIRST} AND value > f.value) FROM f "
    "WHERE f.value IS NOT NULL LIMIT ?3) SELECT f.value, {0} FROM f WHERE f.value IS NOT NULL"
)


@dataclass(frozen=True)
class Bound:
    """A condition on one indexed field as SQL over the rows of that field, with its values."""

    field: str
    sql: str
    values: tuple[Any, ...]
    is_equality: bool = False


@dataclass(frozen=True)
class Index:
    """The equality index of one collection in SQLite."""

    connection: sqlite3.Connection
    collection: int
    fields: set[str]

    def page(
        self, filter: dict[str, Any], sort: list[tuple[str, int]], skip: int, limit: int
    ) -> list[int] | None:
        """Sequence numbers of the documents of one page in order, or None where a scan must answer.

        filter: as MongoDB takes it. sort: fields and directions, 1 or -1. skip: documents to pass over.
        limit: documents at most.
        """
        bounds = self._bounds(filter)
        if bounds is None or len(sort) != 1:
            return None
        field, direction = sort[0]
        own = [bound for bound in bounds if bound.field == field]
        if not own:
            return None
        others = self._narrowing([bound for bound in bounds if bound.field != field])
        where, values = self._where(own, others, self._size(own[0], 2 * _FEW))
        order = "DESC" if direction < 0 else "ASC"
        found = self.connection.execute(
            f"SELECT f.seq FROM fields f WHERE {where} "
            f"ORDER BY f.value {order}, f.seq {order} LIMIT ? OFFSET ?",
            (*values, limit or -1, skip),
        )
        return [seq for (seq,) in found]

    def count(self, filter: dict[str, Any], *, hinted: bool) -> int | None:
        """How many documents match, or None where a scan must answer: more than equality needs a hint."""
        bounds = self._bounds(filter)
        if not bounds or not (hinted or all(bound.is_equality for bound in bounds)):
            return None
        kept = self._narrowing(bounds)
        if not kept:
            return self._documents()
        fewest, lead = kept[0][0], kept[0][1].field
        own = [bound for _, bound in kept if bound.field == lead]
        where, values = self._where(own, [pair for pair in kept if pair[1].field != lead], fewest)
        what = "*" if hinted else "DISTINCT f.seq"
        found = self.connection.execute(f"SELECT COUNT({what}) FROM fields f WHERE {where}", values)
        return int(found.fetchone()[0])

    def _where(self, own: list[Bound], others: list[tuple[int, Bound]], rows: int) -> tuple[str, list[Any]]:
        """Conditions on the ``rows`` rows ``f`` of one field, and on the same documents' other fields.

        Where another field leaves fewer, SQLite goes through those; else it looks each of ``f`` up.
        """
        parts, values = ["f.collection = ? AND f.field = ?"], [self.collection, own[0].field]
        for bound in own:
            parts.append(bound.sql.format("f"))
            values += bound.values
        for size, bound in others:
            fewer = size < min(rows // 2, _FEW)
            value = bound.sql.format("g" if fewer else "+g")  # the plus: look up by seq, then compare
            entries = f"FROM fields g WHERE g.collection = ? AND g.field = ? AND {value}"
            parts.append(
                f"f.seq IN (SELECT g.seq {entries})"
                if fewer
                else f"EXISTS (SELECT 1 {entries} AND g.seq = f.seq)"
            )
            values += [self.collection, bound.field, *bound.values]
        return " AND ".join(parts), values

    def _narrowing(self, bounds: list[Bound]) -> list[tuple[int, Bound]]:
        """Those that leave some document out with how many they keep, the fewest first.

        Where one keeps few, the others are kept too: looking those few up is cheaper than counting.
        """
        sizes = sorted((self._size(bound, _FEW), place) for place, bound in enumerate(bounds))
        if sizes and sizes[0][0] < _FEW:
            return [(size, bounds[place]) for size, place in sizes]
        everything = self._documents()
        sizes = [(self._size(bound, everything), place) for place, bound in enumerate(bounds)]
        return [(size, bounds[place]) for size, place in sorted(sizes) if size < everything]

    def _documents(self) -> int:
        found = self.connection.execute(
            "SELECT COUNT(*) FROM documents WHERE collection = ?", (self.collection,)
        )
        return int(found.fetchone()[0])

    def _size(self, bound: Bound, most: int) -> int:
        """How many rows of its field are within a bound, counted up to ``most``."""
        found = self.connection.execute(
            "SELECT COUNT(*) FROM (SELECT 1 FROM fields f "
            f"WHERE f.collection = ? AND f.field = ? AND {bound.sql.format('f')} LIMIT ?)",
            (self.collection, bound.field, *bound.values, most),
        )
        return int(found.fetchone()[0])

    def _bounds(self, filter: dict[str, Any]) -> list[Bound] | None:
        """A filter as bounds on indexed fields, or None where it is more than that."""
        found: list[Bound] = []
        for field, condition in _conjuncts(filter):
            if field not in self.fields or any(is_place(part) for part in field.split(".")):
                return None
            if self._has_arrays(field):
                return None
            part = _bound(field, condition)
            if part is None:
                return None
            found += [self._listed(bound) for bound in part]
        return found

    def _has_arrays(self, field: str) -> bool:
        """Whether any document has an array on the path of a field, so that it may hold several values."""
        mark = "SELECT 1 FROM fields WHERE collection = ? AND field = ? LIMIT 1"
        return self.connection.execute(mark, (self.collection, arrays_in(field))).fetchone() is not None

    def _listed(self, bound: Bound) -> Bound:
        """The same bound as a list of values where its field has few different ones: they are ranges of it.

        Distinct values are found one by one, each by a look-up, however many documents share them.
        """
        if bound.is_equality:
            return bound
        sql = _DISTINCT.format(bound.sql.format("f"))
        known = self.connection.execute(
            sql, (self.collection, bound.field, _LISTED + 1, *bound.values)
        ).fetchall()
        if len(known) > _LISTED:
            return bound
        within = tuple(value for value, is_within in known if is_within)
        return replace(bound, sql=_any_of(within), values=within)


def _conjuncts(filter: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for field, condition in filter.items():
        if field == "$and" and isinstance(condition, list):
            for part in condition:
                yield from _conjuncts(part)
        else:
            yield field, condition


def _bound(field: str, condition: Any) -> list[Bound] | None:
    operators = condition if isinstance(condition, dict) else {"$eq": condition}
    found = []
    for operator, value in operators.items():
        part = _equal(field, operator, value) or _compared(field, operator, value)
        if part is None:
            return None
        found.append(part)
    return found or None


def _equal(field: str, operator: str, value: Any) -> Bound | None:
    values = value if operator == "$in" and isinstance(value, list) else [value] if operator == "$eq" else []
    keys = [index_key(each) for each in values]
    if not keys or None in keys:
        return None
    return Bound(field, _any_of(keys), tuple(keys), is_equality=True)


def _any_of(keys: Sequence[Any]) -> str:
    return f"{{0}}.value IN ({','.join('?' * len(keys))})"


def _compared(field: str, operator: str, value: Any) -> Bound | None:
    key = index_key(value)
    if operator not in _COMPARISONS or key is None or key == _NAN:
        return None
    if operator.startswith("$g"):
        sql, end = "{0}.value < ?", bytes([key[0] + 1])  # to the end of its type
    else:
        sql, end = "{0}.value > ?", _NAN if key[0] == NUMBER else key[:1]
    return Bound(field, f"{{0}}.value {_COMPARISONS[operator]} ? AND {sql}", (key, end))
