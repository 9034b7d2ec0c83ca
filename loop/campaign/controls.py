"""What a campaign's controls say of how much it gains, with those of all campaigns of the database."""

from __future__ import annotations

from niobe.loop.campaign.acceleration import Arms, Calls, more_controls, pooled_ratio
from niobe.loop.documents.durations import duration
from niobe.loop.store.database import Database
from niobe.loop.store.shared import calls_of, seconds_a_call

_WIDEST = 5.0
"""Between the ends of an acceleration's 90 % interval, above which none is given."""


def acceleration(database: Database, campaign: str) -> str:
    """How much more often a chosen candidate was a find than one drawn at random, in words.

    database: the campaign database. campaign: its id.
    """
    names = [known.id for known in database.campaigns.find() if known.id != campaign]
    chosen, controls = (Calls(*calls_of(database, campaign, kind)) for kind in ("acquired", "control"))
    elsewhere = [Calls(*calls_of(database, name, "control")) for name in names]
    return acceleration_text(Arms(chosen, controls, elsewhere, seconds_a_call(database, campaign)))


def acceleration_text(arms: Arms) -> str:
    """The acceleration with its interval, or that controls are too few for one; and what more would cost.

    Too few: the ends of the 90 % interval are more than a factor 5 apart.
    """
    chosen, pooled = arms.chosen, arms.pooled
    elsewhere = any(one.calls for one in arms.elsewhere)
    campaigns = sum(one.calls > 0 for one in [arms.controls, *arms.elsewhere])
    where = f" in {campaigns} campaign{'' if campaigns == 1 else 's'}" if elsewhere else ""
    counts = f"{chosen.hits} of {chosen.calls} chosen, {pooled.hits} of {pooled.calls} drawn at random{where}"
    if not chosen.calls or not pooled.calls:
        return f"acceleration unknown: {counts}"
    ratio = pooled_ratio(arms)
    if ratio.high > _WIDEST * ratio.low:
        return f"not enough controls for an acceleration: {counts}{_cost(arms, _WIDEST)}"
    shown = f"acceleration {ratio.value:.1f}× (90 % between {ratio.low:.1f}× and {ratio.high:.1f}×)"
    return f"{shown}: {counts}{_cost(arms, (ratio.high / ratio.low) ** 0.5)}"


def _cost(arms: Arms, within: float) -> str:
    """What it would cost to know the acceleration within a factor, in words."""
    more = more_controls(arms, within)
    known = f"a factor {within:.1f} between the ends of the interval"
    if more is None:
        return f"; no number of controls gives {known}: too little was chosen"
    if more == 0:
        return ""
    time = "" if arms.seconds is None else f", about {duration(more * arms.seconds)} of the oracle,"
    return f"; {more} more controls{time} would give {known}"
