"""Fireworks that wait for a worker, of which no campaign can be told, and at which a worker ends or hangs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from niobe.config.errors import ConfigError

_KEPT = "unreadable"
"""The collection to which ``--repair`` moves them."""
_NO_ID = {"fw_id": {"$not": {"$type": ["int", "long"]}}}
_NO_SPEC = [{"spec": {"$not": {"$type": "object"}}}, {"spec.0": {"$exists": True}}]


def strays(launchpad: Any) -> Iterator[tuple[str, Callable[[], None]]]:
    """What each is, in words, and what moves it out of the way; other programs' fireworks are none.

    launchpad: FireWorks' LaunchPad.
    """
    query = {"state": "READY", "$or": [_NO_ID, *_NO_SPEC]}
    for found in launchpad.fireworks.find(query, {"fw_id": 1}):
        number = str(found.get("fw_id"))[:40]
        said = f"firework {number} ({found['_id']}) has no number, or no spec that could be read"
        yield said, partial(_move, launchpad, found["_id"])


def require_none(launchpad: Any) -> None:
    """Raises ConfigError where there is one: workers would take it again and again.

    launchpad: FireWorks' LaunchPad.
    """
    for said, _ in strays(launchpad):
        raise ConfigError(f"{said}: workers cannot go on; `niobe doctor --repair` moves it out of their way")


def _move(launchpad: Any, key: Any) -> None:
    """What is gone meanwhile is left."""
    firework = launchpad.fireworks.find_one({"_id": key})
    if firework is not None:
        launchpad.db[_KEPT].insert_one({"collection": "fireworks", "document": firework})
        launchpad.fireworks.delete_one({"_id": key})
