"""MongoDB's wire protocol: OP_MSG, and OP_QUERY for the legacy handshake.

Source: MongoDB Wire Protocol specification, https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bson
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.errors import BSONError

Document = dict[str, Any]
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
MAX_DOCUMENT_BYTES = 16_777_216
MAX_MESSAGE_BYTES = 48_000_000
MAX_HANDSHAKE_BYTES = 65_536
_HEADER = struct.Struct("<iiii")
_CHUNK = 65_536
_HEADER_SECONDS = 30.0
_PING_SECONDS = 5.0
_SLOWEST_BYTES_A_SECOND = 1_000_000
_MORE_TO_COME = 1 << 1
_UNKNOWN = 0xFFFF & ~_MORE_TO_COME
"""Flags that change what a message means; the checksum, which no driver sends, is one that is not read."""
CODEC: CodecOptions[Document] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)


class ProtocolError(ValueError):
    """The peer sent something that is not a message; its connection is closed."""


@dataclass(frozen=True)
class Request:
    """One command: its document with document sequences folded in, and how to answer.

    fault: why it cannot be run, or "".
    """

    request_id: int
    command: Document
    legacy: bool
    wants_reply: bool
    fault: str = ""


class Memory:
    """What large messages may hold together: one that would hold more waits for the others."""

    def __init__(self, limit: int) -> None:
        self._limit, self._held = limit, 0
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, size: int, patience: float) -> Iterator[None]:
        """Hold ``size`` bytes while inside. Raises ProtocolError after ``patience`` seconds without room."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._held + size <= self._limit, patience):
                raise ProtocolError("too many large messages at once")
            self._held += size
        try:
            yield
        finally:
            with self._changed:
                self._held -= size
                self._changed.notify_all()


@dataclass(frozen=True)
class Header:
    """How long the rest of a message is, and what it is."""

    size: int
    request_id: int
    opcode: int


def read_header(connection: socket.socket, limit: int) -> Header | None:
    """The header of the next message of at most ``limit`` bytes, or None at a clean end.

    Raises ProtocolError for an impossible length, and what the socket raises.
    """
    first = connection.recv(_HEADER.size)
    if not first:
        return None
    rest = _read_exactly(connection, _HEADER.size - len(first), time.monotonic() + _HEADER_SECONDS)
    length, request_id, _, opcode = _HEADER.unpack(first + rest)
    if not _HEADER.size <= length <= limit:
        raise ProtocolError(f"message of {length} bytes; allowed up to {limit}")
    return Header(length - _HEADER.size, request_id, opcode)


def read_request(connection: socket.socket, header: Header) -> Request:
    """The message behind ``header``, read in pieces as they come; a sender that stalls is given up.

    Raises ProtocolError for a malformed message, and what the socket raises.
    """
    seconds = _HEADER_SECONDS + header.size / _SLOWEST_BYTES_A_SECOND
    body = _read_exactly(connection, header.size, time.monotonic() + seconds)
    try:
        return _parse(header.request_id, header.opcode, body)
    except (BSONError, struct.error, IndexError, KeyError, ValueError, RecursionError) as error:
        raise ProtocolError(str(error)) from error


def _read_exactly(connection: socket.socket, size: int, deadline: float) -> bytes:
    pieces = bytearray()
    while len(pieces) < size:
        left = deadline - time.monotonic()
        if left <= 0:
            raise ProtocolError("message sent too slowly")
        connection.settimeout(left)
        piece = connection.recv(min(_CHUNK, size - len(pieces)))
        if not piece:
            raise ProtocolError("connection closed inside a message")
        pieces += piece
    return bytes(pieces)


def _parse(request_id: int, opcode: int, body: bytes) -> Request:
    if opcode == OP_MSG:
        return _parse_msg(request_id, body)
    if opcode == OP_QUERY:
        return _parse_query(request_id, body)
    raise ProtocolError(f"opcode {opcode} is not spoken here")


def _parse_msg(request_id: int, body: bytes) -> Request:
    (flags,) = struct.unpack_from("<I", body)
    if flags & _UNKNOWN:
        raise ProtocolError(f"flags {flags:#x} are not spoken here")
    command: Document | None = None
    sequences: dict[str, list[Document]] = {}
    position, end, is_exact = 4, len(body), True
    while position < end:
        kind, position = body[position], position + 1
        (size,) = struct.unpack_from("<i", body, position)
        if size < 5 or position + size > end:
            raise ProtocolError("section larger than its message")
        section = body[position : position + size]
        if kind == 0 and command is None:
            command = bson.decode(section, codec_options=CODEC)
            is_exact &= _is_exact([command], section)
        elif kind == 1:
            name_end = section.index(b"\0", 4)
            name, documents = section[4:name_end].decode(), section[name_end + 1 :]
            if name in sequences:
                raise ProtocolError(f"two sequences {name[:40]!r}")
            sequences[name] = bson.decode_all(documents, CODEC)
            is_exact &= _is_exact(sequences[name], documents)
        else:
            raise ProtocolError(f"section kind {kind}")
        position += size
    if not command or command.keys() & sequences:
        raise ProtocolError("message without a command, or with a sequence twice")
    fault = "" if is_exact else "a document that cannot be kept as it is: a field twice, or of an old type"
    wants_reply = not flags & _MORE_TO_COME
    return Request(request_id, command | sequences, legacy=False, wants_reply=wants_reply, fault=fault)


def _is_exact(documents: list[Document], body: bytes) -> bool:
    """Whether documents, written again, are the bytes that they were read from."""
    position = 0
    for document in documents:
        written = bson.encode(document)
        if body[position : position + len(written)] != written:
            return False
        position += len(written)
    return position == len(body)


def _parse_query(request_id: int, body: bytes) -> Request:
    name_end = body.index(b"\0", 4)
    if not body[4:name_end].endswith(b".$cmd"):
        raise ProtocolError("OP_QUERY is spoken for the handshake only")
    command = bson.decode(body[name_end + 9 :], codec_options=CODEC)
    if "$query" in command:
        command = command["$query"]
    database = body[4:name_end].decode().removesuffix(".$cmd")
    return Request(request_id, {**command, "$db": database}, legacy=True, wants_reply=True)


def encode_reply(request: Request, answer: Document) -> bytes:
    """The bytes that answer ``request``."""
    body = bson.encode(answer)
    if request.legacy:
        opcode, first = OP_REPLY, struct.pack("<iqii", 8, 0, 0, 1)
    else:
        opcode, first = OP_MSG, struct.pack("<IB", 0, 0)
    size = _HEADER.size + len(first) + len(body)
    return b"".join((_HEADER.pack(size, 0, request.request_id, opcode), first, body))


def _encode_command(command: Document) -> bytes:
    payload = struct.pack("<IB", 0, 0) + bson.encode({**command, "$db": "admin"})
    return _HEADER.pack(_HEADER.size + len(payload), 1, 0, OP_MSG) + payload


def is_listening(path: Path) -> bool:
    """Whether a server at a socket path answers a ping: one that is dying still accepts connections."""
    return ask(path, {"ping": 1}) is not None


def ask(path: Path, command: Document) -> Document | None:
    """What the server at a socket path answers to a short command; None where none does."""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(ProtocolError, OSError):
        probe.settimeout(_PING_SECONDS)
        probe.connect(str(path))
        probe.sendall(_encode_command(command))
        header = read_header(probe, MAX_HANDSHAKE_BYTES)
        return None if header is None else read_request(probe, header).command
    return None
