"""Siblings of what a client can send: frames, flags, sections, documents, names and cursors of every kind.

Each is answered in a line, or its connection is closed; another client is answered at once, by the same
server, which has grown no larger.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bson
import psutil
import pymongo
import pytest
from bson import Int64, Regex
from bson.raw_bson import RawBSONDocument
from pymongo.errors import OperationFailure, PyMongoError

from niobe.launchers.embedded import ensure_server, stop_server
from niobe.launchers.embedded.folder import DatabaseFolder
from niobe.launchers.embedded.wire import MAX_MESSAGE_BYTES, read_header, read_request
from tests.launchers.embedded.test_fairness import busy
from tests.launchers.embedded.test_wire import HELLO, dial, frame
from tests.launchers.embedded.tools import EMBEDDED_ONLY, connect, pid_of, start_quickly

pytestmark = EMBEDDED_ONLY
GROWTH_BYTES = 400_000_000
FIND = {"find": "c", "filter": {"n": 1}, "$db": "d"}
GOOD = frame(FIND)
Document = dict[str, Any]


def message(body: bytes, opcode: int = 2013, length: int | None = None) -> bytes:
    return struct.pack("<iiii", 16 + len(body) if length is None else length, 7, 0, opcode) + body


def sections(*parts: tuple[int, bytes], flags: int = 0) -> bytes:
    return message(struct.pack("<I", flags) + b"".join(bytes([kind]) + part for kind, part in parts))


def sequence(name: bytes, *documents: bytes, size: int | None = None) -> tuple[int, bytes]:
    content = name + b"\0" + b"".join(documents)
    return 1, struct.pack("<i", 4 + len(content) if size is None else size) + content


def raw(content: bytes) -> bytes:
    """A document of these bytes."""
    return struct.pack("<i", len(content) + 5) + content + b"\0"


def holding(content: bytes) -> bytes:
    """A message that inserts a document of these bytes."""
    return sections((0, bson.encode({"insert": "c", "$db": "d"})), sequence(b"documents", raw(content)))


def nested(depth: int, kind: int = 3) -> bytes:
    """Documents, or arrays, in each other."""
    content = b""
    for _ in range(depth):
        content = bytes([kind]) + b"0\0" + raw(content)
    return content


BODY, INSERT = (0, bson.encode(FIND)), (0, bson.encode({"insert": "c", "$db": "d"}))
ONE = bson.encode({"_id": 1})
FRAMES: dict[str, bytes] = {
    **{
        f"cut after {size} bytes": GOOD[:size]
        for size in (1, 4, 12, 15, 16, 17, 20, 21, 24, 40, len(GOOD) - 1)
    },
    **{
        f"a length of {size}": message(GOOD[16:], length=size)
        for size in (-(2**31), -1, 0, 15, 16, 17, 20, 21, MAX_MESSAGE_BYTES + 1, 2**31 - 1)
    },
    **{f"opcode {code}": message(GOOD[16:], code) for code in (-1, 0, 1, 1000, 2001, 2002, 2005, 2006, 2007)},
    "compressed": message(struct.pack("<iiB", 2013, len(GOOD) - 16, 2) + zlib.compress(GOOD[16:]), 2012),
    "compressed, a bomb": message(struct.pack("<iiB", 2013, 2**31 - 1, 2) + zlib.compress(b"x" * 9**7), 2012),
    "compressed, by nothing": message(struct.pack("<iiB", 2013, 9, 255) + GOOD[16:], 2012),
    **{f"flag {bit}": sections(BODY, flags=1 << bit) for bit in (0, 2, 3, 7, 15)},
    "a checksum that is wrong": sections(BODY, (0, b"\0\0\0"), flags=1),
    "flags alone": message(b"\0\0\0\0"),
    "no flags": message(b"\0\0"),
    "two commands": sections(BODY, BODY),
    "no command": sections(sequence(b"documents", ONE)),
    "an empty command": sections((0, raw(b""))),
    "a section of a kind of its own": sections((2, BODY[1])),
    "a sequence twice": sections(INSERT, sequence(b"documents", ONE), sequence(b"documents", ONE)),
    "a sequence that the command has": sections(
        (0, bson.encode({"insert": "c", "documents": [{}], "$db": "d"})), sequence(b"documents", ONE)
    ),
    "a sequence without a name's end": sections(INSERT, (1, struct.pack("<i", 9) + b"docum")),
    "a sequence without a name": sections(INSERT, sequence(b"", ONE)),
    "a sequence whose name is no text": sections(INSERT, sequence(b"\xff\xfe", ONE)),
    "a sequence of a path": sections(INSERT, sequence(b"a.b.c", ONE)),
    **{
        f"a sequence of {size} bytes": sections(INSERT, sequence(b"documents", ONE, size=size))
        for size in (-1, 0, 4, 10_000, 2**31 - 1)
    },
    "a legacy query": message(struct.pack("<i", 0) + b"d.c\0" + struct.pack("<ii", 0, 1) + ONE, 2004),
    "a legacy command cut": message(struct.pack("<i", 0) + b"d.$cmd\0" + b"\0\0", 2004),
    "a legacy command without end": message(struct.pack("<i", 0) + b"d.$cmd", 2004),
    "the web": b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TLS": bytes.fromhex("16030100c8010000c40303") + b"\0" * 200,
}
HELD: dict[str, bytes] = {
    "a field twice": b"\x10a\0\1\0\0\0\x10a\0\2\0\0\0",
    "a field twice, inside": b"\3x\0" + raw(b"\x10a\0\1\0\0\0\x10a\0\2\0\0\0"),
    "an id twice": b"\x10_id\0\1\0\0\0\x10_id\0\2\0\0\0",
    "a text that is none": b"\2a\0\3\0\0\0\xff\xfe\0",
    "half a letter": b"\2a\0\4\0\0\0\xed\xa0\x80\0",
    "a name that is no text": b"\x10\xff\xfe\0\1\0\0\0",
    "a text without end": b"\2a\0\3\0\0\0xyz",
    "a text of no length": b"\2a\0\0\0\0\0\0",
    "a text of less than none": b"\2a\0\xff\xff\xff\xff\0",
    "a type of its own": b"\x99a\0\1\0\0\0",
    "true and two": b"\x08a\0\2",
    "bytes longer than all": b"\5a\0\xff\xff\xff\x7f\0x",
    "old bytes of another length": b"\5a\0\6\0\0\0\2\xff\0\0\0xx",
    "a pattern with options of no kind": b"\x0ba\0x\0gz\0",
    "a document that lies about its length": b"\3a\0\xff\0\0\0\0",
    "an array that is no array": b"\4a\0" + raw(b"\x10x\0\1\0\0\0"),
    "a pointer of old": b"\x0ca\0\2\0\0\0c\0" + b"0" * 12,
    "code": b"\x0fa\0\x10\0\0\0\2\0\0\0x\0" + raw(b"")[:4],
    "150 deep": nested(150),
    "10,000 deep": nested(10_000),
    "100,000 deep, arrays": nested(60_000, 4),
}
NAMES: list[Any] = ["", "$x", "a\0b", 5, None, True, {}, [], {"$gt": ""}, "x" * 20_000, 1.5, Regex("."), b"c"]
NAN, INF = float("nan"), float("inf")
WRONG: list[tuple[str, str, list[Any]]] = [  # command, option, what it may not be
    ("find", "$db", NAMES),
    ("find", "batchSize", [-1, 1.5, "x", [], NAN, True]),
    ("find", "limit", ["x", INF, {}, 1.5, -(2**63)]),
    ("find", "skip", [-1, "x", NAN, []]),
    ("find", "maxTimeMS", [-1, "x", [], True]),
    ("killCursors", "cursors", [5, None, ["x"], [{}], [[]], [NAN]]),
]
NO_IDS: list[Any] = ["x", None, {}, [], NAN]
COMMANDS: dict[str, Document] = {
    **{
        f"{option} of {value!r:.20}": {name: "c", option: value}
        for name, option, values in WRONG
        for value in values
    },
    **{f"find {name!r:.20}": {"find": name} for name in NAMES},
    **{f"insert into {name!r:.20}": {"insert": name, "documents": [{}]} for name in NAMES},
    **{f"getMore {one!r:.20}": {"getMore": one, "collection": "c"} for one in NO_IDS},
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("siblings") / "db"
    with connect(ensure_server(folder)) as client:
        client["d"]["c"].insert_many([{"_id": i, "n": i} for i in range(300)])
        client["d"]["large"].insert_many([{"_id": i, "b": b"x" * 1_000_000} for i in range(30)])
    yield folder
    stop_server(folder)


@pytest.fixture(scope="module")
def other(place: Path) -> Iterator[pymongo.MongoClient[Document]]:
    with connect(DatabaseFolder(place).uri) as client:
        yield client


@pytest.fixture
def unharmed(place: Path, other: pymongo.MongoClient[Document]) -> Iterator[None]:
    """The same server afterwards, no larger, which answers another client at once, and holds what it held."""
    server = psutil.Process(pid_of(place))
    before = server.memory_info().rss
    yield
    started = time.monotonic()
    assert other["d"]["c"].count_documents({"n": {"$gte": 0}}) == 300
    assert time.monotonic() - started < busy()
    assert pid_of(place) == server.pid and server.memory_info().rss - before < GROWTH_BYTES


def answer(peer: socket.socket) -> Document | None:
    """What comes back, None where the connection is closed."""
    with contextlib.suppress(ConnectionError):
        header = read_header(peer, MAX_MESSAGE_BYTES)
        return None if header is None else read_request(peer, header).command
    return None


def ask(place: Path, sent: bytes) -> Document | None:
    """The same to a message of one who has shaken hands, and says no more."""
    with dial(place) as peer:
        peer.settimeout(30)
        peer.sendall(frame(HELLO))
        assert (answer(peer) or {})["ok"] == 1.0
        peer.sendall(sent)
        with contextlib.suppress(OSError):
            peer.shutdown(socket.SHUT_WR)
        return answer(peer)


def is_refused(found: Document | None) -> bool:
    return found is None or (
        found["ok"] == 0.0 and "\n" not in found["errmsg"] and len(found["errmsg"]) < 500
    )


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_is_none_is_refused(place: Path, name: str) -> None:
    assert is_refused(ask(place, FRAMES[name]))


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("name", HELD)
def test_a_document_that_cannot_be_kept_as_it_is_is_refused(
    place: Path, other: pymongo.MongoClient[Document], name: str
) -> None:
    """Or kept, byte for byte but for its id."""
    found = ask(place, holding(HELD[name]))
    raw_ones = other["d"].get_collection("c", bson.CodecOptions(RawBSONDocument))
    kept: list[Any] = list(raw_ones.find({"n": None}))
    other["d"]["c"].delete_many({"n": None})
    assert (is_refused(found) and not kept) or kept[0].raw.endswith(HELD[name] + b"\0")


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_of_wrong_types_is_refused(place: Path, name: str) -> None:
    assert is_refused(ask(place, frame({"$db": "d"} | COMMANDS[name])) or {"ok": 1, "errmsg": "closed"})


CURSORS: dict[str, Callable[[int], Any]] = {
    "never given": lambda given: Int64(given ^ 1),
    "none": lambda _: Int64(0),
    "below none": lambda given: Int64(-given),
    "the least": lambda _: Int64(-(2**63)),
    "the highest": lambda _: Int64(2**63 - 1),
    "the next": lambda given: Int64(given + 1),
    "a short number": lambda given: given % 2**31,
    "a fraction": float,
    "a text": str,
    "a list": lambda given: [Int64(given)],
}


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("name", CURSORS)
def test_a_cursor_that_is_not_the_clients_gives_nothing(
    other: pymongo.MongoClient[Document], name: str
) -> None:
    """And the client's own goes on with what comes next."""
    cursor = other["d"]["c"].find({"n": {"$gte": 0}}, batch_size=10, sort=[("_id", 1)])
    seen = [next(cursor)["_id"] for _ in range(10)]
    assert cursor.cursor_id
    with pytest.raises(OperationFailure):
        other["d"].command("getMore", CURSORS[name](cursor.cursor_id), collection="c", batchSize=3)
    assert seen + [one["_id"] for one in cursor] == list(range(300))


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("of", [("d", "large"), ("d", "none"), ("d", ""), ("d", 5), ("d", None), ("e", "c")])
def test_a_cursor_gives_nothing_as_another_collections(
    other: pymongo.MongoClient[Document], of: tuple[str, Any]
) -> None:
    cursor = other["d"]["c"].find({"n": {"$gte": 0}}, batch_size=10, sort=[("_id", 1)])
    seen = [next(cursor)["_id"] for _ in range(10)]
    assert cursor.cursor_id
    with pytest.raises(OperationFailure, match="another collection"):
        other[of[0]].command("getMore", Int64(cursor.cursor_id), collection=of[1])
    assert seen + [one["_id"] for one in cursor] == list(range(300))


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize(
    "batch", [-1, 2**62, 2**63 - 1, 1e300, float("nan"), float("inf"), "x", [], {}, True]
)
def test_a_batch_of_any_size_is_what_a_reply_holds_or_refused(
    other: pymongo.MongoClient[Document], batch: Any
) -> None:
    command = {"find": "large", "batchSize": batch, "singleBatch": True}
    try:
        found = other["d"].command(command)["cursor"]["firstBatch"]
    except OperationFailure as error:
        assert "\n" not in str(error)
    else:
        assert 0 < len(found) <= 12


