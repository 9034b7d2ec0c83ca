"""Connections that do not get to the point: closed after a while, or at once where others need the room.

uvicorn waits without end for a request that was never sent, or only by half, and counts such connections
against its limit, so that a few hundred of them shut everybody out.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 200
PATIENCE_SECONDS = 10.0


class ImpatientProtocol(H11Protocol):
    """HTTP/1.1 whose clients have ``PATIENCE_SECONDS`` to send a whole request.

    Above ``MOST_CONNECTIONS`` the one that has kept the server waiting longest is closed for the new one.
    """

    waiting_since: float | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """See asyncio.Protocol."""
        super().connection_made(transport)
        self._wait()
        if len(self.connections) > MOST_CONNECTIONS:
            _make_room([one for one in self.connections if isinstance(one, ImpatientProtocol)])

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        super().data_received(data)
        if self.cycle is not None and not self.cycle.more_body and not self.cycle.response_complete:
            self._stop_waiting()
        elif self.waiting_since is None:
            self._wait()

    def on_response_complete(self) -> None:
        """See H11Protocol."""
        super().on_response_complete()
        if not self.transport.is_closing() and self.waiting_since is None:
            self._wait()

    def shed(self) -> None:
        """Close it, whatever was sent so far."""
        self._stop_waiting()
        self.transport.abort()

    def _wait(self) -> None:
        self.waiting_since = self.loop.time()
        self._timer = self.loop.call_later(PATIENCE_SECONDS, self.shed)

    def _stop_waiting(self) -> None:
        self.waiting_since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _make_room(connections: list[ImpatientProtocol]) -> None:
    """Close the connection that has waited longest: where all others are at work, the one that just came."""
    waiting = [one for one in connections if one.waiting_since is not None]
    min(waiting, key=lambda one: one.waiting_since or 0.0).shed()
