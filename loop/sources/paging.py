"""Reading a paged source to its end, with every page on disk, so that it goes on where it was."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from pydantic import BaseModel

from niobe.loop.sources.web import SourceError, Web, origin

Document = dict[str, Any]


class Page(BaseModel):
    """Entries with an id each, the next page's address, how many entries the source says it has, and whether
    it says that there are more.
    """

    ids: list[str]
    entries: list[Document]
    next: str | None
    total: int | None
    more: bool = False


class Query(Protocol):
    """A question to a paged source: its first address, and how an answer is read."""

    first: str

    def page(self, url: str, answer: Document) -> Page:
        """Raises ValueError where the answer has not the shape it should have."""


@dataclass
class Fetched:
    """What was read, page by page on disk; ``partial`` says why it may not be all, "" where it is."""

    folder: Path
    count: int = 0
    total: int | None = None
    partial: str = ""
    notes: list[str] = field(default_factory=list)

    def entries(self) -> Iterator[Document]:
        """Every entry once, one page in memory at a time."""
        for page in _stored(self.folder):
            yield from page.entries


def fetch(
    query: Query,
    home: Path,
    web: Web,
    *,
    most: int | None = None,
    refresh: bool = False,
    tick: Callable[[int, int | None], None] = lambda count, total: None,
) -> Fetched:
    """Read a source from where it was left, or what is stored of it where it is complete.

    What was read completely is not asked for again, unless ``refresh``. A source that changed while it was
    read, pages without end, and errors make it partial.

    query: pages and what they hold. home: where pages are kept. web: who is asked. most: entries at most.
    tick: called with what is being done.
    """
    folder = home / hashlib.sha256(query.first.encode()).hexdigest()[:12]
    if refresh or _ended_short(folder):
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    progress, fetched = _Progress.of(folder), Fetched(folder)
    while progress.pages == 0 or progress.next is not None:
        if most is not None and len(progress.seen) >= most:
            fetched.notes.append(f"stopped at the {most} entries asked for")
            break
        try:
            page = _next_page(query, web, progress)
        except (SourceError, ValueError) as error:
            fetched.partial = str(error)
            break
        _write(folder / f"{progress.pages:06d}.json", page)
        progress.add(page)
        tick(len(progress.seen), page.total)
    else:
        fetched.partial, fetched.notes = progress.judge()
    fetched.count, fetched.total = len(progress.seen), progress.totals[-1] if progress.totals else None
    return fetched


def _next_page(query: Query, web: Web, progress: _Progress) -> Page:
    """What is new on the next page. Raises SourceError, or ValueError where it should not be read."""
    url = progress.next or query.first
    page = query.page(url, web.json(url))
    _require_same_server(query, page)
    fresh: dict[str, Document] = {}
    for identifier, entry in zip(page.ids, page.entries, strict=True):
        if identifier not in progress.seen:
            fresh.setdefault(identifier, entry)
    if not fresh and page.next is not None:
        raise ValueError(f"paging does not end: page {progress.pages + 1} brought nothing new")
    return page.model_copy(update={"ids": list(fresh), "entries": list(fresh.values())})


@dataclass
class _Progress:
    """What the pages read so far amount to."""

    pages: int = 0
    seen: set[str] = field(default_factory=set)
    totals: list[int] = field(default_factory=list)
    next: str | None = None
    more: bool = False

    @classmethod
    def of(cls, folder: Path) -> _Progress:
        progress = cls()
        for page in _stored(folder):
            progress.add(page)
        return progress

    def add(self, page: Page) -> None:
        self.pages += 1
        self.seen |= set(page.ids)
        self.totals += [] if page.total is None else [page.total]
        self.next, self.more = page.next, page.more

    def judge(self) -> tuple[str, list[str]]:
        """Why the whole may not be there, or "", and notes; asked when the last page was read."""
        count = len(self.seen)
        if len(set(self.totals)) > 1:
            return f"the source changed while it was read ({self.totals[0]} -> {self.totals[-1]} entries)", []
        if self.more:
            return f"{count} entries: the source says that there are more, and not where", []
        if self.totals and count < self.totals[-1]:
            return f"{count} of {self.totals[-1]} entries: the pages ended early", []
        if self.totals and count > self.totals[-1]:
            return "", [f"{count} entries where the source says {self.totals[-1]}"]
        return "", []


def _ended_short(folder: Path) -> bool:
    """Whether the last page was read but not all entries: only reading from the start can help."""
    progress = _Progress.of(folder)
    return progress.pages > 0 and progress.next is None and bool(progress.judge()[0])


def _require_same_server(query: Query, page: Page) -> None:
    there = page.next or query.first
    if origin(query.first) != origin(there):
        raise ValueError(f"the next page is on another host or port, {urlsplit(there).netloc[:100]}")


def _stored(folder: Path) -> Iterator[Page]:
    for file in sorted(folder.glob("*.json")):
        yield Page.model_validate(json.loads(file.read_text(encoding="utf-8")))


def _write(file: Path, page: Page) -> None:
    scratch = file.with_suffix(".part")
    scratch.write_text(page.model_dump_json(), encoding="utf-8")
    os.replace(scratch, file)  # noqa: PTH105
