"""Clients that write in one way each until their server is killed, and what must be there then."""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pymongo import DeleteOne, InsertOne, ReplaceOne, UpdateMany, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from tests.launchers.embedded.tools import connect, kill, start_quickly

Docs = dict[Any, dict[str, Any]]
Change = Callable[[Docs], object]
Write = tuple[Callable[[Any], object], list[Change]]
"""What is asked of a collection, and what it does to its documents, a step for each command that it is."""
PAD = "x" * 300
_MOST_SECONDS = 0.4


def _new(*ids: Any) -> list[dict[str, Any]]:
    return [{"_id": one, "v": 0, "pad": PAD} for one in ids]


def _put(documents: list[dict[str, Any]]) -> Change:
    return lambda docs: docs.update({one["_id"]: dict(one) for one in documents})


def _set(key: Any, **fields: Any) -> Change:
    return lambda docs: docs[key].update(fields) if key in docs else None


def _drop(*keys: Any) -> Change:
    return lambda docs: [docs.pop(key, None) for key in keys]


def _add_to_all(docs: Docs) -> None:
    for one in docs.values():
        one["v"] += 1


def insert_one(n: int) -> Write:
    (one,) = _new(n)
    return lambda c: c.insert_one(one), [_put([one])]


def insert_many(n: int) -> Write:
    some = _new(*range(5 * n, 5 * n + 5))
    return lambda c: c.insert_many(some), [_put(some)]


def insert_many_with_a_duplicate(n: int) -> Write:
    """Ordered: what comes after the duplicate is not stored."""
    some = _new(f"{n}a", f"{n}b", f"{n}a", f"{n}c")
    return lambda c: c.insert_many(some), [_put(some[:2])]


def insert_many_unordered(n: int) -> Write:
    some = _new(f"{n}a", f"{n}b", f"{n}a", f"{n}c")
    return lambda c: c.insert_many(some, ordered=False), [_put([*some[:2], some[3]])]


def _every_fifth_fills(n: int, keys: Sequence[Any], otherwise: Write) -> Write:
    some = _new(*keys)
    return (lambda c: c.insert_many(some), [_put(some)]) if n % 5 == 0 else otherwise


def update_one(n: int) -> Write:
    if n == 0:
        return insert_many(0)
    return lambda c: c.update_one({"_id": n % 5}, {"$set": {"v": n}}), [_set(n % 5, v=n)]


def update_many(n: int) -> Write:
    if n < 5:
        return insert_many(n)
    return lambda c: c.update_many({}, {"$inc": {"v": 1}}), [_add_to_all]


def update_by_pipeline(n: int) -> Write:
    if n == 0:
        return insert_many(0)
    return lambda c: c.update_many({}, [{"$set": {"v": {"$add": ["$v", 1]}}}]), [_add_to_all]


def replace_one(n: int) -> Write:
    if n == 0:
        return insert_many(0)
    one = {"_id": n % 5, "v": n, "other": PAD}
    return lambda c: c.replace_one({"_id": n % 5}, one), [_put([one])]


def delete_one(n: int) -> Write:
    key = f"{n // 5}-{n % 5}"
    asked: Write = (lambda c: c.delete_one({"_id": key}), [_drop(key)])
    return _every_fifth_fills(n, [f"{n // 5}-{i}" for i in range(5)], asked)


def delete_many(n: int) -> Write:
    keys = [f"{n // 5}-{i}" for i in range(20)]
    part = keys[5 * (n % 5) - 5 : 5 * (n % 5)]
    asked: Write = (lambda c: c.delete_many({"_id": {"$in": part}}), [_drop(*part)])
    return _every_fifth_fills(n, keys, asked)


def upsert(n: int) -> Write:
    one = {"_id": n, "v": n}
    return lambda c: c.update_one({"_id": n}, {"$set": {"v": n}}, upsert=True), [_put([one])]


def find_and_update(n: int) -> Write:
    if n == 0:
        return insert_many(0)
    return lambda c: c.find_one_and_update({"_id": n % 5}, {"$set": {"v": n}}), [_set(n % 5, v=n)]


def find_and_replace(n: int) -> Write:
    one = {"_id": n % 7, "v": n}
    return lambda c: c.find_one_and_replace({"_id": n % 7}, one, upsert=True), [_put([one])]


def find_and_delete(n: int) -> Write:
    key = f"{n // 5}-{n % 5}"
    asked: Write = (lambda c: c.find_one_and_delete({"_id": key}), [_drop(key)])
    return _every_fifth_fills(n, [f"{n // 5}-{i}" for i in range(5)], asked)


