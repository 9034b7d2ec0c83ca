"""Pages of a campaign: its state, live; its rounds; its hull."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

import anyio
from fastapi import APIRouter, HTTPException, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sse_starlette import EventSourceResponse, ServerSentEvent

from niobe.config.home import resolved
from niobe.config.settings import Settings
from niobe.launchers.output.notebook import campaign_notebook
from niobe.launchers.output.tables import hull_sources, hull_systems, status_row
from niobe.launchers.pages import hull_plots, plots, views
from niobe.launchers.pages.hull_points import kind_of
from niobe.launchers.pages.rendering import render
from niobe.launchers.pages.routes.kept import Kept, state_of
from niobe.launchers.pages.routes.shared import Allowed, Campaign, Db, Form, page, spec_of
from niobe.launchers.pages.server.access import Access
from niobe.launchers.pages.style import Plot
from niobe.loop.campaign.controls import acceleration
from niobe.loop.documents.records import Status
from niobe.loop.documents.rounds import CampaignRecord, CampaignState, RoundRecord
from niobe.loop.documents.tiers import headline
from niobe.loop.goals.pareto import objectives
from niobe.loop.store.database import Database

router = APIRouter()
_LOOK_EVERY = 1.0
_NEAREST = 25
_MOST_POINTS = 500
_SECONDS = 10.0
Number = Annotated[int | None, Query(ge=0, le=10**6)]


@router.get("/", response_class=HTMLResponse)
def campaigns(database: Db, access: Allowed) -> HTMLResponse:
    """All campaigns of the database."""
    rows = [status_row(database, campaign) for campaign in database.campaigns.find()]
    return page("campaigns.html", access, rows=rows)


@router.get("/campaigns/{campaign}", response_class=HTMLResponse)
def campaign(database: Db, access: Allowed, campaign: Campaign) -> HTMLResponse:
    """State and progress of the running round, budget, discoveries, failures by cause.

    database: the campaign database. access: who may read and steer. campaign: its id.
    """
    rounds = database.rounds.find(campaign.id)
    found = database.records.discovered(campaign.id)
    current = [record for record in found if record.verdict and record.verdict.discovery]
    known = database.records.find(campaign.id, verdict__rediscovered=True)
    return page(
        "campaign.html",
        access,
        name="campaign",
        campaign=campaign,
        spec=spec_of(campaign),
        s=views.snapshot(database, campaign, rounds),
        headline=headline([*current, *known]),
        rediscovered=known,
        acceleration=acceleration(database, campaign.id),
        discoveries=sorted(current, key=lambda r: r.verdict.e_above_hull_now if r.verdict else 0.0),
        displaced=[record for record in found if record not in current],
        discovery_plot=plots.discovery_figure(found, rounds),
        pareto=_pareto(database, campaign),
        failures=views.failures(rounds),
        seconds=sum(sum(r.metrics.seconds.values()) for r in rounds),
    )


def _pareto(database: Database, campaign: CampaignRecord) -> Plot | None:
    """Results in the campaign's objectives; None for one that has none."""
    spec = spec_of(campaign)
    if not objectives(spec):
        return None
    return plots.pareto_figure(database.records.find(campaign.id, status=Status.VALIDATED.value), spec)


@router.get("/campaigns/{campaign}/notebook")
def notebook(campaign: Campaign) -> Response:
    """A notebook that opens the campaign where its database is.

    campaign: its id.
    """
    spec, settings = spec_of(campaign), Settings()
    home = {} if settings.real_mongo else {"NIOBE_HOME": str(resolved(settings.home))}
    place = home | {"NIOBE_DATABASE": settings.database}
    text = campaign_notebook(campaign.id, spec.chemsys, spec.oracle.name, place)
    headers = {"content-disposition": f'attachment; filename="{campaign.id}.ipynb"'}
    return Response(text, media_type="application/x-ipynb+json", headers=headers)


@router.get("/campaigns/{campaign}/events")
async def events(request: Request, database: Db, campaign: Campaign) -> EventSourceResponse:
    """The progress of a campaign as server-sent events, whenever it changes, until it ends.

    request: what is asked for. database: the campaign database.
    """
    return EventSourceResponse(_changes(request, database, campaign.id), ping=15)


async def _changes(request: Request, database: Database, campaign: str) -> AsyncIterator[ServerSentEvent]:
    last = ""
    while not await request.is_disconnected():
        html, ended = await run_in_threadpool(_progress, database, campaign)
        if html != last:
            last = html
            yield ServerSentEvent(event="progress", data=json.dumps(html))
        if ended:
            yield ServerSentEvent(event="ended", data="")
            return
        await anyio.sleep(_LOOK_EVERY)


