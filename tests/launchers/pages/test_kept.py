"""Pages are drawn once, and again when what they show has changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
    written = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    database.mongo["structures"].update_many({}, {"$set": {"modified": written}})
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


def test_a_record_that_came_went_or_changed_is_seen(
    database: Database, mongo_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Although no round changed: not within the seconds in which more may be written unnoticed."""
    fill(database)
    long_ago = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    structures = database.mongo["structures"]
    structures.update_many({}, {"$set": {"modified": long_ago}})
    with served(database, mongo_uri) as address, httpx.Client(base_url=f"{address}/campaigns/t") as client:
        drawn = [0]

        def counted(template: str, access: Access, **values: Any) -> HTMLResponse:
            drawn[0] += 1
            return page(template, access, **values)

        monkeypatch.setattr(campaigns, "page", counted)

        def anew(name: str) -> int:
            before = drawn[0]
            client.get(name)
            return drawn[0] - before

        first = database.records.find("t")[0]
        for name in ("/rounds", "/hull"):
            assert [anew(name), anew(name)] == [1, 0]
        structures.update_one({"_id": first.id}, {"$set": {"modified": long_ago + timedelta(seconds=1)}})
        assert [[anew(name), anew(name)] for name in ("/rounds", "/hull")] == [[1, 0], [1, 0]]
        kept = structures.find_one_and_delete({"_id": first.id})
        assert [[anew(name), anew(name)] for name in ("/rounds", "/hull")] == [[1, 0], [1, 0]]
        assert kept is not None
        structures.insert_one(kept | {"modified": datetime.now(UTC) + timedelta(hours=1)})
        assert [[anew(name), anew(name)] for name in ("/rounds", "/hull")] == [[1, 1], [1, 1]]
