"""How long something took, in words."""

from __future__ import annotations


def duration(seconds: float | None) -> str:
    """Seconds, minutes or hours, whichever reads best; a dash for None."""
    if seconds is None:
        return "–"
    for limit, unit, size in ((90, "s", 1), (5400, "min", 60)):
        if seconds < limit:
            return f"{seconds / size:.{0 if seconds >= 10 else 1}f} {unit}"
    return f"{seconds / 3600:.1f} h"
