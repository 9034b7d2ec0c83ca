"""What the routes share: the database and access of the application, pages, forms, lookups."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import Depends, HTTPException, Path, Request
from fastapi.responses import HTMLResponse

from niobe.config.errors import ConfigError
from niobe.config.spec import CAMPAIGN_ID, CampaignSpec
from niobe.launchers.pages.rendering import render
from niobe.launchers.pages.server.access import Access
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import CampaignRecord
from niobe.loop.store.database import Database

_LARGEST_FORM = 10_000


def _database(request: Request) -> Database:
    return request.app.state.database


def _access(request: Request) -> Access:
    return request.app.state.access


Db = Annotated[Database, Depends(_database)]
Allowed = Annotated[Access, Depends(_access)]


def _campaign(database: Db, campaign: Annotated[str, Path(pattern=rf"^{CAMPAIGN_ID}$")]) -> CampaignRecord:
    found = database.campaigns.find_one(campaign)
    if found is None:
        raise HTTPException(404, f"campaign {campaign!r} is not in the database")
    return found


def _record(database: Db, record: Annotated[str, Path(pattern=r"^[0-9a-f]{16}$")]) -> StructureRecord:
    try:
        return database.records.get(record)
    except ConfigError as error:
        raise HTTPException(404, str(error)) from None


Campaign = Annotated[CampaignRecord, Depends(_campaign)]
Record = Annotated[StructureRecord, Depends(_record)]


def page(template: str, access: Access, *, name: str = "", **values: Any) -> HTMLResponse:
    """A page of the application. name: which link of the navigation it is.

    template: by name. access: who may read and steer.
    """
    return HTMLResponse(render(template, page=name, steering=access.steering, **values))


def spec_of(campaign: CampaignRecord) -> CampaignSpec:
    """What a stored campaign was asked to do."""
    return CampaignSpec.model_validate(campaign.spec)


async def form(request: Request) -> dict[str, str]:
    """The fields of a form, the last of each name. Raises 413 where it is larger than any of ours."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LARGEST_FORM:
            raise HTTPException(413, "the form is too large")
    fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=20)
    return {key: values[-1] for key, values in fields.items()}


Form = Annotated[dict[str, str], Depends(form)]
