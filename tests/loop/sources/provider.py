"""A provider on loopback: OPTIMADE and mp-api shaped answers, and every way to misbehave."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pymatgen.core import Structure

Document = dict[str, Any]


def optimade_entry(identifier: str, structure: Structure, **extra: Any) -> Document:
    """An entry as providers serve it: the full list of OPTIMADE 1.1 attributes."""
    from optimade.adapters.structures.pymatgen import from_pymatgen

    attributes = json.loads(from_pymatgen(structure).model_dump_json())
    attributes |= {"last_modified": "2024-03-01T12:00:00Z", "immutable_id": f"im-{identifier}"} | extra
    return {"id": identifier, "type": "structures", "attributes": attributes, "links": {"self": None}}


def summary_document(identifier: str, structure: Structure, above: float = 0.0) -> Document:
    """A document as the Materials Project's summary endpoint gives it."""
    return {
        "material_id": identifier,
        "structure": structure.as_dict(),
        "energy_per_atom": -8.123,
        "formation_energy_per_atom": -1.5 + above,
        "energy_above_hull": above,
        "band_gap": 0.0,
        "theoretical": False,
        "database_IDs": {"icsd": ["icsd-1234", "icsd-99"]},
        "last_updated": "2025-02-12T00:00:00",
    }


@dataclass
class Provider:
    """What is served and how. ``faults``: what happens at the n-th request (from 1), else it behaves.

    A fault is a status, "slow", "cut" (truncated JSON), "list" (no object), "retry" (429 with Retry-After),
    or "gone" (the connection is closed).
    """

    entries: list[Document]
    page: int = 10
    faults: dict[int, int | str] = field(default_factory=dict)
    meta: Any = None
    endless: bool = False
    elsewhere: bool = False
    before: dict[int, Any] = field(default_factory=dict)
    key: str = ""
    requests: list[str] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str) -> Document:
        """The JSON object for a request path."""
        query = {key: values[0] for key, values in parse_qs(urlsplit(path).query).items()}
        if urlsplit(path).path.startswith("/materials/summary"):
            start, limit = int(query["_skip"]), min(int(query["_limit"]), self.page)
            total = {"total_doc": len(self.entries), "api_version": "0.84.3"}
            return {"data": self.entries[start : start + limit], "meta": total}
        start = int(query.get("page_offset", 0))
        rest = start + self.page < len(self.entries)
        following = None
        if rest or self.endless:
            offset = start + self.page if rest else start
            host = "http://example.invalid" if self.elsewhere else self.url
            following = {"href": f"{host}/v1/structures?page_offset={offset}"}
        meta = {"data_returned": len(self.entries), "api_version": "1.1.0", "more_data_available": rest}
        return {
            "data": self.entries[start : start + self.page],
            "links": {"next": following},
            "meta": meta if self.meta is None else self.meta,
        }


@contextmanager
def serving(provider: Provider) -> Iterator[Provider]:
    """The provider on a free port of 127.0.0.1."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            provider.requests.append(self.path)
            number = len(provider.requests)
            if number in provider.before:
                provider.before[number](provider)
            if provider.key and self.headers.get("X-API-KEY") != provider.key:
                self._send(403, b'{"errors": [{"detail": "invalid key"}]}')
                return
            body = json.dumps(provider.answer(self.path)).encode()
            self._misbehave(provider.faults.get(number), body)

        def _misbehave(self, fault: int | str | None, body: bytes) -> None:
            if fault == "slow":
                time.sleep(0.6)
            if fault == "gone":
                self.close_connection = True
            elif isinstance(fault, int):
                self._send(fault, b'{"errors": [{"detail": "as ordered"}]}')
            elif fault == "retry":
                self._send(429, b"{}", {"Retry-After": "0"})
            else:
                cut = body[: len(body) // 2] if fault == "cut" else body
                self._send(200, b"[]" if fault == "list" else cut)

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | (headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

        def handle(self) -> None:
            try:
                super().handle()
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
