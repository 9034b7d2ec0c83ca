"""From a source to entries in the database, duplicates grouped; the same source again changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import TypeVar

from niobe.config.spec import Source
from niobe.loop.crystals.grouping import group
from niobe.loop.documents.entries import MOST_SITES, Found, Origin, SourceEntry, new_entry, preference
from niobe.loop.documents.structures import entry_structure
from niobe.loop.novelty.judging import judge_again
from niobe.loop.sources.reading import ReadOptions, read_source
from niobe.loop.store.database import Database
from niobe.loop.store.forgetting import check_source

T = TypeVar("T")
_BATCH, _LONGEST_LINE = 500, 400


@dataclass
class Ingested:
    """What an ingest did. partial: why the source may not be complete, "" where it is."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    set_aside: int = 0
    groups: int = 0
    broken: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    partial: str = ""


def ingest(database: Database, source: Source, elements: Sequence[str], options: ReadOptions) -> Ingested:
    """Read a source, store its entries, and group them with those of all sources.

    database: the campaign database. elements: symbols. options: how it is read.
    Raises ConfigError as read_source does, and where the source is being forgotten.
    """
    check_source(database, source.name)
    reading = read_source(source, elements, options)
    origin = Origin(source.name, reading.url, reading.licence, datetime.now(UTC).strftime("%Y-%m-%d"))
    done = Ingested(partial=reading.partial, notes=reading.notes)
    touched: set[str] = set()
    items = _made_of(reading.items, set(elements), done) if elements else reading.items
    for batch in batched(_entries(origin, islice(items, source.most), done), _BATCH):
        check_source(database, source.name)
        stored = database.entries.store(batch)
        done.new, done.changed = done.new + len(stored.new), done.changed + len(stored.changed)
        done.unchanged += len(batch) - len(stored.new) - len(stored.changed)
        done.set_aside += sum(bool(entry.set_aside) for entry in batch)
        touched |= stored.formulas
        options.tick(done.new + done.changed + done.unchanged, None)
    regroup(database, touched | database.entries.ungrouped_formulas())
    if touched and (again := judge_again(database)):
        done.notes += [f"{again} finds have another verdict of novelty now"]
    done.groups = database.entries.count_groups(source.name)
    return done


def _made_of(items: Iterable[Found | str], elements: set[str], done: Ingested) -> Iterator[Found | str]:
    """Without structures that hold other elements, which are counted in a note."""
    others = 0
    for item in items:
        if isinstance(item, str) or {species.symbol for species in item.structure.composition} <= elements:
            yield item
        else:
            others += 1
    done.notes += [f"{others} entries hold other elements"] if others else []


def _entries(origin: Origin, items: Iterable[Found | str], done: Ingested) -> Iterator[SourceEntry]:
    """Each entry once; what could not be read is named in ``done.broken``."""
    seen: set[str] = set()
    for item in items:
        if isinstance(item, str):
            done.broken.append(_one_line(item))
        elif item.source_id in seen:
            name = _one_line(item.source_id)
            done.broken.append(f"{name}: this id came before; only its first structure is kept")
        else:
            seen.add(item.source_id)
            try:
                yield new_entry(origin, item)
            except Exception as error:  # noqa: BLE001 - a strange structure is one broken entry, named
                done.broken.append(_one_line(f"{item.source_id}: {type(error).__name__}: {error}"))


def _one_line(said: str) -> str:
    """In one line of at most 400 letters: ids and errors of what others serve may hold anything."""
    return " ".join(said.split())[:_LONGEST_LINE]


def regroup(database: Database, formulas: Iterable[str]) -> None:
    """Group the entries of these formulas (OPTIMADE form) anew, over all sources."""
    for batch in batched(sorted(formulas), _BATCH):
        groups: dict[str, str] = {}
        alone, several = database.entries.alone_and_shared(batch)
        groups |= {identifier: identifier for identifier in alone}
        entries = sorted(database.entries.find(formulas=several), key=preference) if several else []
        usable = [entry for entry in entries if not entry.set_aside and entry.n_atoms <= MOST_SITES]
        groups |= {entry.id: entry.id for entry in entries}
        groups |= group((entry.id, entry_structure(entry)) for entry in usable)
        database.entries.store_groups(groups)


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of at most ``size`` items, in order."""
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch
