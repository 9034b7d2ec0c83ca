"""Ingest with progress: one source by command, or the sources of a campaign before its round 0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from niobe.config.errors import ConfigError
from niobe.config.home import source_pages
from niobe.config.settings import Settings
from niobe.launchers.terminal import console, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from niobe.config.spec import CampaignSpec, Source
    from niobe.loop.sources.ingest import Ingested
    from niobe.loop.store.database import Database

_FIRST = 3


class PartialSourceError(RuntimeError):
    """A source could not be read to its end; the same command goes on from there."""


def ingest_with_progress(
    database: Database, source: Source, elements: Sequence[str], *, refresh: bool = False
) -> Ingested:
    """Ingest one source under a progress bar on stderr. Raises ConfigError as ingest does.

    An optional one is asked once, and not waited for.

    database: the campaign database. elements: symbols. refresh: read everything anew.
    """
    from rich.progress import Progress

    from niobe.loop.sources.ingest import ingest
    from niobe.loop.sources.reading import ReadOptions
    from niobe.loop.sources.web import RetryPolicy

    with Progress(console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(source.name, total=source.most)
        options = ReadOptions(
            source_pages(),
            RetryPolicy(attempts=1, timeout=5.0, total=30.0) if source.optional else RetryPolicy(),
            refresh=refresh,
            tick=lambda count, total: bar.update(task, completed=count, total=total or source.most),
            say=lambda line: bar.console.print(f"{source.name}: {line}"),
        )
        return ingest(database, source, elements, options)


def why_nothing(done: Ingested) -> str:
    """The first lines that say why nothing at all could be read; "" where something was."""
    if not done.broken or done.new or done.changed or done.unchanged or done.notes:
        return ""
    more = len(done.broken) - _FIRST
    return f"nothing could be read: {'; '.join(done.broken[:_FIRST])}" + (
        f"; {more} more" if more > 0 else ""
    )


def ingest_sources(database: Database, spec: CampaignSpec) -> None:
    """Ingest the sources of a campaign unless its seeds are stored. One line says which optional ones could
    not be read to their end.

    Raises PartialSourceError, and ConfigError where nothing at all of a source could be read.
    """
    if any("seed" in record.steps for record in database.rounds.find(spec.id)):
        return
    for source in spec.sources:
        if not source.optional:
            _ingest_all(database, source, spec.elements)
    without = []
    for source in spec.sources if not Settings().offline else ():
        if source.optional:
            done = ingest_with_progress(database, source, spec.elements)
            problem = done.partial or why_nothing(done)
            without += [f"{source.name} ({problem[:200]})"] if problem else []
    if without:
        line = f"sources: not read to the end, the campaign goes on: {'; '.join(without)}"
        console(stderr=True).print(shown(line), markup=False, soft_wrap=True)


def _ingest_all(database: Database, source: Source, elements: Sequence[str]) -> None:
    done = ingest_with_progress(database, source, elements)
    if done.partial:
        raise PartialSourceError(
            f"source {source.name}: {done.partial}; what was read is kept, the same command goes on"
        )
    if nothing := why_nothing(done):
        raise ConfigError(f"source {source.name}: {nothing}")
