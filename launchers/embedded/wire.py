"""MongoDB's wire protocol: OP_MSG, and OP_QUERY for the legacy handshake.

Source: MongoDB Wire Protocol specification, https://www.mongodb.com/docs/manual/reference/mongodb-wire-protocol/
"""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from typing import Any

import bson
from bson.codec_options import CodecOptions
from bson.errors import BSONError

Document = dict[str, Any]
OP_REPLY, OP_QUERY, OP_MSG = 1, 2004, 2013
MAX_MESSAGE_BYTES = 48_000_000
MAX_HANDSHAKE_BYTES = 65_536
_HEADER = struct.Struct("<iiii")
_CHUNK = 65_536
_MORE_TO_COME = 1 << 1
_CHECKSUM = 1 << 0
CODEC: CodecOptions[Document] = CodecOptions(tz_aware=False)


class ProtocolError(ValueError):
    """The peer sent something that is not a message; its connection is closed."""


@dataclass(frozen=True)
class Request:
    """One command: its document with document sequences folded in, and how to answer."""

    request_id: int
    command: Document
    legacy: bool
    wants_reply: bool


def read_request(connection: socket.socket, limit: int) -> Request | None:
    """The next request, or None at a clean end. Bodies are read in pieces, never larger than ``limit`` bytes.

    Raises ProtocolError for a malformed or oversized message, and what the socket raises.
    """
    header = _read_exactly(connection, _HEADER.size, allow_end=True)
    if header is None:
        return None
    length, request_id, _, opcode = _HEADER.unpack(header)
    if not _HEADER.size <= length <= limit:
        raise ProtocolError(f"message of {length} bytes; allowed up to {limit}")
    body = _read_exactly(connection, length - _HEADER.size) or b""
    try:
        return _parse(request_id, opcode, body)
    except (BSONError, struct.error, IndexError, KeyError, ValueError) as error:
        raise ProtocolError(str(error)) from error


def _read_exactly(connection: socket.socket, size: int, *, allow_end: bool = False) -> bytes | None:
    pieces = bytearray()
    while len(pieces) < size:
        piece = connection.recv(min(_CHUNK, size - len(pieces)))
        if not piece:
            if allow_end and not pieces:
                return None
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
    end = len(body) - (4 if flags & _CHECKSUM else 0)
    command: Document | None = None
    sequences: dict[str, list[Document]] = {}
    position = 4
    while position < end:
        kind, position = body[position], position + 1
        (size,) = struct.unpack_from("<i", body, position)
        if size < 5 or position + size > end:
            raise ProtocolError("section larger than its message")
        section = body[position : position + size]
        if kind == 0:
            command = bson.decode(section, codec_options=CODEC)
        elif kind == 1:
            name_end = section.index(b"\0", 4)
            sequences[section[4:name_end].decode()] = bson.decode_all(section[name_end + 1 :], CODEC)
        else:
            raise ProtocolError(f"section kind {kind}")
        position += size
    if not command:
        raise ProtocolError("message without a command")
    return Request(request_id, command | sequences, legacy=False, wants_reply=not flags & _MORE_TO_COME)


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
        payload = struct.pack("<iqii", 8, 0, 0, 1) + body
        opcode = OP_REPLY
    else:
        payload = struct.pack("<IB", 0, 0) + body
        opcode = OP_MSG
    return _HEADER.pack(_HEADER.size + len(payload), 0, request.request_id, opcode) + payload


def encode_ping() -> bytes:
    """The bytes of a ``ping``."""
    payload = struct.pack("<IB", 0, 0) + bson.encode({"ping": 1, "$db": "admin"})
    return _HEADER.pack(_HEADER.size + len(payload), 1, 0, OP_MSG) + payload
