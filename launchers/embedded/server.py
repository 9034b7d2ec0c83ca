"""The embedded server process: ``python -m niobe.launchers.embedded.server FOLDER`` starts it and returns."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from niobe.launchers.embedded.commands.engine import Engine
from niobe.launchers.embedded.commands.errors import CommandError, StorageError, as_answer
from niobe.launchers.embedded.folder import DatabaseFolder, ServerInfo
from niobe.launchers.embedded.scram import MECHANISM, Credentials, Login
from niobe.launchers.embedded.storage.file import DatabaseFile
from niobe.launchers.embedded.storage.snapshots import SnapshotKeeper, require_file
from niobe.launchers.embedded.version import server_version
from niobe.launchers.embedded.wire import (
    MAX_HANDSHAKE_BYTES,
    MAX_MESSAGE_BYTES,
    Memory,
    ProtocolError,
    Request,
    encode_reply,
    is_listening,
    read_header,
    read_request,
)

LOST_THE_RACE, DAMAGED, NO_PORT = 3, 4, 5
_HANDSHAKE_SECONDS = 30.0
_SEND_SECONDS = 60.0
_LARGE_BYTES = 1_000_000
_MEMORY_BYTES = 200_000_000
_MOST_CLIENTS = 500
_SNAPSHOT_SECONDS = 1800.0
_POLL_SECONDS = 0.2
_SWITCH_SECONDS = 0.001  # a costly query hands the interpreter on so often
_STOPPING = {signal.SIGTERM, signal.SIGINT}


class _Clients:
    """Who is connected: no more than a bound, and since when nobody is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count = 0
        self._left = time.monotonic()

    @contextlib.contextmanager
    def admit(self) -> Iterator[bool]:
        """Whether there is room; the client counts while inside."""
        with self._lock:
            self._count += 1
            has_room = self._count <= _MOST_CLIENTS
        try:
            yield has_room
        finally:
            with self._lock:
                self._count -= 1
                self._left = time.monotonic()

    @property
    def count(self) -> int:
        """How many are connected."""
        return self._count

    def idle_seconds(self) -> float:
        """Since when nobody is connected."""
        with self._lock:
            return 0.0 if self._count else time.monotonic() - self._left


class _Connection(socketserver.BaseRequestHandler):
    """One client: a small message size until it has shaken hands, then as large as MongoDB allows."""

    def handle(self) -> None:
        server = cast(_Server, self.server)
        with server.service.clients.admit() as admitted, contextlib.suppress(ProtocolError, OSError):
            if admitted:
                self._converse(server.service, server.login())

    def _converse(self, service: Service, login: Login | None) -> None:
        limit = MAX_HANDSHAKE_BYTES
        patience: float | None = _HANDSHAKE_SECONDS
        while True:
            self.request.settimeout(patience)
            header = read_header(self.request, limit)
            if header is None:
                return
            with service.room_for(header.size):
                request = read_request(self.request, header)
                self._answer(request, _run(service, request, login))
            if login is None or login.is_known:
                limit, patience = MAX_MESSAGE_BYTES, None  # shaken hands: may be idle as long as it likes

    def _answer(self, request: Request, answer: dict[str, object]) -> None:
        if request.wants_reply:
            reply = encode_reply(request, answer)
            answer.clear()  # a client that does not listen holds its reply alone
            self.request.settimeout(_SEND_SECONDS)
            self.request.sendall(reply)


def _run(service: Service, request: Request, login: Login | None) -> dict[str, object]:
    try:
        answered = login.answer(request.command) if login else None
    except CommandError as error:
        return as_answer(error)
    if answered is not None:
        return {**answered, "ok": 1.0}
    if request.fault:
        return as_answer(CommandError(2, request.fault))
    if "serverStatus" in request.command:
        return {"connections": {"current": service.clients.count}, "ok": 1.0}
    answer = service.engine.run(request.command)
    if login and "saslSupportedMechs" in request.command:
        answer["saslSupportedMechs"] = [MECHANISM]
    return answer


