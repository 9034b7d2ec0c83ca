"""SCRAM-SHA-256 on the server's side: the client proves that it knows the password, and so does the server.

Sources: RFC 5802 (SCRAM), RFC 7677 (SCRAM-SHA-256), MongoDB's commands saslStart and saslContinue.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from base64 import b64decode, b64encode
from typing import Any

from niobe.launchers.embedded.commands.errors import CommandError

MECHANISM = "SCRAM-SHA-256"
_ITERATIONS = 15_000
_OPEN = {"hello", "ismaster", "ping", "buildinfo", "saslstart", "saslcontinue", "endsessions"}
Document = dict[str, Any]


class Credentials:
    """A user and what proves a password without being it."""

    def __init__(self, user: str, password: str) -> None:
        self.user = user
        self.salt = secrets.token_bytes(28)
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), self.salt, _ITERATIONS)
        self.stored_key = hashlib.sha256(_sign(salted, b"Client Key")).digest()
        self.server_key = _sign(salted, b"Server Key")


class Login:
    """What one connection has proven so far."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.is_known = False
        self._first = self._nonce = ""

    def answer(self, command: Document) -> Document | None:
        """The answer to a command of the login, or None where the command may run.

        Raises CommandError: 13 before a login, 18 for a wrong user, password or message.
        """
        name = next(iter(command)).lower()
        if name in ("saslstart", "saslcontinue"):
            payload = command.get("payload")
            message = payload.decode(errors="replace") if isinstance(payload, bytes) else ""
            return self._start(command, message) if name == "saslstart" else self._finish(message)
        if not self.is_known and name not in _OPEN:
            raise CommandError(13, f"command {name} requires authentication")
        return None

    def _start(self, command: Document, message: str) -> Document:
        self.is_known = False
        if command.get("mechanism") != MECHANISM:
            raise CommandError(18, f"mechanism not supported; use {MECHANISM}")
        fields = _fields(message.removeprefix("n,,"))
        if not message.startswith("n,,") or not fields.get("r"):
            raise CommandError(18, "Authentication failed.")
        self._nonce = fields["r"] + secrets.token_urlsafe(24)
        salt = b64encode(self._credentials.salt).decode()
        reply = f"r={self._nonce},s={salt},i={_ITERATIONS}"
        self._user = fields.get("n", "")
        self._first = f"{message.removeprefix('n,,')},{reply}"
        return {"conversationId": 1, "done": False, "payload": reply.encode()}

    def _finish(self, message: str) -> Document:
        if self.is_known:
            return {"conversationId": 1, "done": True, "payload": b""}
        fields = _fields(message)
        signed = f"{self._first},{message.rpartition(',p=')[0]}".encode()
        if not self._first or fields.get("r") != self._nonce or not self._proves(fields.get("p", ""), signed):
            self._first = ""
            raise CommandError(18, "Authentication failed.")
        self.is_known, self._first = True, ""
        verifier = b64encode(_sign(self._credentials.server_key, signed))
        return {"conversationId": 1, "done": True, "payload": b"v=" + verifier}

    def _proves(self, proof: str, signed: bytes) -> bool:
        signature = _sign(self._credentials.stored_key, signed)
        try:
            given = b64decode(proof, validate=True)
        except ValueError:
            return False
        if len(given) != len(signature):
            return False
        client_key = bytes(a ^ b for a, b in zip(given, signature, strict=True))
        matches = hmac.compare_digest(hashlib.sha256(client_key).digest(), self._credentials.stored_key)
        return matches and hmac.compare_digest(self._user.encode(), self._credentials.user.encode())


def _fields(message: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in message.split(",") if "=" in part)


def _sign(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
