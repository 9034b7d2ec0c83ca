"""Clients that ask for too much, send half a request or nothing, and a database that goes away."""

from __future__ import annotations

import os
import signal
import socket
import string
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from niobe.launchers.pages.server import connections
from niobe.launchers.pages.server.access import Access
from niobe.loop.documents.records import StructureRecord
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import served

pytestmark = [
    pytest.mark.filterwarnings("ignore::optimade.warnings.OptimadeWarning"),
    pytest.mark.filterwarnings("ignore:Accessing the 'model_fields' attribute"),
]
STRUCTURES = "/optimade/v1/structures"
FIELDS = st.sampled_from(
    [
        *(
            "id",
            "elements",
            "nelements",
            "nsites",
            "chemical_formula_reduced",
            "_niobe_verdict",
            "last_modified",
        ),
        *(
            "_niobe_e_above_hull",
            "_niobe_discovery",
            "species_at_sites",
            "x",
            "_other_x",
            "structure_features",
        ),
    ]
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
)
VALUES = (
    TEXTS | st.integers().map(str) | st.floats().map(str) | st.sampled_from(["TRUE", "FALSE", "nelements"])
)
PATTERNS = [
    '"(((.+)+)+)+!"',
    '"("',
    '"."',
    '".*"',
    '"[^a]"',
    '"\\\\d{1,9999}"',
    '"a|b"',
    '"(?i)x"',
    '"^"',
    '"$"',
]
TERMS = st.one_of(
    st.builds("{} {} {}".format, FIELDS, st.sampled_from(["=", "!=", "<", ">=", ">"]), VALUES),
    st.builds(
        "{} {} {}".format,
        FIELDS,
        st.sampled_from(["CONTAINS", "STARTS WITH", "STARTS", "ENDS", "ENDS WITH"]),
        TEXTS | st.sampled_from(PATTERNS),
    ),
    st.builds("{} HAS {} {}".format, FIELDS, st.sampled_from(["", "ALL", "ANY", "ONLY"]), VALUES),
    st.builds("{} LENGTH {}".format, FIELDS, VALUES),
    st.builds("{} IS {}".format, FIELDS, st.sampled_from(["KNOWN", "UNKNOWN"])),
)
FILTERS = st.recursive(
    TERMS,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["AND", "OR"]), inner)
        | st.builds("NOT ({})".format, inner)
    ),
    max_leaves=12,
) | st.text(string.printable, max_size=60)
WORDS = st.text(string.printable, max_size=30)
NUMBERS = st.integers(-(10**25), 10**25).map(str) | st.sampled_from(["-1", "0", "1e3", "NaN", "", "٣"])
ASKED = st.fixed_dictionaries(
    {},
    optional={
        "filter": FILTERS,
        "page_offset": NUMBERS,
        "page_number": NUMBERS,
        "page_limit": NUMBERS,
        "page_above": WORDS,
        "page_below": WORDS,
        "page_cursor": WORDS,
        "response_fields": st.lists(FIELDS | WORDS, max_size=300).map(",".join),
        "sort": st.lists(FIELDS.map(lambda name: "-" + name) | FIELDS | WORDS, max_size=5).map(",".join),
        "response_format": WORDS,
        "include": WORDS,
        "api_hint": WORDS,
        "email_address": WORDS,
    },
)
PATHS = st.sampled_from(
    [
        *(
            STRUCTURES,
            f"{STRUCTURES}/x",
            "/optimade/structures",
            "/optimade/v1/links",
            "/optimade/v1/references",
        ),
        *("/optimade/v1/info", "/optimade/v1/info/structures", "/optimade/versions", "/optimade/v1/info/x"),
    ]
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(path=PATHS, asked=ASKED)
@example(STRUCTURES, {"page_offset": "-1"})
@example(STRUCTURES, {"filter": 'id CONTAINS "("'})
@example(STRUCTURES, {"filter": 'id CONTAINS "((((.+)+)+)+)+!"'})
@example(STRUCTURES, {"filter": "(" * 2000 + "nelements=2" + ")" * 2000})
@example(STRUCTURES, {"filter": "NOT (" * 300 + "nelements=2" + ")" * 300})
@example(STRUCTURES, {"filter": " OR ".join(["nelements=2"] * 1000)})
@example(STRUCTURES, {"filter": "nelements=" + "9" * 3000})
@example(STRUCTURES, {"filter": "elements HAS ALL " + ",".join(['"Nb"'] * 500)})
@example(STRUCTURES, {"response_fields": ",".join(f"f{n}" for n in range(2000))})
@example(STRUCTURES, {"sort": "," * 5000})
@example(STRUCTURES, {"page_number": "9" * 30})
@example(STRUCTURES, {"page_limit": "9" * 30})
@example(STRUCTURES, {"page_offset": str(2**63)})
def test_no_question_makes_optimade_fail(pages: httpx.Client, path: str, asked: dict[str, str]) -> None:
    _ask(pages, path, asked)


@pytest.mark.slow
@pytest.mark.timeout(3000)
@settings(max_examples=2000, suppress_health_check=list(HealthCheck))
@given(path=PATHS, asked=ASKED)
def test_none_of_two_thousand_questions_does(pages: httpx.Client, path: str, asked: dict[str, str]) -> None:
    _ask(pages, path, asked)


def _ask(pages: httpx.Client, path: str, asked: dict[str, str]) -> None:
    """501 and 553 are what OPTIMADE asks for: of a filter or a version that a server does not offer."""
    began = time.monotonic()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        answer = pages.get(path, params=asked)
    assert answer.status_code < 500 or answer.status_code in {501, 553}, (
        answer.status_code,
        answer.text[:500],
    )
    assert time.monotonic() - began < 10
    if answer.status_code >= 400 and "json" in answer.headers.get("content-type", ""):
        assert answer.json()["errors"][0]["detail"]


@pytest.mark.parametrize(
    ("comparison", "status"),
    [
        ('= ""', 400),
        ('< "2026"', 400),
        ("= 20260131", 400),
        ('>= "2026-13-01T00:00:00Z"', 400),
        ('= "0000-01-01T00:00:00Z"', 400),
        ("!= 3", 400),
        ("> 1.5", 400),
        ('CONTAINS "2026"', 400),
        ('STARTS WITH "("', 400),
        ('> "2020-01-31T12:00:00Z"', 200),
        ('< "2020-01-31T12:00:00+02:00"', 200),
        ("IS KNOWN", 200),
        ("IS UNKNOWN", 200),
    ],
)
@pytest.mark.parametrize(
    "way", ["last_modified {}", "NOT (last_modified {})", "nelements=2 OR last_modified {}"]
)
def test_what_is_no_time_is_refused(pages: httpx.Client, comparison: str, status: int, way: str) -> None:
    answer = pages.get(STRUCTURES, params={"filter": way.format(comparison)})
    assert answer.status_code == status, answer.text[-400:]


@pytest.mark.parametrize("text", [*"(.[^$?+|", ".*", "\\", "a|b", "{1}", "(?i)O", "b.O", "N?"])
@pytest.mark.parametrize("operator", ["CONTAINS", "STARTS WITH", "ENDS"])
def test_a_text_means_itself(pages: httpx.Client, text: str, operator: str) -> None:
    quoted = text.replace("\\", "\\\\")
    answer = pages.get(STRUCTURES, params={"filter": f'chemical_formula_reduced {operator} "{quoted}"'})
    assert (answer.status_code, answer.json()["data"]) == (200, [])


def test_what_does_contain_it_is_found(pages: httpx.Client) -> None:
    for operator, text in (("CONTAINS", "O"), ("STARTS", "Nb"), ("STARTS WITH", "NbO"), ("ENDS WITH", "O2")):
        asked = {"filter": f'chemical_formula_reduced {operator} "{text}"'}
        found = pages.get(STRUCTURES, params=asked).json()["data"]
        assert found, asked
        for entry in found:
            formula = entry["attributes"]["chemical_formula_reduced"]
            way = {"C": formula.__contains__, "S": formula.startswith, "E": formula.endswith}[operator[0]]
            assert way(text)


@contextmanager
def open_sockets(address: str, count: int, first: bytes) -> Iterator[list[socket.socket]]:
    host, port = address.removeprefix("http://").split(":")
    with ExitStack() as stack:
        made = [stack.enter_context(socket.create_connection((host, int(port)), 10)) for _ in range(count)]
        for one in made:
            one.sendall(first)
        yield made


BEGINNINGS = [b"", b"G", b"GET / HT", b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
              b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9000\r\n\r\ntoken="]  # fmt: skip


@pytest.mark.parametrize("first", BEGINNINGS)
def test_idle_and_half_open_clients_shut_nobody_out(
    read_database: Database, mongo_uri: str, read_records: dict[str, StructureRecord],
    monkeypatch: pytest.MonkeyPatch, first: bytes,
) -> None:  # fmt: skip
    monkeypatch.setattr(connections, "PATIENCE_SECONDS", 1.5)
    with served(read_database, mongo_uri) as address, open_sockets(address, 220, first) as idle:
        for _ in range(3):
            assert httpx.get(f"{address}/", timeout=20).status_code == 200
        deadline = time.monotonic() + 20
        for one in idle:
            one.settimeout(max(0.1, deadline - time.monotonic()))
            try:
                while one.recv(1000):
                    pass
            except ConnectionResetError:
                pass
        with httpx.Client(base_url=address) as client:  # One that asks in time is not shed.
            for _ in range(4):
                assert client.get("/", timeout=20).status_code == 200
                time.sleep(0.5)


def test_a_server_on_all_addresses_is_reached_by_any_name_with_the_token(
    read_database: Database, mongo_uri: str, read_records: dict[str, StructureRecord]
) -> None:
    access = Access(hosts=None, token="secret", guarded=True)
    with served(read_database, mongo_uri, access) as address:
        for name in ("node7.cluster", "10.0.0.7:8765", "[fd00::1]:8765", "localhost"):
            plain = httpx.get(f"{address}/campaigns/t", headers={"host": name})
            bearer = {"host": name, "authorization": "Bearer secret"}
            assert plain.status_code == 401
            assert httpx.get(f"{address}/campaigns/t", headers=bearer).status_code == 200
            elsewhere = {"origin": "http://evil.example"}
            assert httpx.get(f"{address}/campaigns/t", headers=bearer | elsewhere).status_code == 403


def test_pages_outlive_the_database_server(tmp_path: Path) -> None:
    from niobe.launchers.embedded import server_status, stop_server

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"NIOBE_HOME": str(tmp_path)}
    environment.pop("NIOBE_MONGO_URI", None)
    niobe = str(Path(sys.executable).parent / "niobe")
    server = subprocess.Popen([niobe, "serve", "--port", str(port)], env=environment, stderr=subprocess.PIPE)
    try:
        address = f"http://127.0.0.1:{port}"
        _until(address, "/", 60)
        for path in ("/", STRUCTURES):
            found = server_status(tmp_path / "db")
            assert found is not None
            os.kill(found.pid, signal.SIGKILL)
            time.sleep(0.2)
            first = httpx.get(address + path, timeout=60)
            assert first.status_code in {200, 503} and "Traceback" not in first.text
            _until(address, path, 30)
    finally:
        server.terminate()
        server.communicate(timeout=30)
        stop_server(tmp_path / "db")


def _until(address: str, path: str, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if httpx.get(address + path, timeout=30).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, path
        time.sleep(0.2)
