"""The points of a hull: what kind each is, how it is marked, what it says."""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping

from niobe.launchers.pages.style import ACCENT, LOST, SEED, STABLE, Attributes
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import HullEntry, HullRecord

_KINDS = {
    "seed": (SEED, "circle-open", 8),
    "candidate": (ACCENT, "circle", 7),
    "discovery": (STABLE, "star", 14),
    "displaced discovery": (LOST, "star-open", 12),
}


def kind_of(record: StructureRecord | None, round_number: int) -> str:
    """What a validated structure was when a round closed: seed, candidate, discovery, displaced discovery.

    record: the structure record, None where it is not known. round_number: of the round.
    """
    if record is None or record.verdict is None or record.round == 0:
        return "seed" if record is not None and record.round == 0 else "candidate"
    found, lost = record.verdict.discovery_round, record.verdict.displaced_round
    if found is None or found > round_number:
        return "candidate"
    return "displaced discovery" if lost is not None and lost <= round_number else "discovery"


def by_kind(
    hull: HullRecord, known: Mapping[str, StructureRecord], most: int
) -> list[tuple[list[HullEntry], Attributes]]:
    """Entries of each kind, the highest above the hull first, with what their traces share.

    hull: of one round. known: structure records by id. most: entries of a kind, the lowest.
    """
    sorted_out: dict[str, list[HullEntry]] = {kind: [] for kind in _KINDS}
    for entry in hull.entries:
        sorted_out[kind_of(known.get(entry.record_id), hull.round)].append(entry)
    found = []
    for kind, (colour, symbol, size) in _KINDS.items():
        entries = sorted(sorted_out[kind], key=lambda e: -e.e_above_hull)[-most:]
        shared = {
            "name": kind,
            "mode": "markers",
            "customdata": [entry.record_id for entry in entries],
            "text": [_hover(entry) for entry in entries],
            "hoverinfo": "text",
            "marker": {"color": colour, "symbol": symbol, "size": size, "opacity": 0.9},
        }
        found.append((entries, shared))
    return found


def _hover(entry: HullEntry) -> str:
    return (
        f"<b>{subscripts(entry.formula)}</b> {entry.record_id}"
        f"<br>{entry.formation_energy_per_atom:.3f} eV/atom formation"
        f"<br>{entry.e_above_hull:.3f} eV/atom above the hull"
    )


@functools.lru_cache(maxsize=4096)
def subscripts(formula: str) -> str:
    """A formula as plotly shows it, its numbers as subscripts."""
    return re.sub(r"(\d+)", r"<sub>\1</sub>", formula)
