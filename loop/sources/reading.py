"""One way to read any source of a campaign, whatever its kind."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from niobe.config.errors import ConfigError
from niobe.config.spec import Source
from niobe.loop.documents.entries import Found
from niobe.loop.sources import files, icsd, materials_project, niobe, optimade
from niobe.loop.sources.paging import Document, Fetched, fetch
from niobe.loop.sources.web import RetryPolicy, Web

OQMD = "https://oqmd.org/optimade"
_LICENCES = {
    "mp": "CC BY 4.0 (Materials Project)",
    "oqmd": "CC BY 4.0 (OQMD)",
    "icsd": "FIZ Karlsruhe, licensed: not to be passed on",
}
NOT_STATED = "not stated"


@dataclass
class Reading:
    """What a source gives: structures and lines about what could not be read.

    partial: why it may not be all, "" where it is.
    """

    items: Iterable[Found | str]
    url: str
    licence: str
    partial: str = ""
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class ReadOptions:
    """How sources are read: where pages are kept, how patiently, whether anew, and who hears of progress."""

    home: Path
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    refresh: bool = False
    tick: Callable[[int, int | None], None] = lambda count, total: None
    say: Callable[[str], None] = lambda line: None


def read_source(source: Source, elements: Sequence[str], options: ReadOptions) -> Reading:
    """Read a source as far as it can be read now.

    elements: symbols. options: how it is read.
    Raises ConfigError for a wrong filter, a missing path, key or element list.
    """
    licence = source.licence or _LICENCES.get(source.kind, NOT_STATED)
    if source.kind == "files":
        return Reading(files.read(Path(source.at), source.name), source.at, licence)
    if source.kind == "icsd":
        return Reading(icsd.read(Path(source.at)), source.at, licence)
    if source.kind == "niobe" and "://" not in source.at:
        return Reading(niobe.read(Path(source.at)), source.at, licence)
    if source.kind == "mp":
        return _materials_project(source, elements, options, licence)
    return _optimade(source, elements, options, licence)


def _materials_project(
    source: Source, elements: Sequence[str], options: ReadOptions, licence: str
) -> Reading:
    _require_elements(source, elements)
    query = materials_project.SummaryQuery(source.at, elements)
    web = Web(options.retry_policy, materials_project.key_header(), options.say)
    fetched = _fetch(query, source, options, web)
    url = source.at or materials_project.BASE
    return _reading(fetched, materials_project.found, url, licence)


def _optimade(source: Source, elements: Sequence[str], options: ReadOptions, licence: str) -> Reading:
    if not source.filter:
        _require_elements(source, elements)
    base = source.at or OQMD
    query = optimade.OptimadeQuery(base, source.filter or optimade.subsystems_filter(elements))
    return _reading(
        _fetch(query, source, options, Web(options.retry_policy, say=options.say)),
        optimade.found,
        base,
        licence,
    )


def _fetch(
    query: optimade.OptimadeQuery | materials_project.SummaryQuery,
    source: Source,
    options: ReadOptions,
    web: Web,
) -> Fetched:
    home = options.home / source.name
    return fetch(query, home, web, most=source.most, refresh=options.refresh, tick=options.tick)


def _reading(fetched: Fetched, found: Callable[[Document], Found], url: str, licence: str) -> Reading:
    items = _parsed(fetched.entries(), found)
    return Reading(items, url, licence, partial=fetched.partial, notes=fetched.notes)


def _parsed(entries: Iterable[Document], found: Callable[[Document], Found]) -> Iterator[Found | str]:
    for entry in entries:
        try:
            yield found(entry)
        except Exception as error:  # noqa: BLE001 - models raise anything for what others serve; it is reported
            name = " ".join(str(entry.get("id", entry.get("material_id"))).split())[:80]
            yield f"{name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"


def _require_elements(source: Source, elements: Sequence[str]) -> None:
    if not elements:
        raise ConfigError(f"source {source.name}: name elements (--elements Nb,O) or an OPTIMADE filter")
