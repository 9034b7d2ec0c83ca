"""The table of structures: filter, sort, an expert's query, a page at a time; CSV and JSON of the same."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import Field

from niobe.config.errors import ConfigError
from niobe.launchers.output.summary import as_cell, summary
from niobe.launchers.pages.routes.shared import Allowed, Campaign, Db, page, spec_of
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.rounds import CampaignRecord
from niobe.loop.store.database import Database
from niobe.loop.store.queries import SORT_FIELDS, Filter, SortKey, sorted_query

router = APIRouter()
_PAGE, _CHUNK = 50, 500
_SECONDS = 2.0
_GENERATORS = (
    "gan",
    "random",
    "prototype",
    "substitution",
    "offspring",
    "soft_mode",
    "reference",
    "displaced",
    "file",
)
_FROM_THE_START = {"round", "formula", "n_atoms"}
_LABELS = {"n_atoms": "atoms", "e_above_hull": "energy above hull", "frequency": "lowest frequency"}


class TableQuery(Filter):
    """The form of the table: filter, order and page (50 a page)."""

    sort: SortKey = "e_above_hull"
    order: Literal["up", "down"] = "up"
    page: Annotated[int, Field(ge=1, le=10**6)] = 1

    def asked(self, campaign: CampaignRecord) -> dict[str, Any]:
        """Query and order for the database. Raises ConfigError for a query that is refused."""
        query = sorted_query(self.to_query(spec_of(campaign).elements), self.sort)
        return {"query": query, "sort": (SORT_FIELDS[self.sort], 1 if self.order == "up" else -1)}

    def address(self, **changes: Any) -> str:
        """The same question as a query string, without what is as by default."""
        return urlencode(self.model_copy(update=changes).model_dump(mode="json", exclude_defaults=True))


Asked = Annotated[TableQuery, Query()]


@router.get("/campaigns/{campaign}/table", response_class=HTMLResponse)
def table(database: Db, access: Allowed, campaign: Campaign, asked: Asked) -> HTMLResponse:
    """Structures of a campaign, 50 at a time.

    database: the campaign database. access: who may read and steer. asked: filters, order and page.
    """
    error, total, records = "", 0, list[StructureRecord]()
    try:
        question = asked.asked(campaign)
        total = database.search.count(
            campaign.id, question["query"], indexed=question["sort"][0], seconds=_SECONDS
        )
        records = database.search.page(
            campaign.id, **question, skip=_PAGE * (asked.page - 1), limit=_PAGE, seconds=_SECONDS
        )
    except ConfigError as refused:
        error = str(refused)
    pages = max(1, -(-total // _PAGE))
    return page(
        "table.html",
        access,
        name="table",
        campaign=campaign,
        spec=spec_of(campaign),
        f=asked,
        sort=asked.sort,
        order=asked.order,
        sorts=tuple(SORT_FIELDS),
        labels={key: _LABELS.get(key, key.replace("_", " ")) for key in SORT_FIELDS},
        sorted_by_value=asked.sort not in _FROM_THE_START,
        statuses=[status.value for status in Status],
        generators=_GENERATORS,
        seconds=_SECONDS,
        error=error,
        total=total,
        records=records,
        first=_PAGE * (asked.page - 1) + 1,
        last=_PAGE * (asked.page - 1) + len(records),
        number_of_page=asked.page,
        pages=pages,
        previous=asked.address(page=asked.page - 1) if asked.page > 1 else "",
        next=asked.address(page=asked.page + 1) if asked.page < pages else "",
        address=asked.address(page=1),
    )


@router.get("/campaigns/{campaign}/table.csv")
def table_csv(database: Db, campaign: Campaign, asked: Asked) -> StreamingResponse:
    """All that the table would show on all its pages, as CSV.

    database: the campaign database. campaign: its id. asked: filters, order and page.
    """
    rows = _rows(database, campaign, asked)
    return _file(_csv_lines(rows), f"{campaign.id}.csv", "text/csv; charset=utf-8")


@router.get("/campaigns/{campaign}/table.json")
def table_json(database: Db, campaign: Campaign, asked: Asked) -> StreamingResponse:
    """All that the table would show on all its pages, as JSON.

    database: the campaign database. campaign: its id. asked: filters, order and page.
    """
    rows = _rows(database, campaign, asked)
    return _file(_json_lines(rows), f"{campaign.id}.json", "application/json")


def _file(lines: Iterator[str], name: str, kind: str) -> StreamingResponse:
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(lines, media_type=kind, headers=headers)


def _rows(database: Database, campaign: CampaignRecord, asked: TableQuery) -> Iterator[dict[str, Any]]:
    """Summaries of all that matches; the first are asked for at once, so that a refusal is an answer."""
    question, names = asked.asked(campaign), [goal.name for goal in spec_of(campaign).goals]

    def chunk(skip: int) -> list[StructureRecord]:
        return database.search.page(campaign.id, **question, skip=skip, limit=_CHUNK, seconds=5 * _SECONDS)

    first = chunk(0)

    def rows() -> Iterator[dict[str, Any]]:
        records, skip = first, 0
        while records:
            yield from (summary(record, names) for record in records)
            skip += _CHUNK
            records = chunk(skip) if len(records) == _CHUNK else []

    return rows()


def _csv_lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    for index, row in enumerate(rows):
        if index == 0:
            writer.writerow(row)
        writer.writerow(map(as_cell, row.values()))
        yield buffer.getvalue()
        buffer.seek(0)
        buffer.truncate()


def _json_lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    yield "["
    for index, row in enumerate(rows):
        yield (",\n" if index else "\n") + json.dumps(row)
    yield "\n]\n"
