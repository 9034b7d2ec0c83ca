"""Hostile and careless peers: malformed frames, stalled messages, TCP without a login."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from pathlib import Path
from typing import Any

import bson
import psutil
import pymongo
import pytest
from pymongo.errors import OperationFailure, PyMongoError

from niobe.config.errors import ConfigError
from niobe.launchers.embedded import ensure_server, server_status
from niobe.launchers.embedded.folder import DatabaseFolder
from niobe.launchers.embedded.wire import Memory, ProtocolError, read_header, read_request
from tests.launchers.embedded.tools import EMBEDDED_ONLY, connect, pid_of

pytestmark = EMBEDDED_ONLY
HELLO = {"hello": 1, "$db": "admin"}
GROWTH_BYTES = 60_000_000


def frame(document: dict[str, Any], request_id: int = 1) -> bytes:
    payload = struct.pack("<IB", 0, 0) + bson.encode(document)
    return struct.pack("<iiii", 16 + len(payload), request_id, 0, 2013) + payload


def broken_frame(chance: random.Random) -> bytes:
    """A frame cut short, with flipped bytes, with a lying length, or of nothing but noise."""
    command = {"find": "y", "filter": {"a": [1, {"b": "x" * chance.randrange(40)}]}, "$db": "x"}
    good = bytearray(frame(chance.choice([HELLO, command, {"insert": "y", "documents": [{}], "$db": "x"}])))
    kind = chance.randrange(5)
    if kind == 0:
        return bytes(good[: chance.randrange(len(good))])
    if kind == 1:
        for _ in range(chance.randrange(1, 6)):
            good[chance.randrange(len(good))] = chance.randrange(256)
    elif kind == 2:
        good[:4] = struct.pack("<i", chance.choice([0, 3, -5, 15, 17, 60_000, 47_000_000, 2**31 - 1]))
    elif kind == 3:
        good[12:16] = struct.pack("<i", chance.choice([0, 1, 2004, 2012, 2013, -1]))
    else:
        return chance.randbytes(chance.randrange(80))
    return bytes(good)


def dial(folder: Path) -> socket.socket:
    peer = socket.socket(socket.AF_UNIX)
    peer.connect(str(DatabaseFolder(folder).socket))
    return peer


def harass(folder: Path, frames: int) -> None:
    """Send broken frames, half of them after a handshake, while another client works; then look around."""
    chance = random.Random(frames)
    with connect(ensure_server(folder)) as bystander:
        bystander["x"]["z"].insert_one({"_id": 1, "n": 0})
        server = psutil.Process(pid_of(folder))
        before = server.memory_info().rss
        for i in range(frames):
            with dial(folder) as peer:
                peer.settimeout(5)
                if i % 2:
                    peer.sendall(frame(HELLO))
                    assert peer.recv(4096)
                peer.sendall(broken_frame(chance))
            if i % 50 == 0:
                bystander["x"]["z"].update_one({"_id": 1}, {"$inc": {"n": 1}})
        assert bystander["x"]["z"].find_one({"_id": 1}) == {"_id": 1, "n": (frames + 49) // 50}
        assert server.memory_info().rss - before < GROWTH_BYTES
        assert pid_of(folder) == server.pid


def test_malformed_frames_harm_nobody(folder: Path) -> None:
    harass(folder, 500)


@pytest.mark.slow
def test_10_000_malformed_frames_harm_nobody(folder: Path) -> None:
    harass(folder, 10_000)


def test_announced_bytes_are_not_held_until_they_come(folder: Path) -> None:
    with connect(ensure_server(folder)) as bystander:
        server = psutil.Process(pid_of(folder))
        before = server.memory_info().rss
        peers = [dial(folder) for _ in range(20)]
        for peer in peers:
            peer.sendall(frame(HELLO))
            assert peer.recv(4096)
            peer.sendall(struct.pack("<iiii", 47_000_000, 1, 0, 2013))
        for i in range(100):
            bystander["x"]["y"].insert_one({"_id": i})
        assert server.memory_info().rss - before < GROWTH_BYTES
        for peer in peers:
            peer.close()


def test_a_stranger_may_not_announce_much(folder: Path) -> None:
    ensure_server(folder)
    with dial(folder) as peer:
        peer.settimeout(10)
        peer.sendall(struct.pack("<iiii", 1_000_000, 1, 0, 2013))
        assert peer.recv(10) == b""


def test_large_messages_wait_for_each_other() -> None:
    memory = Memory(100)
    entered = threading.Event()

    def second() -> None:
        with memory.hold(60, 10):
            entered.set()

    thread = threading.Thread(target=second)
    with memory.hold(60, 1):
        thread.start()
        assert not entered.wait(0.1)
        with pytest.raises(ProtocolError, match="at once"), memory.hold(60, 0.01):
            pass
    assert entered.wait(5)
    thread.join()


def test_a_sender_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("niobe.launchers.embedded.wire._HEADER_SECONDS", 0.2)
    here, there = socket.socketpair()
    with here, there:
        there.sendall(frame(HELLO)[:30])
        header = read_header(here, 1000)
        assert header is not None
        start = time.monotonic()
        with pytest.raises((ProtocolError, TimeoutError)):
            read_request(here, header)
        assert time.monotonic() - start < 2


def test_tcp_asks_for_a_login_and_tells_no_secrets(folder: Path) -> None:
    ensure_server(folder, port=0)
    place, info = DatabaseFolder(folder), server_status(folder)
    assert info is not None
    assert info.tcp.startswith("127.0.0.1:")
    uri = place.tcp_uri.read_text().strip()
    password = pymongo.uri_parser.parse_uri(uri)["password"]
    assert place.tcp_uri.stat().st_mode & 0o777 == 0o600
    with connect(uri) as client:
        client["x"]["y"].insert_one({"_id": 1})
        assert client["x"]["y"].find_one() == {"_id": 1}
    for wrong, code in (
        (f"mongodb://{info.tcp}/", 13),
        (uri.replace(password, "guessed"), 18),
        (uri.replace("niobe:", "nobody:"), 18),
        (uri.replace("SCRAM-SHA-256", "SCRAM-SHA-1"), 18),
    ):
        with connect(wrong) as client, pytest.raises(OperationFailure) as caught:
            client["x"]["y"].find_one()
        assert caught.value.code == code
    shown = [place.log.read_text(), (folder / "server.json").read_text(), str(info)]
    shown += psutil.Process(info.pid).cmdline()
    assert not any(password in text for text in shown)


def test_a_port_that_is_taken_is_a_clear_error(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} on 127\.0\.0\.1: Address already in use"):
            ensure_server(folder, port=port)
    assert not DatabaseFolder(folder).is_locked()


def test_before_the_login_nothing_runs(folder: Path) -> None:
    ensure_server(folder, port=0)
    info = server_status(folder)
    assert info is not None
    host, port = info.tcp.split(":")
    for command in (
        {"insert": "y", "documents": [{"_id": 1}], "$db": "x"},
        {"listDatabases": 1, "$db": "admin"},
    ):
        with socket.create_connection((host, int(port)), 10) as peer:
            for payload in (b"c=biws,r=,p=", b"\xff", b"n,,n=niobe,r=x"):
                peer.sendall(frame({"saslContinue": 1, "payload": payload, "$db": "admin"}))
                assert answer_of(peer)["ok"] == 0
            peer.sendall(frame(command))
            assert answer_of(peer)["code"] == 13
    with connect(ensure_server(folder)) as client:
        assert client["x"]["y"].count_documents({}) == 0


def answer_of(peer: socket.socket) -> dict[str, Any]:
    header = read_header(peer, 1_000_000)
    assert header is not None
    return read_request(peer, header).command


def test_an_idle_server_stops_but_not_under_a_client(folder: Path) -> None:
    uri = ensure_server(folder, idle_minutes=0.01)
    with connect(uri) as client:
        client["x"]["y"].insert_one({"_id": 1})
        time.sleep(1.5)
        assert client["x"]["y"].find_one() == {"_id": 1}
    deadline = time.monotonic() + 20
    while DatabaseFolder(folder).is_locked() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not DatabaseFolder(folder).is_locked()
    with connect(ensure_server(folder)) as client:
        assert client["x"]["y"].find_one() == {"_id": 1}


def test_a_client_that_asks_again_after_the_server_was_killed_is_answered(folder: Path) -> None:
    with connect(ensure_server(folder)) as client:
        client["x"]["y"].insert_one({"_id": 1})
        psutil.Process(pid_of(folder)).kill()
        with pytest.raises(PyMongoError):
            client["x"]["y"].insert_one({"_id": 2})
        ensure_server(folder)
        assert client["x"]["y"].find_one() == {"_id": 1}


def test_a_long_folder_gets_a_short_socket(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    from niobe.launchers.embedded import stop_server

    deep = tmp_path / ("x" * 60) / ("y" * 60)
    request.addfinalizer(lambda: stop_server(deep))
    with connect(ensure_server(deep)) as client:
        assert client.admin.command("ping")["ok"] == 1
