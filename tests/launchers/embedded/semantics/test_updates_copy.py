"""An update leaves the document that it was given as it was; it shares what it does not touch."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest

from niobe.launchers.embedded.updates.document import Update

BEFORE: dict[str, Any] = {
    "_id": 1,
    "a": {"b": {"c": 1, "list": [{"x": 1}, {"x": 2}]}, "d": 2},
    "list": [1, 2, {"deep": [3]}],
    "beside": {"untouched": [1, {"y": 2}]},
}
UPDATES: list[dict[str, Any]] = [
    {"$set": {"a.b.c": 5, "list.2.deep.0": 7}},
    {"$set": {"a.b": {"e": 1}}, "$unset": {"list.0": ""}},
    {"$push": {"a.b.list": {"x": 3}}, "$inc": {"a.d": 4}},
    {"$pull": {"a.b.list": {"x": 1}}},
    {"$addToSet": {"list": 9}, "$mul": {"a.d": 2}},
    {"$rename": {"a.b": "beside.moved"}},
    {"$rename": {"list": "elsewhere"}, "$set": {"beside.untouched.1.y": 3}},
    {"$min": {"a.d": 1}, "$max": {"a.b.c": 9}, "$setOnInsert": {"beside.z": 1}},
    {"$pop": {"list": 1}},
    {"$set": {"a.b.list.$[].x": 0}},
]


@pytest.mark.parametrize("change", UPDATES, ids=str)
def test_what_was_given_stays(change: dict[str, Any]) -> None:
    before, update = deepcopy(BEFORE), Update(deepcopy(change), {"_id": 1}, [])
    after = update.applied(before)
    assert before == BEFORE
    assert after != BEFORE
    assert after == update.applied(deepcopy(BEFORE))
    expected = deepcopy(after)
    again = Update({"$set": {"a.again.and": 1, "list": [], "beside.more.x": 1}}, {"_id": 1}, []).applied(
        after
    )
    assert after == expected and again != after and before == BEFORE
