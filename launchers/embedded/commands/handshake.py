"""Commands that are answered at once: clients give up a server that leaves them waiting."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from niobe.launchers.embedded.wire import MAX_DOCUMENT_BYTES, MAX_MESSAGE_BYTES

Document = dict[str, Any]


def hello(command: Document) -> Document:
    """The handshake: what this server can do (no sessions, so no transactions)."""
    return {
        "helloOk": True,
        "ismaster": True,
        "isWritablePrimary": True,
        "maxBsonObjectSize": MAX_DOCUMENT_BYTES,
        "maxMessageSizeBytes": MAX_MESSAGE_BYTES,
        "maxWriteBatchSize": 100_000,
        "localTime": datetime.now(UTC),
        "minWireVersion": 0,
        "maxWireVersion": 21,
        "readOnly": False,
    }


def build_info(command: Document) -> Document:
    """Says plainly what this is."""
    return {"version": "7.0.0", "versionArray": [7, 0, 0, 0], "modules": ["niobe-embedded"], "bits": 64}


def nothing(command: Document) -> Document:
    """Commands that need no answer but ok."""
    return {}


COMMANDS: dict[str, Callable[[Document], Document]] = {
    "hello": hello,
    "isMaster": hello,
    "buildInfo": build_info,
    "ping": nothing,
    "endSessions": nothing,
}
