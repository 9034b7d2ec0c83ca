"""The embedded server process: ``python -m launchers.embedded.server FOLDER`` starts it and returns."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import socketserver
import sys
import tempfile
import threading
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

from launchers.embedded.commands import Engine
from launchers.embedded.storage import StorageError, open_file
from launchers.embedded.wire import (
    MAX_HANDSHAKE_BYTES,
    MAX_MESSAGE_BYTES,
    ProtocolError,
    encode_ping,
    encode_reply,
    read_request,
)

_LONGEST_SOCKET_PATH = 100
_HANDSHAKE_SECONDS = 30
_PING_SECONDS = 5.0
FILE_NAME, LOCK_NAME, INFO_NAME = "niobe.sqlite", "server.lock", "server.json"


def socket_path(folder: Path) -> Path:
    """Where the server listens: in the folder or, where that path is too long, in a private one."""
    path = folder.resolve() / "mongo.sock"
    if len(str(path).encode()) <= _LONGEST_SOCKET_PATH:
        return path
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"niobe-{os.getuid()}"
    return runtime / f"{sha256(str(path).encode()).hexdigest()[:16]}.sock"


class _Connection(socketserver.BaseRequestHandler):
    """One client: a small message size until it has shaken hands, then as large as MongoDB allows."""

    server: _Server

    def handle(self) -> None:
        limit = MAX_HANDSHAKE_BYTES
        self.request.settimeout(_HANDSHAKE_SECONDS)
        with contextlib.suppress(ProtocolError, OSError):
            while (request := read_request(self.request, limit)) is not None:
                if limit != MAX_MESSAGE_BYTES:
                    limit = MAX_MESSAGE_BYTES
                    self.request.settimeout(None)
                answer = self.server.engine.run(request.command)
                if request.wants_reply:
                    self.request.sendall(encode_reply(request, answer))


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, path: Path, engine: Engine) -> None:
        self.engine = engine
        super().__init__(str(path), _Connection)


def serve(folder: Path) -> int:
    """Serve the data in ``folder`` until SIGTERM; returns the exit code. One server a folder."""
    lock = _take_lock(folder)
    if lock is None:
        print(f"{folder}: served already by {read_info(folder).get('pid')}", file=sys.stderr)
        return 3
    try:
        connection = open_file(folder / FILE_NAME)
    except StorageError as error:
        print(error, file=sys.stderr)
        return 4
    engine = Engine(connection)
    path = socket_path(folder)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with _Server(path, engine) as server:
        path.chmod(0o600)
        _write_info(folder, {"pid": os.getpid(), "socket": str(path)})
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
        server.serve_forever(poll_interval=0.2)
    path.unlink(missing_ok=True)
    (folder / INFO_NAME).unlink(missing_ok=True)
    engine.close()
    lock.close()
    return 0


def _take_lock(folder: Path) -> Any:
    """An open, locked file held for the life of the process, or None where another holds it."""
    import fcntl

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = (folder / LOCK_NAME).open("w")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return None
    return file


def is_locked(folder: Path) -> bool:
    """Whether a server process holds ``folder``, listening or not."""
    lock = _take_lock(folder)
    if lock is not None:
        lock.close()
    return lock is None


def _write_info(folder: Path, info: dict[str, Any]) -> None:
    scratch = folder / f".{INFO_NAME}"
    scratch.write_text(json.dumps(info))
    scratch.replace(folder / INFO_NAME)


def read_info(folder: Path) -> dict[str, Any]:
    """pid and socket the running server wrote down."""
    try:
        return dict(json.loads((folder / INFO_NAME).read_text()))
    except (OSError, ValueError):
        return {}


def is_listening(path: Path) -> bool:
    """Whether a server at a socket path answers: one that is dying still accepts connections."""
    with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(ProtocolError, OSError):
        probe.settimeout(_PING_SECONDS)
        probe.connect(str(path))
        probe.sendall(encode_ping())
        return read_request(probe, MAX_HANDSHAKE_BYTES) is not None
    return False


def serve_detached(folder: Path) -> int:
    """Serve in a process of its own that outlives this one; returns once it listens, or its exit code."""
    child = os.fork()
    if child == 0:
        os.setsid()
        os._exit(serve(folder))
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        if read_info(folder).get("pid") == child and is_listening(socket_path(folder)):
            return 0
        time.sleep(0.02)


if __name__ == "__main__":
    raise SystemExit(serve_detached(Path(sys.argv[1])))
