"""A server that is no honest database: one clear line, in bounded time and memory."""

from __future__ import annotations

import copy
import gzip
import itertools
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from niobe.config.spec import Source
from niobe.loop.sources import materials_project
from niobe.loop.sources.optimade import OptimadeQuery
from niobe.loop.sources.paging import fetch
from niobe.loop.sources.reading import ReadOptions, read_source
from niobe.loop.sources.web import RetryPolicy, SourceError, Web
from tests.loop.factory import nbo
from tests.loop.sources.provider import optimade_entry, summary_document

QUICK = RetryPolicy(attempts=2, timeout=3.0, total=3.0, first_wait=0.01, longest_wait=0.02, between=0.0)
IMPATIENT = replace(QUICK, timeout=0.7, total=0.7)
"""For answers that never end."""
Talk = Callable[[socket.socket, str], None]


@contextmanager
def talking(talk: Talk) -> Iterator[str]:
    """A server that reads a request and then does as it likes."""

    def answer(client: socket.socket) -> None:
        with client:
            request = b""
            while b"\r\n\r\n" not in request:
                request += client.recv(4096) or b"\r\n\r\n"
            try:
                talk(client, request.decode("latin-1").split(" ")[1])
            except (OSError, IndexError):  # the client went away
                return

    def accept() -> None:
        while True:
            try:
                client = server.accept()[0]
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=accept, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def head(status: str = "200 OK", **fields: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in fields.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def says(content: bytes, **fields: str) -> Talk:
    return lambda client, path: client.sendall(head(**fields) + content)


def redirects(to: str, status: str = "302 Found") -> Talk:
    return lambda client, path: client.sendall(head(status, Location=to.replace("PATH", path + "x")))


def endless(first: bytes, part: bytes) -> Talk:
    def talk(client: socket.socket, path: str) -> None:
        client.sendall(first)
        while True:
            client.sendall(part)

    return talk


def drip(first: bytes, part: bytes) -> Talk:
    def talk(client: socket.socket, path: str) -> None:
        client.sendall(first)
        while True:
            client.sendall(part)
            time.sleep(0.2)

    return talk


def silent(client: socket.socket, path: str) -> None:
    time.sleep(30)


BOMB = gzip.compress(b" " * (200 * 2**20), 9)
DEEP = b'{"data":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
HOSTILE: list[tuple[str, Talk]] = [
    ("another server", redirects("http://example.invalid/")),
    ("another server", redirects("http://127.0.0.1:1/")),
    ("another server", redirects("https://127.0.0.1/", "301 Moved Permanently")),
    ("another server", redirects("//169.254.169.254/latest", "307 Temporary Redirect")),
    ("another server", redirects("file:///etc/passwd", "308 Permanent Redirect")),
    ("another server", redirects("ftp://127.0.0.1/x", "303 See Other")),
    ("another server", redirects("http://user@example.invalid/")),
    ("Invalid IPv6", redirects("http://[bad")),
    ("Port out of range", redirects("http://127.0.0.1:99999/")),
    ("A-label", redirects("http://xn--/")),
    ("redirects more than", redirects("/same")),
    ("redirects more than", redirects("PATH")),
    ("redirects more than", redirects("?")),
    ("larger than", endless(head(), b" " * 65536)),
    ("larger than", endless(head(Transfer_Encoding="chunked"), b"10000\r\n" + b" " * 65536 + b"\r\n")),
    ("larger than", says(BOMB, Content_Encoding="gzip")),
    ("larger than", says(BOMB + BOMB, Content_Encoding="GZIP")),
    ("packed in another way", says(gzip.compress(BOMB), Content_Encoding="gzip, gzip")),
    ("packed in another way", says(b"x", Content_Encoding="br")),
    ("packed in another way", says(b"x", Content_Encoding="deflate")),
    ("no answer", says(b"no gzip", Content_Encoding="gzip")),
    ("no whole answer", drip(head(), b" ")),
    ("no whole answer", drip(b"HTTP/1.1 200 OK\r\nX: ", b"y")),
    ("no whole answer", drip(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n")),
    ("no whole answer|no answer", silent),
    ("no answer", lambda client, path: None),
    ("no answer", says(b"", Content_Length="-5")),
    ("no answer", says(b"{}", Content_Length="5000")),
    ("no answer", endless(b"", b"\x00\xff" * 999)),
    ("no answer|no whole answer", endless(b"HTTP/1.1 200 OK\r\nX: ", b"y" * 65536)),
    ("nested", says(DEEP)),
    ("nested", says(b'{"data":' + b"[" * 40 + b"]" * 40 + b"}")),
    ("nested", says(b'{"a":' * 60 + b"1" + b"}" * 60)),
    ("no whole JSON", says(b"9" * 10_000)),
    ("no whole JSON", says(b"\xff\xfe{")),
    ("no whole JSON", says(b'{"data":[{"id":"\\ud800","attributes":{}}]}')),
    ("no whole JSON", says(b'{"data":[],"\\uDfFf":1}')),
    ("more than 5000000 values", says(b'{"data":[' + b"[]," * 6_000_000 + b"0]}")),
    ("more than 5000000 values", says(b'{"data":[' + b"{}," * 3_000_000 + b"0]}")),
    ("more than 5000000 values", says(b'{"data":[' + b"1," * 6_000_000 + b"0]}")),
    ("no JSON object", says(b"null")),
    ("no JSON object", says(b"[]")),
    ("answered 403", says(b"[" * 100_000, status="403 Forbidden")),
    ("answered 429", says(b"", status="429 Too Many", Retry_After="9" * 400)),
    ("answered 503", says(b"", status="503 No", Retry_After="Fri, 31 Dec 9999999 23:59:59 GMT")),
]


@pytest.mark.parametrize(("said", "talk"), HOSTILE, ids=itertools.count())
def test_it_is_one_line_in_bounded_time_and_memory(said: str, talk: Talk, tmp_path: Path) -> None:
    policy = IMPATIENT if "no whole answer" in said else QUICK
    tracemalloc.start()
    began = time.monotonic()
    with talking(talk) as address, pytest.raises(SourceError, match=said) as refused:
        Web(policy).json(f"{address}/v1/structures?x=1")
    assert time.monotonic() - began < 20
    assert tracemalloc.get_traced_memory()[1] < 300 * 2**20
    tracemalloc.stop()
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 500
    with talking(talk) as address:
        fetched = fetch(OptimadeQuery(address, 'elements HAS "Nb"'), tmp_path, Web(policy))
    assert (fetched.count, bool(fetched.partial)) == (0, True)


def test_a_redirect_within_the_server_is_followed_with_the_key() -> None:
    seen = []

    def talk(client: socket.socket, path: str) -> None:
        seen.append(path)
        if path == "/v1":
            redirects("/v1/", "301 Moved Permanently")(client, path)
        else:
            client.sendall(head() + b'{"data": []}')

    with talking(talk) as address:
        assert Web(QUICK, {"X-API-KEY": "k"}).json(f"{address}/v1") == {"data": []}
    assert seen == ["/v1", "/v1/"]


def test_a_page_that_says_there_is_more_and_not_where_is_not_all(tmp_path: Path) -> None:
    page = {"data": [{"id": "a", "attributes": {}}], "meta": {"more_data_available": True}}
    with talking(says(json.dumps(page).encode())) as address:
        fetched = fetch(OptimadeQuery(address, 'elements HAS "Nb"'), tmp_path, Web(QUICK))
    assert fetched.count == 1 and "there are more" in fetched.partial


NEXT = [
    *("http://example.invalid/", "http://127.0.0.1:1/x", "https://127.0.0.1/", "file:///etc/passwd"),
    *("http://[bad", "//example.invalid", "gopher://127.0.0.1", "http://127.0.0.1:99999/"),
    *("javascript:1", "ftp://h/x"),
]


@pytest.mark.parametrize("link", NEXT)
def test_a_next_page_elsewhere_is_not_asked_for(link: str, tmp_path: Path) -> None:
    page = {"data": [{"id": "a", "attributes": {}}], "links": {"next": link}}
    with talking(says(json.dumps(page).encode())) as address:
        fetched = fetch(OptimadeQuery(address, 'elements HAS "Nb"'), tmp_path, Web(QUICK))
    assert fetched.partial and fetched.count == 0 and "\n" not in fetched.partial


@pytest.mark.parametrize(
    "links", [{"next": 5}, {"next": ["x"]}, {"next": {"href": 5}}, {"next": True}, "x", [1], 5]
)
def test_a_next_page_that_is_no_address_is_not_the_end(links: Any, tmp_path: Path) -> None:
    page = {"data": [{"id": "a", "attributes": {}}], "links": links}
    with talking(says(json.dumps(page).encode())) as address:
        fetched = fetch(OptimadeQuery(address, 'elements HAS "Nb"'), tmp_path, Web(QUICK))
    assert fetched.partial == "the next page (links.next) is no address"


@pytest.mark.parametrize(
    "links", [None, {}, [], {"next": None}, {"next": ""}, {"next": {}}, {"next": {"href": None}}]
)
def test_no_next_page_is_the_end(links: Any, tmp_path: Path) -> None:
    page = {"data": [{"id": "a", "attributes": {}}], "links": links}
    with talking(says(json.dumps(page).encode())) as address:
        fetched = fetch(OptimadeQuery(address, 'elements HAS "Nb"'), tmp_path, Web(QUICK))
    assert (fetched.count, fetched.partial) == (1, "")


DATA: list[object] = [
    *(None, {}, "abc", [1, None, "x", []], [{"no": "id"}], [{"id": "a"}] * 1000),
    *([{"id": 5}], [{"id": None}], [{"id": [1]}], [{"id": "x" * 10**6}], [{"id": "a\nb\x1b[2J"}]),
    *([{"id": "../../x"}], [{"id": "$where"}], [{"id": "a\0"}], [{"id": "a", "attributes": []}]),
    *([{"id": "a", "attributes": None}], [{"id": "a", "attributes": {"nsites": 10**40}}]),
]
META: list[object] = [[], "x", {"data_returned": 10**30}, {"data_returned": -1}, {"data_returned": True}]
BODIES: list[object] = [
    {},
    *({"data": data} for data in DATA),
    *({"data": [], "meta": meta} for meta in META),
]


@pytest.mark.parametrize("body", BODIES, ids=itertools.count())
def test_an_answer_of_another_shape_is_lines(body: object, tmp_path: Path) -> None:
    with talking(says(json.dumps(body).encode())) as address:
        source = Source(name="x", kind="optimade", at=address, filter='elements HAS "Nb"')
        reading = read_source(source, (), ReadOptions(tmp_path, QUICK))
        found = list(reading.items)
    assert all(isinstance(line, str) and "\n" not in line and len(line) < 500 for line in found)
    assert len(found) <= 1 and "\n" not in reading.partial and len(reading.partial) < 500


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
    | st.sampled_from(["Nb", "../..", "[/x]", "0" * 50, {"@module": "this", "@class": "x"}]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
OPTIMADE = optimade_entry("a", nbo())
SUMMARY = summary_document("mp-1", nbo())


def _changed(data: st.DataObject, document: dict[str, Any]) -> dict[str, Any]:
    """The document with up to three values replaced or lost, anywhere in it."""
    document = json.loads(json.dumps(document))
    for _ in range(data.draw(st.integers(1, 3))):
        part: Any = document
        while True:
            keys = list(part) if isinstance(part, dict) else list(range(len(part)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(part[key], dict | list) and data.draw(st.booleans()):
                part = part[key]
                continue
            if data.draw(st.booleans()):
                part[key] = copy.deepcopy(data.draw(VALUES))
            else:
                del part[key]
            break
    return document


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_a_changed_entry_is_found_or_named(data: st.DataObject) -> None:
    _try_entry(data)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@settings(max_examples=2000, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_each_of_two_thousand_changed_entries_is(data: st.DataObject) -> None:
    _try_entry(data)


def _try_entry(data: st.DataObject) -> None:
    import sys

    from niobe.loop.documents.entries import Origin
    from niobe.loop.sources import optimade
    from niobe.loop.sources.ingest import Ingested, _entries
    from niobe.loop.sources.reading import _parsed

    for found, document in ((optimade.found, OPTIMADE), (materials_project.found, SUMMARY)):
        done = Ingested()
        items = _parsed([_changed(data, document)], found)
        made = list(_entries(Origin("s", "u", "l", "2026-01-01"), items, done))
        assert len(made) + len(done.broken) == 1
        assert all("\n" not in line and len(line) < 1000 for line in done.broken)
    assert "this" not in sys.modules