def bulk_ordered(n: int) -> Write:
    first, second = _new(f"{n}a", f"{n}b")
    last = {"_id": f"{n}c", "v": n}
    asked = [
        *(InsertOne(first), InsertOne(second), UpdateOne({"_id": f"{n}a"}, {"$set": {"v": n}})),
        *(DeleteOne({"_id": f"{n}b"}), ReplaceOne({"_id": f"{n}c"}, last, upsert=True)),
    ]
    steps = [_put([first, second]), _set(f"{n}a", v=n), _drop(f"{n}b"), _put([last])]
    return lambda c: c.bulk_write(asked), steps


def bulk_unordered(n: int) -> Write:
    """Sent as one command a kind: inserts, updates, deletions."""
    first, second = _new(f"{n}a", f"{n}b")
    asked = [
        *(DeleteOne({"_id": f"{n}b"}), UpdateMany({"_id": f"{n}a"}, {"$set": {"v": n}})),
        *(InsertOne(first), InsertOne(second)),
    ]
    steps = [_put([first, second]), _set(f"{n}a", v=n), _drop(f"{n}b")]
    return lambda c: c.bulk_write(asked, ordered=False), steps


def index(n: int) -> Write:
    """Made and dropped in turn over documents; a document named as the index stands for it here."""
    if n == 0:
        return insert_many(0)
    name = f"i{n // 2 % 3}"
    if n % 2:
        return lambda c: c.create_index("v", name=name, sparse=False), [_put([{"_id": name}])]
    return lambda c: c.drop_indexes(), [lambda docs: [docs.pop(f"i{i}", None) for i in range(3)]]


def drop_collection(n: int) -> Write:
    return insert_many(n) if n % 3 else (lambda c: c.drop(), [lambda docs: docs.clear()])


WRITES: dict[str, Callable[[int], Write]] = {
    "insert one": insert_one,
    "insert many": insert_many,
    "insert many, ordered, a duplicate among them": insert_many_with_a_duplicate,
    "insert many, unordered, a duplicate among them": insert_many_unordered,
    "update one": update_one,
    "update many": update_many,
    "update many by a pipeline": update_by_pipeline,
    "replace one": replace_one,
    "delete one": delete_one,
    "delete many": delete_many,
    "upsert": upsert,
    "findAndModify, update": find_and_update,
    "findAndModify, replace": find_and_replace,
    "findAndModify, remove": find_and_delete,
    "bulk, ordered": bulk_ordered,
    "bulk, unordered": bulk_unordered,
    "indexes made and dropped": index,
    "collection dropped": drop_collection,
}
"""By what the write is: the n-th write of that kind."""


@dataclass
class Writer:
    """One kind of write. docs: what the acknowledged ones have made. lost: kills after which it is not so."""

    name: str
    docs: Docs = field(default_factory=dict)
    number: int = 0
    acknowledged: int = 0
    lost: int = 0

    def write(self, uri: str) -> None:
        """Write until the server does not answer."""
        with connect(uri, serverSelectionTimeoutMS=300) as client:
            while True:
                ask, changes = WRITES[self.name](self.number)
                try:
                    with contextlib.suppress(BulkWriteError, DuplicateKeyError):
                        ask(client["kills"][self.name])
                except PyMongoError:
                    return
                for change in changes:
                    change(self.docs)
                self.number, self.acknowledged = self.number + 1, self.acknowledged + 1

    def look(self, uri: str) -> None:
        """Compare with what is there, and go on from it."""
        with connect(uri) as client:
            found = _found(client["kills"][self.name])
        if found not in (might := list(self._might_be())):
            self.lost += 1
        elif found == might[-1] or found != might[0]:
            self.number += 1
        self.docs = found

    def _might_be(self) -> Iterator[Docs]:
        """What the acknowledged writes have made, then with each step of the next one."""
        docs = {key: dict(one) for key, one in self.docs.items()}
        yield {key: dict(one) for key, one in docs.items()}
        for change in WRITES[self.name](self.number)[1]:
            change(docs)
            yield {key: dict(one) for key, one in docs.items()}


def _found(collection: Any) -> Docs:
    found: Docs = {one["_id"]: one for one in collection.find()}
    names = [name for name in collection.index_information() if name != "_id_"]
    for value in {one["v"] for one in found.values()} if names else ():
        by_index = collection.count_documents({"v": value})
        assert by_index == sum(one["v"] == value for one in found.values())
    return found | {name: {"_id": name} for name in names}


def kill_in_writes(
    folder: Path, names: Sequence[str], kills: int, chance: random.Random
) -> dict[str, Writer]:
    """Write in these ways at once, each from a client of its own, and kill the server, again and again."""
    writers = {name: Writer(name) for name in names}
    uri = start_quickly(folder)
    for _ in range(kills):
        threads = [threading.Thread(target=one.write, args=(uri,)) for one in writers.values()]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0.05, _MOST_SECONDS))
        kill(folder)
        for thread in threads:
            thread.join()
        start_quickly(folder)
        for writer in writers.values():
            writer.look(uri)
    kill(folder)
    return writers
