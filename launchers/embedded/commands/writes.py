"""Commands that write documents: insert, update, delete, findAndModify.

What an index finds is changed at once, all statements of a command in one transaction. What only a scan finds
is looked for beside other commands, and looked at again when it is changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from bson.errors import BSONError
from pymongo.errors import PyMongoError

from niobe.launchers.embedded.commands.access import Access, named
from niobe.launchers.embedded.commands.errors import CommandError, code_of, message_of
from niobe.launchers.embedded.query.matching import is_plain, matcher
from niobe.launchers.embedded.query.projecting import projection
from niobe.launchers.embedded.query.sorting import Sort, sort_of
from niobe.launchers.embedded.storage.collection import Collection
from niobe.launchers.embedded.storage.documents import Document, Row
from niobe.launchers.embedded.updates.document import Update, base_of

_REFUSED = (CommandError, PyMongoError, TypeError, ValueError, BSONError, OverflowError)


@dataclass
class Statement:
    """One statement of a command, and what came of it. many: all that match, else the first of ``sort``."""

    filter: Document
    update: Update | None
    many: bool = False
    upsert: bool = False
    sort: Sort = field(default_factory=list)
    hint: Any = None
    matched: int = 0
    modified: int = 0
    is_upserted: bool = False
    before: Document | None = None
    after: Document | None = None

    def __post_init__(self) -> None:
        """Raises CommandError for what is no filter."""
        self.matches = matcher(self.filter)

    def is_quick(self, collection: Collection) -> bool:
        """Whether it takes no time to speak of, so that others may wait for it."""
        return is_plain(self.filter) and collection.are_few(collection.useful(self.filter))

    def at_once(self, collection: Collection) -> None:
        """Run it where it is quick."""
        for row in list(self._found(collection)):
            self._apply(collection, row)
        if self.upsert and not self.matched:
            self._insert(collection)

    def beside_others(self, access: Access, command: Document) -> None:
        """Run it where it is not: what matches is looked for first, then changed where it still does."""
        while True:
            with access.reading(command) as view:
                seqs = [seq for seq, _ in self._found(named(view, command))][::-1]
            if not seqs:
                break
            access.in_turns(command, partial(self._step, seqs))
            if self.many or self.matched:
                return
        if self.upsert:
            access.in_turns(command, self._last_step)

    def _step(self, seqs: list[int], collection: Collection) -> bool:
        seq = seqs.pop()
        document = collection.read(seq)
        if document is not None and self.matches(document):
            self._apply(collection, (seq, document))
        return not seqs

    def _last_step(self, collection: Collection) -> bool:
        self._insert(collection)
        return True

    def _found(self, collection: Collection) -> Iterator[Row]:
        collection.require_hinted(self.hint)
        return collection.select(self.filter, sort=self.sort, limit=None if self.many else 1)

    def _apply(self, collection: Collection, row: Row) -> None:
        """Change or delete one document."""
        self.before = self.after = row[1]
        if self.update is None:
            collection.delete(row[0])
        else:
            changed = collection.change(row, self.update.applied)
            self.after, self.modified = changed or row[1], self.modified + (changed is not None)
        self.matched += 1

    def _insert(self, collection: Collection) -> None:
        """Insert what an upsert makes of its filter and its update."""
        if self.update is None:
            return
        base = base_of(self.filter)
        if not self.update.has_operators:
            base = {key: value for key, value in base.items() if key == "_id"}
        self.after = collection.add(self.update.applied(base, inserting=True))
        self.is_upserted = True


@dataclass
class Insertion:
    """A document to insert."""

    document: Document
    matched: int = 0
    modified: int = 0
    is_upserted: bool = False
    after: Document | None = None

    def is_quick(self, collection: Collection) -> bool:
        """It always is."""
        return True

    def at_once(self, collection: Collection) -> None:
        """Store it."""
        collection.add(self.document)
        self.matched = 1

    def beside_others(self, access: Access, command: Document) -> None:
        """Never needed."""


class Batch:
    """The statements of a command, in order, and what came of them as MongoDB answers it."""

    def __init__(
        self, access: Access, command: Document, given: list[Any], make: Callable[[Any], Any]
    ) -> None:
        self._access, self._command, self._given, self._make = access, command, given, make
        self._is_ordered = bool(command.get("ordered", True))
        self._place = self._matched = self._modified = 0
        self._upserted: list[Document] = []
        self._errors: list[Document] = []

    def run(self) -> Document:
        """Quick statements in one transaction, or in turns with others where there are many; others alone."""
        while not self._is_over:
            self._access.in_turns(self._command, self._quick_step)
            if not self._is_over:
                self._attempt(lambda statement: statement.beside_others(self._access, self._command))
        counts: Document = {"n": self._matched + len(self._upserted), "nModified": self._modified}
        counts |= {"upserted": self._upserted} if self._upserted else {}
        return counts | ({"writeErrors": self._errors} if self._errors else {})

    @property
    def _is_over(self) -> bool:
        return self._place >= len(self._given) or bool(self._errors and self._is_ordered)

    def _quick_step(self, collection: Collection) -> bool:
        """Run the next statement; True where there is none, or it is not quick."""
        if self._is_over:
            return True
        is_slow = False

        def run(statement: Any) -> None:
            nonlocal is_slow
            is_slow = not statement.is_quick(collection)
            if not is_slow:
                statement.at_once(collection)

        place = self._place
        self._attempt(run)
        if is_slow:
            self._place = place
        return is_slow or self._is_over

    def _attempt(self, run: Callable[[Any], None]) -> None:
        place, self._place = self._place, self._place + 1
        statement = None
        try:
            statement = self._make(self._given[place])
            run(statement)
        except _REFUSED as error:
            self._errors.append({"index": place, "code": code_of(error), "errmsg": message_of(error)})
        if statement is not None:
            self._matched, self._modified = (
                self._matched + statement.matched,
                self._modified + statement.modified,
            )
            if statement.is_upserted:
                self._upserted.append({"index": place, "_id": statement.after["_id"]})


def insert(access: Access, command: Document) -> Document:
    """Insert documents, stopping at the first error where ordered."""
    answer = Batch(access, command, command["documents"], Insertion).run()
    del answer["nModified"]
    return answer


def update(access: Access, command: Document) -> Document:
    """Update, replace or upsert."""
    return Batch(access, command, command["updates"], _update_statement).run()


def _update_statement(given: Document) -> Statement:
    change = Update(given["u"], given["q"], given.get("arrayFilters") or [])
    if given.get("multi") and not change.has_operators:
        raise CommandError(9, "multi update is not supported for replacement-style update")
    if given.get("multi") and given.get("sort"):
        raise CommandError(9, "multi update is not supported with a sort")
    many, upsert = bool(given.get("multi")), bool(given.get("upsert"))
    sort = sort_of(given.get("sort") or {})
    return Statement(given["q"], change, many=many, upsert=upsert, sort=sort, hint=given.get("hint"))


def delete(access: Access, command: Document) -> Document:
    """Delete one or all that match."""
    answer = Batch(access, command, command["deletes"], _delete_statement).run()
    del answer["nModified"]
    return answer


def _delete_statement(given: Document) -> Statement:
    if isinstance(given.get("limit"), bool) or given.get("limit") not in (0, 1):
        raise CommandError(9, "The limit field in delete objects must be 0 or 1")
    return Statement(given["q"], None, many=given["limit"] == 0, hint=given.get("hint"))


def find_and_modify(access: Access, command: Document) -> Document:
    """findAndModify: update, replace or remove one document and return it as it was or is."""
    filter, is_removal = command.get("query") or {}, bool(command.get("remove"))
    if is_removal == ("update" in command) or (is_removal and (command.get("upsert") or command.get("new"))):
        raise CommandError(
            9, "either an update or remove=true must be specified, the latter without new or upsert"
        )
    change = None if is_removal else Update(command["update"], filter, command.get("arrayFilters") or [])
    sort, upsert = sort_of(command.get("sort") or {}), bool(command.get("upsert"))
    statement = Statement(filter, change, upsert=upsert, sort=sort, hint=command.get("hint"))
    if not _is_done_at_once(access, command, statement):
        statement.beside_others(access, command)
    value = statement.after if command.get("new") else statement.before
    if value is not None and command.get("fields"):
        value = projection(command["fields"])(value)
    last: Document = {"n": int(statement.matched or statement.is_upserted)}
    if not is_removal:
        last["updatedExisting"] = bool(statement.matched)
    if statement.is_upserted and statement.after:
        last["upserted"] = statement.after["_id"]
    return {"value": value, "lastErrorObject": last}


def _is_done_at_once(access: Access, command: Document, statement: Statement) -> bool:
    with access.writing() as view:
        collection = named(view, command)
        is_quick = statement.is_quick(collection)
        if is_quick:
            statement.at_once(collection)
        return is_quick


COMMANDS: dict[str, Callable[[Access, Document], Document]] = {
    "insert": insert,
    "update": update,
    "delete": delete,
    "findAndModify": find_and_modify,
}