def _progress(database: Database, campaign: str) -> tuple[str, bool]:
    found = database.campaigns.find_one(campaign)
    if found is None:
        return "", True
    state = views.snapshot(database, found, database.rounds.find(campaign))
    return render("live.html", s=state), state["state"] != CampaignState.RUNNING


@router.post("/campaigns/{campaign}/stop")
def stop(database: Db, campaign: Campaign, fields: Form) -> RedirectResponse:
    """Stop a campaign after the round that is running, or let it go on.

    database: the campaign database. fields: of the form.
    """
    database.campaigns.update(campaign.id, stop=fields.get("undo") != "yes")
    return RedirectResponse(f"/campaigns/{campaign.id}", 303)


@router.get("/campaigns/{campaign}/rounds", response_class=HTMLResponse)
def rounds(
    database: Db,
    access: Allowed,
    kept: Kept,
    campaign: Campaign,
    before: Number = None,
    after: Number = None,
) -> HTMLResponse:
    """Each round's counts, rates and errors, and the difference of two of them; drawn again when a round or
    a record has changed.

    database: the campaign database. access: who may read and steer. kept: pages drawn before. campaign: its
    id. before: rounds below this number. after: rounds above this number.
    """
    found = database.rounds.find(campaign.id)
    state = state_of(database, campaign, found)
    asked = "rounds", campaign.id, before, after
    return kept.page(asked, state, lambda: _rounds(database, access, campaign, found, before, after))


def _rounds(
    database: Database,
    access: Access,
    campaign: CampaignRecord,
    found: list[RoundRecord],
    before: int | None,
    after: int | None,
) -> HTMLResponse:
    judged = database.search.newest(campaign.id, limit=_MOST_POINTS, seconds=_SECONDS)
    return page(
        "rounds.html",
        access,
        name="rounds",
        campaign=campaign,
        rounds=found,
        acceleration=acceleration(database, campaign.id),
        parity=plots.parity_figure(judged),
        learning=plots.learning_figure(found),
        rates=plots.rate_figure(found),
        funnel=plots.funnel_figure(found),
        times=plots.time_figure(found),
        diversity=plots.diversity_figure(found) if any(r.metrics.diversity for r in found) else None,
        notes=[(r.number, note) for r in found for note in r.notes],
        rejected=views.rejected_rows(found),
        **_compared(database, campaign.id, found, before, after),
    )


def _compared(
    database: Database, campaign: str, found: list[RoundRecord], before: int | None, after: int | None
) -> dict[str, Any]:
    """The two rounds to compare, the last two unless named, and their difference."""
    if len(found) < 2:
        return {"before": None, "after": None, "difference": None}
    before = found[-2].number if before is None else before
    after = found[-1].number if after is None else after
    by_number = {record.number: record for record in found}
    missing = [number for number in (before, after) if number not in by_number]
    if missing:
        raise HTTPException(404, f"campaign {campaign!r} has no round {missing[0]}")
    hulls = [hull for n in (before, after) if (hull := database.hulls.get(campaign, n))]
    changes = views.difference(by_number[before], by_number[after], hulls)
    return {"before": before, "after": after, "difference": changes}


@router.get("/campaigns/{campaign}/hull", response_class=HTMLResponse)
def hull(database: Db, access: Allowed, kept: Kept, campaign: Campaign) -> HTMLResponse:
    """The convex hull of each round, and what lies on it or nearest to it; drawn again when a
    round has closed or a record has changed.

    database: the campaign database. access: who may read and steer. kept: pages drawn before. campaign: its
    id.
    """
    last = database.rounds.last_closed(campaign.id)
    state = state_of(database, campaign, [last] if last else [])
    return kept.page(("hull", campaign.id), state, lambda: _hull(database, access, campaign))


def _hull(database: Database, access: Access, campaign: CampaignRecord) -> HTMLResponse:
    spec, hulls = spec_of(campaign), database.hulls.some(campaign.id, hull_plots.MOST_FRAMES)
    known = [
        *database.records.light(campaign.id, round=0, status=Status.VALIDATED.value),
        *database.records.discovered(campaign.id),
    ]
    by_id = {record.id: record for record in known}
    nearest = sorted(hulls[-1].entries, key=lambda e: e.e_above_hull)[:_NEAREST] if hulls else []
    return page(
        "hull.html",
        access,
        name="hull",
        campaign=campaign,
        spec=spec,
        hulls=hulls,
        sources=hull_sources(hulls[-1]) if hulls else [],
        systems=hull_systems(hulls[-1]) if hulls else [],
        figure=hull_plots.hull_figure(hulls, known, spec.elements),
        nearest=[(e, kind_of(by_id.get(e.record_id), hulls[-1].round)) for e in nearest],
    )
