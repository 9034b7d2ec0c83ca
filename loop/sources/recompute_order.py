"""Which structures of open databases are worth recomputing with the campaign's oracle, and in what order."""

from __future__ import annotations

from collections.abc import Sequence

from niobe.config.spec import CampaignSpec
from niobe.loop.documents.entries import SourceEntry, preference

_UNKNOWN = float("inf")


def to_recompute(spec: CampaignSpec, entries: Sequence[SourceEntry]) -> list[SourceEntry]:
    """At most ``recompute.budget`` entries, one a group, nearest to their own source's hull first.

    A group counts as near as its nearest member says. Those beyond ``recompute.window`` are left out; those
    whose source names no hull come last, the smallest cells first. Set-aside and too large ones are left out.
    """
    usable = [entry for entry in entries if not entry.set_aside and entry.n_atoms <= spec.limits.max_atoms]
    nearest: dict[str, float] = {}
    for entry in entries:
        nearest[entry.group] = min(_above(entry), nearest.get(entry.group, _UNKNOWN))
    chosen: dict[str, SourceEntry] = {}
    for entry in sorted(usable, key=preference):
        chosen.setdefault(entry.group, entry)
    near = [
        entry
        for group, entry in chosen.items()
        if nearest[group] <= spec.recompute.window or nearest[group] == _UNKNOWN
    ]
    near.sort(key=lambda entry: (nearest[entry.group], *preference(entry)))
    return near[: spec.recompute.budget]


def _above(entry: SourceEntry) -> float:
    label = entry.label("e_above_hull")
    return _UNKNOWN if label is None else label.value
