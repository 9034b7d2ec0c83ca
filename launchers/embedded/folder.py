"""What lies in a database folder: the file, its snapshots, the lock, the socket, who serves it."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from niobe.config.errors import ConfigError
from niobe.config.home import Kind, resolved, unlike
from niobe.config.settings import LONGEST_HOME

_LONGEST_SOCKET_PATH = 100
_LONGEST = LONGEST_HOME + len("/db")
_USER = "niobe"


@dataclass(frozen=True)
class ServerInfo:
    """The running server. tcp: host:port, or empty. started: ISO time, UTC. idle_minutes: 0 for never.

    version: of its code; empty for a server from before it was written down.
    """

    pid: int
    socket: str
    started: str
    tcp: str = ""
    idle_minutes: float = 0.0
    version: str = ""


class DatabaseFolder:
    """The paths in a database folder, and the small files of its server. All of it is its owner's alone."""

    def __init__(self, path: Path) -> None:
        self._given = path.expanduser()
        self.path = resolved(self._given)
        self.file = self.path / "niobe.sqlite"
        self.snapshots = self.path / "snapshots"
        self.log = self.path / "server.log"
        self.tcp_uri = self.path / "tcp.uri"
        self._lock, self._info = self.path / "server.lock", self.path / "server.json"

    def misplaced(self) -> Iterator[str]:
        """What is no file or folder although the database has one there, in words."""
        if problem := unlike(self._given, "folder"):
            yield problem
            return
        parts = (self.file, *(Path(f"{self.file}{end}") for end in ("-wal", "-shm")))
        files = (*parts, self.path / "acknowledged", self._lock, self._info, self.log, self.tcp_uri)
        expected: list[tuple[Path, Kind]] = [(path, "file") for path in files]
        expected += [(self.snapshots, "folder"), (self.path / "mongo.sock", "socket")]
        expected += [(snapshot, "file") for snapshot in sorted(self.snapshots.glob("*.sqlite"))]
        yield from (problem for path, kind in expected if (problem := unlike(path, kind)))

    def make(self) -> None:
        """Make the folder and the socket's, for their owner only.

        Raises ConfigError where they are not ours, their path is too long for SQLite, or something else lies
        in place of one of their files.
        """
        if (size := len(os.fsencode(self.path))) > _LONGEST:
            raise ConfigError(f"{self.path}: a path of {size} bytes; at most {_LONGEST} are allowed")
        for problem in self.misplaced():
            raise ConfigError(f"{problem}; move it away")
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.path, self.socket.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if folder.stat().st_uid != os.getuid():
                raise ConfigError(f"{folder}: belongs to another user")

    @property
    def socket(self) -> Path:
        """Where the server listens: in the folder or, where that path is too long, in a private one.

        The private one depends on the environment, so where a server wrote down its own, that one counts; not
        one of another folder, which this one was copied or moved from.
        """
        path = self.path / "mongo.sock"
        if len(str(path).encode()) <= _LONGEST_SOCKET_PATH:
            return path
        name = f"{sha256(str(path).encode()).hexdigest()[:16]}.sock"
        info = self.info()
        if info and Path(info.socket).name == name and Path(info.socket).exists():
            return Path(info.socket)
        return runtime_folder() / name

    @property
    def uri(self) -> str:
        """The MongoDB URI of the socket."""
        return f"mongodb://{quote(str(self.socket), safe='')}/?directConnection=true"

    def lock(self) -> Any:
        """An open, locked file that its holder keeps open, or None where another process holds it."""
        import fcntl

        self.make()
        self._lock.touch(mode=0o600)
        file = self._lock.open("w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return None
        return file

    def is_locked(self) -> bool:
        """Whether a process holds the folder, listening or not."""
        if not self._lock.exists():
            return False
        lock = self.lock()
        if lock is not None:
            lock.close()
        return lock is None

    def write_info(self, info: ServerInfo) -> None:
        """Say who serves the folder."""
        write_private(self._info, json.dumps(asdict(info)))

    def forget_info(self) -> None:
        """Nobody serves the folder any more."""
        self._info.unlink(missing_ok=True)

    def info(self) -> ServerInfo | None:
        """Who serves the folder, as the server wrote it down."""
        try:
            return ServerInfo(**json.loads(self._info.read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def login(self) -> tuple[str, str]:
        """User and password for TCP: those of ``tcp.uri``, or new ones."""
        with contextlib.suppress(OSError):
            found = urlsplit(self.tcp_uri.read_text().strip())
            if found.username and found.password:
                return unquote(found.username), unquote(found.password)
        return _USER, secrets.token_urlsafe(32)

    def write_tcp_uri(self, address: str, user: str, password: str) -> None:
        """Write the URI with the password, for its owner's eyes only.

        address: host and port. user: of the login.
        """
        write_private(
            self.tcp_uri,
            f"mongodb://{quote(user)}:{quote(password)}@{address}/"
            "?authSource=admin&authMechanism=SCRAM-SHA-256&directConnection=true\n",
        )


def runtime_folder() -> Path:
    """Where sockets lie whose own folder has too long a path, of all homes of this user."""
    return Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir()) / f"niobe-{os.getuid()}"


def write_private(file: Path, text: str) -> None:
    """Write a file that only its owner may read, whole or not at all."""
    scratch = file.with_name(f".{file.name}.{os.getpid()}")
    scratch.unlink(missing_ok=True)
    scratch.touch(mode=0o600)
    scratch.write_text(text, encoding="utf-8")
    scratch.replace(file)