LARGE = frame({"find": "large", "$db": "d", "batchSize": 3})
SLOW: dict[str, bytes] = {
    "says nothing": b"",
    "says half a header": GOOD[:8],
    "says a header": struct.pack("<iiii", 40_000_000, 1, 0, 2013),
    "says half a command": GOOD[:60],
    "says a command and a half": GOOD + GOOD[:30],
    "asks and hears nothing": LARGE * 20,
    "asks all at once": GOOD * 500,
    "wants no answer": sections(BODY, flags=2) * 300,
    "wants no answer to what is large": sections((0, bson.encode({"find": "large", "$db": "d"})), flags=2)
    * 5,
    "says what is no command": b"\xff" * 4_000,
}


@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("name", SLOW)
def test_a_client_that_does_not_listen_or_end_holds_up_nobody(
    place: Path, other: pymongo.MongoClient[Document], name: str
) -> None:
    peers = [dial(place) for _ in range(12)]
    for number, peer in enumerate(peers):
        if number % 2:
            peer.sendall(frame(HELLO))
            assert answer(peer)
        peer.setblocking(False)
        with contextlib.suppress(OSError):
            peer.send(SLOW[name])
            if number % 3 == 0:
                peer.shutdown(socket.SHUT_WR)
            elif number % 3 == 1:
                peer.close()
    for number in range(20):
        started = time.monotonic()
        assert other["d"]["c"].find_one({"_id": number}) == {"_id": number, "n": number}
        assert time.monotonic() - started < busy()
    for peer in peers:
        peer.close()


