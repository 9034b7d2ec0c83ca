"""Pages that are drawn once, and again when what they are drawn from has changed."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse

from niobe.loop.documents.rounds import CampaignRecord, RoundRecord
from niobe.loop.store.database import Database

_MOST = 12
"""Pages of at most 2 MB that are held."""


_JUST_NOW = timedelta(seconds=3)
"""Records hold the second in which they were written, by some clock: more may come in the newest."""


def state_of(
    database: Database, campaign: CampaignRecord, rounds: Sequence[RoundRecord]
) -> tuple[Hashable, ...] | None:
    """Changes with the campaign, its rounds and any of its records; None where some were just written, or
    none says when.

    database: the campaign database. campaign: the record. rounds: those that are shown.
    """
    count, newest = database.search.changed(campaign.id)
    if count and (newest is None or datetime.now(UTC) - newest < _JUST_NOW):
        return None
    told = (record.model_dump_json() for record in rounds)
    return campaign.model_dump_json(), count, newest, *told


class KeptPages:
    """The pages that were asked for last, each by its name and the state that it shows."""

    def __init__(self) -> None:
        self._pages: OrderedDict[Hashable, tuple[Hashable, bytes]] = OrderedDict()
        self._lock = threading.Lock()

    def page(self, name: Hashable, state: Hashable | None, draw: Callable[[], HTMLResponse]) -> HTMLResponse:
        """The page as it was drawn of this state, or drawn anew.

        name: which page, with all that was asked of it. state: changes with whatever it is drawn from; None
        where that is not known. draw: called where that page was not drawn of that state.
        """
        if state is None:
            return draw()
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