class Service:
    """The engine and what its listeners share."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clients = _Clients()
        self._memory = Memory(_MEMORY_BYTES)

    def room_for(self, size: int) -> contextlib.AbstractContextManager[None]:
        """Bounds what large messages hold together."""
        if size < _LARGE_BYTES:
            return contextlib.nullcontext()
        return self._memory.hold(size, _SEND_SECONDS)


class _Server(socketserver.ThreadingMixIn):
    daemon_threads = True
    request_queue_size = 128
    service: Service
    credentials: Credentials | None = None

    def login(self) -> Login | None:
        """A login to go through, where one is asked for."""
        return Login(self.credentials) if self.credentials else None


class _UnixServer(_Server, socketserver.UnixStreamServer):
    def __init__(self, path: Path, service: Service) -> None:
        self.service = service
        super().__init__(str(path), _Connection)


class _TcpServer(_Server, socketserver.TCPServer):
    allow_reuse_address = True

    def __init__(self, port: int, service: Service, credentials: Credentials) -> None:
        self.service, self.credentials = service, credentials
        super().__init__(("127.0.0.1", port), _Connection)

    def get_request(self) -> tuple[socket.socket, object]:
        """Answers are small and waited for: send them at once."""
        connection, address = super().get_request()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection, address


def serve(folder: DatabaseFolder, port: int | None, idle_minutes: float) -> int:
    """Serve the data in ``folder`` until SIGTERM; returns the exit code. One server a folder.

    port: also on 127.0.0.1, with a login; 0 for any free one. idle_minutes: stop after so long without a
    client; 0 for never.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    lock = folder.lock()
    if lock is None:
        info = folder.info()
        print(f"{folder.path}: served already by process {info.pid if info else '?'}", file=sys.stderr)
        return LOST_THE_RACE
    try:
        require_file(folder)
        engine = Engine(DatabaseFile(folder.file))
    except StorageError as error:
        print(error, file=sys.stderr)
        return DAMAGED
    keeper = SnapshotKeeper(folder, _SNAPSHOT_SECONDS)
    with contextlib.closing(lock):
        with contextlib.closing(engine):
            code = _listen(folder, Service(engine), keeper, port, idle_minutes)
            folder.forget_info()
        keeper.stop()
    return code


def _listen(
    folder: DatabaseFolder, service: Service, keeper: SnapshotKeeper, port: int | None, idle_minutes: float
) -> int:
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    folder.socket.unlink(missing_ok=True)
    with contextlib.ExitStack() as listeners:
        listeners.callback(folder.socket.unlink, missing_ok=True)
        servers: list[_UnixServer | _TcpServer] = [
            listeners.enter_context(_UnixServer(folder.socket, service))
        ]
        folder.socket.chmod(0o600)
        try:
            if port is not None:
                servers.append(listeners.enter_context(_open_tcp(folder, service, port)))
        except OSError as error:
            print(f"port {port} on 127.0.0.1: {error.strerror}", file=sys.stderr)
            return NO_PORT
        for server in servers:
            threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), daemon=True).start()
            listeners.callback(server.shutdown)
        folder.write_info(_describe(folder, servers[1:], idle_minutes))
        keeper.start()
        _wait(service.clients, idle_minutes)
    return 0


def _open_tcp(folder: DatabaseFolder, service: Service, port: int) -> _TcpServer:
    user, password = folder.login()
    server = _TcpServer(port, service, Credentials(user, password))
    folder.write_tcp_uri(_address(server), user, password)
    return server


def _address(server: _TcpServer) -> str:
    host, port = server.server_address[:2]
    return f"{host!s}:{port}"


def _describe(folder: DatabaseFolder, tcp: list[_UnixServer | _TcpServer], idle_minutes: float) -> ServerInfo:
    address = _address(tcp[0]) if tcp and isinstance(tcp[0], _TcpServer) else ""
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return ServerInfo(os.getpid(), str(folder.socket), started, address, idle_minutes, server_version())


def _wait(clients: _Clients, idle_minutes: float) -> None:
    """Return when a signal asks to stop, or after ``idle_minutes`` without a client."""
    while not signal.sigpending() & _STOPPING:  # blocked, so they wait; macOS has no sigtimedwait
        time.sleep(_POLL_SECONDS)
        if idle_minutes and clients.idle_seconds() > 60 * idle_minutes:
            return


def serve_detached(folder: DatabaseFolder, port: int | None, idle_minutes: float) -> int:
    """Serve in a process of its own that outlives this one; returns once it listens, or its exit code.

    folder: of the database. port: to listen on. idle_minutes: until it stops with no client; none: never.
    """
    child = os.fork()
    if child == 0:
        os.setsid()
        os.umask(0o077)
        os._exit(serve(folder, port, idle_minutes))
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status)
        info = folder.info()
        if info and info.pid == child and is_listening(folder.socket):
            return 0
        time.sleep(0.02)


def main() -> int:
    """Parse the command line that ``niobe.launchers.embedded.ensure_server`` writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int)
    parser.add_argument("--idle-minutes", type=float, default=0.0)
    given = parser.parse_args()
    return serve_detached(DatabaseFolder(given.folder), given.port, given.idle_minutes)


if __name__ == "__main__":
    raise SystemExit(main())