KILLS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "while nothing is asked": (lambda c: None, signal.SIGKILL),
    "before it answers a find": (lambda c: c.find_one({"n": 1}), signal.SIGKILL),
    "before it answers a write": (lambda c: c.update_one({"_id": 1}, {"$set": {"n": 1}}), signal.SIGKILL),
    "between two batches": (lambda c: list(c.find(batch_size=10)), signal.SIGKILL),
    "while it sorts": (lambda c: list(c.find(sort=[("x", 1), ("n", -1)])), signal.SIGKILL),
    "while it makes an index": (lambda c: c.create_index([("n", 1), ("x", 1)]), signal.SIGKILL),
    "while it drops one": (lambda c: c.drop_indexes(), signal.SIGKILL),
    "while it compacts": (lambda c: c.database.command("compact", c.name), signal.SIGKILL),
    "asked to end": (lambda c: c.find_one({"n": 1}), signal.SIGTERM),
    "interrupted": (lambda c: c.find_one({"n": 1}), signal.SIGINT),
    "hung up on": (lambda c: c.find_one({"n": 1}), signal.SIGHUP),
    "told of a full pipe": (lambda c: c.find_one({"n": 1}), signal.SIGPIPE),
}


@pytest.mark.parametrize("name", KILLS)
def test_a_server_that_ends_in_between_comes_back_with_all(folder: Path, name: str) -> None:
    """And knows none of the cursors that the one before gave."""
    ask_for, number = KILLS[name]
    with connect(start_quickly(folder), serverSelectionTimeoutMS=2_000) as client:
        client["d"]["c"].insert_many([{"_id": i, "n": i, "x": "y" * 200} for i in range(300)])
        open_one = client["d"].command("find", "c", batchSize=5)["cursor"]["id"]
        asking = threading.Thread(target=quietly, args=(ask_for, client["d"]["c"]))
        asking.start()
        os.kill(pid_of(folder), number)
        asking.join(60)
        assert not asking.is_alive()
        deadline = time.monotonic() + 20
        survived = {signal.SIGPIPE, *([signal.SIGHUP] if _without_hangups() else [])}
        while number not in survived and DatabaseFolder(folder).is_locked():
            assert time.monotonic() < deadline
            time.sleep(0.01)
    if not DatabaseFolder(folder).is_locked():
        start_quickly(folder)
        with connect(DatabaseFolder(folder).uri) as client, pytest.raises(OperationFailure) as refused:
            client["d"].command("getMore", Int64(open_one), collection="c")
        assert refused.value.code == 43
    with connect(DatabaseFolder(folder).uri) as client:
        assert [one["n"] for one in client["d"]["c"].find(sort=[("_id", 1)])] == list(range(300))


def _without_hangups() -> bool:
    """Whether the tests run under nohup, and so what they start."""
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def quietly(ask_for: Callable[[Any], Any], collection: Any) -> None:
    with contextlib.suppress(PyMongoError):
        ask_for(collection)
