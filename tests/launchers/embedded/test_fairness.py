"""No query stops the others: the slowest a second client waits while a first sends what costs most."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bson import Regex
from pymongo.errors import OperationFailure, PyMongoError

from niobe.launchers.embedded import ensure_server
from tests.launchers.embedded.tools import EMBEDDED_ONLY, connect

pytestmark = EMBEDDED_ONLY

MOST_SECONDS = 1.0


def busy() -> float:
    """How much longer things take beside what else the machine does: 1 where it does nothing else."""
    return max(1.0, 2 * os.getloadavg()[0] / (os.cpu_count() or 1))


LOOKUP = {"from": "c", "localField": "t", "foreignField": "t", "as": "f"}


def at_once(ask: Any, clients: int = 12) -> None:
    """Ask from many threads together."""
    threads = [threading.Thread(target=ask) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


COSTLY: list[tuple[str, Any]] = [
    ("nested repetition", lambda c: c.find_one({"s": {"$regex": "((((.+)+)+)+)+!"}})),
    ("under $not", lambda c: c.find_one({"s": {"$not": Regex("((((.+)+)+)+)*")}})),
    (
        "a list of patterns",
        lambda c: c.count_documents({"s": {"$in": [Regex(f"(.*a){{9}}{i}") for i in range(50)]}}),
    ),
    ("states without number", lambda c: c.count_documents({"s": Regex("(a|b)*a(a|b){60}c")})),
    ("distinct", lambda c: c.distinct("s", {"t": {"$regex": "(x+x+)+y"}})),
    ("a long list", lambda c: c.count_documents({"t": {"$in": [f"z{i}" for i in range(10_000)]}})),
    ("sort of everything", lambda c: list(c.find(sort=[("t", -1), ("n", 1)]))),
    ("group of everything", lambda c: list(c.aggregate([{"$group": {"_id": "$t", "n": {"$sum": "$n"}}}]))),
    ("$expr", lambda c: c.count_documents({"$expr": {"$gt": ["$n", -1]}})),
    ("nested $or", lambda c: c.count_documents({"$or": [{"n": {"$gt": 10**9 + i}} for i in range(500)]})),
    (
        "arrays by lists",
        lambda c: c.count_documents({"l": {"$all": [{"$elemMatch": {"$gt": i}} for i in range(99)]}}),
    ),
    ("lookup", lambda c: list(c.aggregate([{"$lookup": LOOKUP}, {"$match": {"f.n": -1}}], maxTimeMS=3000))),
    (
        "many at once",
        lambda c: at_once(lambda: c.count_documents({"$or": [{"n": -i - 1} for i in range(300)]})),
    ),
    ("update by pattern", lambda c: c.update_many({"s": Regex("((.+)+)+!")}, {"$set": {"n": 1}})),
    ("delete by pattern", lambda c: c.delete_many({"s": Regex("((.+)+)+!")})),
]


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with documents of long texts."""
    from niobe.launchers.embedded import stop_server

    folder: Path = tmp_path_factory.mktemp("fair") / "db"
    uri = ensure_server(folder)
    with connect(uri) as client:
        client["d"]["c"].insert_many(
            [
                {"n": i, "s": "ab" * 1_000 + str(i), "l": list(range(i % 50)), "t": f"x{i * 7919 % 4001}" * 5}
                for i in range(2_000)
            ]
        )
    yield uri
    stop_server(folder)


@contextmanager
def slowest_wait(uri: str) -> Iterator[list[float]]:
    """Seconds that a second client waited for each read and write meanwhile."""
    waits: list[float] = []
    is_over, has_asked = threading.Event(), threading.Event()

    def ask() -> None:
        with connect(uri) as client:
            client["d"]["other"].insert_one({"_id": 0, "n": 0})
            while not is_over.is_set():
                started = time.monotonic()
                client["d"]["other"].update_one({"_id": 0}, {"$inc": {"n": 1}})
                client["d"]["c"].find_one({})
                waits.append(time.monotonic() - started)
                has_asked.set()
                time.sleep(0.01)
            client["d"]["other"].drop()

    second = threading.Thread(target=ask)
    second.start()
    assert has_asked.wait(10)
    try:
        yield waits
    finally:
        is_over.set()
        second.join()


@pytest.mark.parametrize("query", [q for _, q in COSTLY], ids=[name for name, _ in COSTLY])
def test_a_second_client_waits_no_longer_than_a_second(stocked: str, query: Any) -> None:
    with connect(stocked) as client, slowest_wait(stocked) as waits:
        try:
            query(client["d"]["c"])
        except OperationFailure as error:
            assert error.code in {50, 238}
    print(f"slowest of {len(waits)} waits: {max(waits):.2f} s")
    assert max(waits) <= MOST_SECONDS * busy()


def test_a_time_limit_holds(stocked: str) -> None:
    patterns = {"s": {"$in": [Regex(f"(a|b)*a(a|b){{40}}{i}") for i in range(100)]}}
    with connect(stocked) as client:
        started = time.monotonic()
        with pytest.raises(PyMongoError) as caught:
            list(client["d"]["c"].find(patterns).max_time_ms(300))
        assert caught.value.code == 50  # type: ignore[attr-defined]
        assert time.monotonic() - started < 2.0 * busy()
