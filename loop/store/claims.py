"""Who may write for a step of a round: the last worker that was given it, until it is done.

A worker that was stopped, and wakes once its step was given to another or its round has closed, finds that
its claim is gone before it writes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from niobe.loop.documents.rounds import RoundState
from niobe.loop.store.mapping import Document

if TYPE_CHECKING:
    from pymongo.collection import Collection as MongoCollection

_TAKEN, _BITS = "taken", 20
"""The field of a round that counts how often a step that chooses was taken from another worker, and the bits
that are left to it in a turn."""
_WRITES = frozenset(
    {"insert_one", "insert_many", "update_one", "update_many", "replace_one", "bulk_write"}
    | {"delete_one", "delete_many", "find_one_and_update", "find_one_and_replace"}
)


class SupersededError(RuntimeError):
    """The step was given to another worker, or is over: what this one still had to write was not written."""


@dataclass(frozen=True)
class Claim:
    """The right to write for a step, or for a part of one.

    campaign: its id. number: of the round. part: the step, with the slot where it has some. may_be_late: it
    may end once its round has closed, as validations of an asynchronous campaign do. chooses: it is of a step
    that chooses candidates or sets them aside, of which one runs at a time. turn: of such a step, once it is
    taken; it rises with every one that is taken from another worker. from_another: whether it was.
    """

    campaign: str
    number: int
    part: str
    may_be_late: bool = False
    chooses: bool = False
    turn: int | None = None
    from_another: bool = False
    token: str = field(default_factory=lambda: uuid.uuid4().hex)

    def taken(self, rounds: MongoCollection[Document]) -> Claim | None:
        """This claim, taken from whoever had it; None where the step is done, or its round has closed.

        rounds: the collection.
        """
        mine, change = f"claims.{self.part}", {"$set": {f"claims.{self.part}": self.token}}
        free = self._round | {f"steps.{self.part}": {"$exists": False}}
        if found := rounds.find_one_and_update(free | {mine: {"$exists": False}}, change):
            return self._in_turn(found.get(_TAKEN, 0), from_another=False)
        again = change | ({"$inc": {_TAKEN: 1}} if self.chooses else {})
        found = rounds.find_one_and_update(free | {mine: {"$exists": True}}, again)
        return self._in_turn(found.get(_TAKEN, 0) + 1, from_another=True) if found else None

    def _in_turn(self, taken: int, *, from_another: bool) -> Claim:
        turn = (self.number << _BITS) + taken if self.chooses else None
        return replace(self, turn=turn, from_another=from_another)

    @property
    def held(self) -> Document:
        """The query that finds its round while it is held."""
        return self._round | {f"claims.{self.part}": self.token}

    @property
    def _round(self) -> Document:
        state = {} if self.may_be_late else {"state": RoundState.OPEN.value}
        return {"campaign": self.campaign, "number": self.number} | state

    def superseded(self) -> SupersededError:
        """The error that says so."""
        name = f"{self.campaign} r{self.number} {self.part}"
        return SupersededError(f"{name}: given to another worker meanwhile, or over")

    def ended(self, rounds: MongoCollection[Document], changes: Document) -> None:
        """Give it back and change the round in one write. Raises SupersededError where it is not held.

        rounds: the collection. changes: fields to set.
        """
        mine = {"campaign": self.campaign, "number": self.number, f"claims.{self.part}": self.token}
        change = {"$unset": {f"claims.{self.part}": ""}} | ({"$set": changes} if changes else {})
        if not rounds.update_one(mine, change).matched_count:
            raise self.superseded()


class ClaimedCollection:
    """A collection of pymongo whose writes raise SupersededError once a claim is not held any more."""

    def __init__(
        self, collection: MongoCollection[Document], claim: Claim, rounds: MongoCollection[Document]
    ) -> None:
        """collection: to write to. claim: to ask for. rounds: the collection that knows."""
        self._collection, self._claim, self._rounds = collection, claim, rounds

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._collection, name)
        return self._checked(found) if name in _WRITES else found

    def _checked(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def checked(*arguments: Any, **named: Any) -> Any:
            if self._rounds.find_one(self._claim.held, {"_id": 1}) is None:
                raise self._claim.superseded()
            return write(*arguments, **named)

        return checked
