"""What worker processes of the tests do; imports little, for each of them imports it."""

from __future__ import annotations

import os
import time

import pymongo


def count_up(uri: str, name: str, times: int) -> None:
    """Increment the document "c"."""
    with pymongo.MongoClient[dict[str, object]](uri) as client:
        for _ in range(times):
            client["embedded"][name].find_one_and_update({"_id": "c"}, {"$inc": {"n": 1}}, upsert=True)


def mark(file: str, name: str) -> None:
    """Append ``name`` to a file; one write, so that processes do not mix."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{name}\n".encode())
    finally:
        os.close(descriptor)


def stall(file: str, name: str) -> None:
    """Append ``name`` to a file and run until killed."""
    mark(file, name)
    time.sleep(600)


def fail(file: str, name: str) -> None:
    """Fizzle."""
    raise RuntimeError(f"{name} was asked to fail")
