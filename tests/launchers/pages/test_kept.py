"""Pages are drawn once, and again when what they show has changed."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi.responses import HTMLResponse

from niobe.launchers.pages.routes import campaigns
from niobe.launchers.pages.routes.shared import page
from niobe.launchers.pages.server.access import Access
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import fill, served


def test_rounds_and_hull_are_drawn_again_when_what_they_show_changed(
    database: Database, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(database)
    drawn: list[str] = []

    def counted(template: str, access: Access, **values: Any) -> HTMLResponse:
        drawn.append(template)
        return page(template, access, **values)

    monkeypatch.setattr(campaigns, "page", counted)
    with served(database, mongo_uri) as address, httpx.Client(base_url=f"{address}/campaigns/t") as client:
        before = {name: [client.get(name).text for _ in range(2)] for name in ("/rounds", "/hull")}
        assert sorted(drawn) == ["hull.html", "rounds.html"]
        assert all(first == second for first, second in before.values())
        database.rounds.add_notes("t", 2, ["noted since"])
        assert "noted since" in client.get("/rounds").text
        assert client.get("/rounds", params={"before": 0, "after": 1}).text != client.get("/rounds").text
        hull = database.hulls.last("t")
        assert hull is not None and hull.round == 1
        database.hulls.store(hull.model_copy(update={"round": 2}))
        database.rounds.update("t", 2, state="closed", closed_at="now")
        assert client.get("/hull").text != before["/hull"][0]
