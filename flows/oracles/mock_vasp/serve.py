"""mock-vasp-serve: loads a potential once and answers every mock-vasp on this machine over a Unix socket."""

from __future__ import annotations

import argparse
import json
import os
import socketserver
import sys
import threading
from pathlib import Path
from typing import ClassVar

from niobe.config.errors import ConfigError
from niobe.flows.oracles.mock_vasp.potential import LocalPotential, Potential, PotentialError, answer_to


class PotentialServer(socketserver.ThreadingUnixStreamServer):
    """Answers on the Unix socket ``path``, one question at a time."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, path: Path, potential: Potential) -> None:
        super().__init__(str(path), _Connection)
        self.potential = potential
        self.one_at_a_time = threading.Lock()


class _Connection(socketserver.StreamRequestHandler):
    server: PotentialServer
    _BAD: ClassVar = (KeyError, TypeError, ValueError)

    def handle(self) -> None:
        """One JSON line in, one out, until the client goes."""
        for line in self.rfile:
            try:
                with self.server.one_at_a_time:
                    answer = answer_to(self.server.potential, json.loads(line))
            except self._BAD as error:
                answer = {"error": f"not a question: {type(error).__name__}: {error}"}
            self.wfile.write(json.dumps(answer).encode() + b"\n")
            self.wfile.flush()


def serve(name: str, path: Path) -> None:
    """Answer until the process is ended. Only this user may connect."""
    potential = LocalPotential(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    before = os.umask(0o177)
    try:
        server = PotentialServer(path, potential)
    finally:
        os.umask(before)
    with server:
        print(f"{potential.name} at socket:{path}", flush=True)
        try:
            server.serve_forever()
        finally:
            path.unlink(missing_ok=True)


def main() -> None:
    """``mock-vasp-serve POTENTIAL SOCKET``."""
    parser = argparse.ArgumentParser(prog="mock-vasp-serve", description=__doc__)
    parser.add_argument("potential", help="emt, lj, 7net-0, 7net-l3i5 or chgnet")
    parser.add_argument("socket", type=Path, help="path of the Unix socket to make")
    arguments = parser.parse_args()
    try:
        serve(arguments.potential, arguments.socket)
    except (ConfigError, PotentialError, OSError) as error:
        sys.exit(f"mock-vasp-serve: {error}")
    except KeyboardInterrupt:
        sys.exit(130)
