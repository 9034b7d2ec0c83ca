"""Pages that are drawn once, and again when what they are drawn from has changed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

_MOST = 12
"""Pages of at most 2 MB that are held."""


class KeptPages:
    """The pages that were asked for last, each by its name and the state that it shows."""

    def __init__(self) -> None:
        self._pages: OrderedDict[Hashable, tuple[Hashable, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, name: Hashable, state: Hashable, draw: Callable[[], HTMLResponse]) -> HTMLResponse:
        """The page as it was drawn of this state, or drawn anew.

        name: which page, with all that was asked of it. state: changes with whatever it is drawn from.
        draw: called where that page was not drawn of that state.
        """
        with self._lock:
            known, body = self._pages.get(name, (None, b""))
        if not body or known != state:
            body = bytes(draw().body)
        with self._lock:
            self._pages[name] = (state, body)
            self._pages.move_to_end(name)
            if len(self._pages) > _MOST:
                self._pages.popitem(last=False)
        return HTMLResponse(body)


def _kept(request: Request) -> KeptPages:
    found: KeptPages = request.app.state.kept
    return found


Kept = Annotated[KeptPages, Depends(_kept)]
