"""All commands by name, and those that ask about the server itself."""

from __future__ import annotations

from datetime import UTC, datetime

from niobe.launchers.embedded.commands import catalog, reads, writes
from niobe.launchers.embedded.commands.engine import Commands, Document, Engine
from niobe.launchers.embedded.wire import MAX_DOCUMENT_BYTES, MAX_MESSAGE_BYTES


def hello(engine: Engine, command: Document) -> Document:
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


def build_info(engine: Engine, command: Document) -> Document:
    """Says plainly what this is."""
    return {"version": "7.0.0", "versionArray": [7, 0, 0, 0], "modules": ["niobe-embedded"], "bits": 64}


def compact(engine: Engine, command: Document) -> Document:
    """Give back the room of deleted documents, of all collections; other commands wait meanwhile."""
    engine.file.compact()
    return {}


def nothing(engine: Engine, command: Document) -> Document:
    """Commands that need no answer but ok."""
    return {}


COMMANDS = Commands(
    at_once={
        "hello": hello,
        "isMaster": hello,
        "buildInfo": build_info,
        "ping": nothing,
        "endSessions": nothing,
    },
    reads={**reads.READS, **catalog.READS, "compact": compact},
    writes=writes.WRITES | catalog.WRITES,
)
