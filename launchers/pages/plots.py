"""Every plot of reports and pages but the hull, from plain records.

``customdata`` of a point is the id of its structure record, where a click leads.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from niobe.config.spec import CampaignSpec
from niobe.launchers.output.goals import units
from niobe.launchers.pages.style import (
    ABOVE,
    ACCENT,
    FAINT,
    GRID,
    MUTED,
    SERIES,
    UNSTABLE,
    Attributes,
    Plot,
    styled,
    x_axis,
    y_axis,
)
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import PhononRecord, RoundRecord, step_and_batch
from niobe.loop.goals.pareto import front, highest_above, in_ranges, measured, objectives, values

_INTERVAL_90 = 1.645
_SECOND = {"xaxis": "x2", "yaxis": "y2"}
"""Where a trace stands that is drawn on the second pair of axes."""


def discovery_figure(records: Iterable[StructureRecord], rounds: Sequence[RoundRecord]) -> Plot:
    """Discoveries found, displaced ones too, against validations asked for; a line where a round ended."""
    hits = {r.id for r in records if r.verdict and r.verdict.discovery_round is not None}
    batches = [identifier for closed in rounds if closed.number > 0 for identifier in closed.batch]
    curve = [0, *accumulate(int(identifier in hits) for identifier in batches)]
    line = {"color": ACCENT, "shape": "hv", "width": 2}
    trace = {"type": "scatter", "x": list(range(len(curve))), "y": curve, "mode": "lines", "line": line}
    ends = list(accumulate(len(closed.batch) for closed in rounds if closed.number > 0))
    minor = {"tickvals": ends[:-1], "showgrid": True, "gridcolor": GRID}
    x = x_axis("validations", showgrid=False, minor=minor)
    few = 1 if curve[-1] < 8 else None
    y = y_axis("discoveries ever", rangemode="tozero", tickformat="d", dtick=few)
    return styled([trace], x, y, height=280)


def parity_figure(records: Iterable[StructureRecord]) -> Plot:
    """Predicted against validated formation energy, with 90 % error bars, by round."""
    judged = [(r, pair) for r in records if r.verdict and (pair := _predicted(r)) is not None]
    truth = [r.verdict.formation_energy_per_atom for r, _ in judged if r.verdict]
    ends = [min(truth, default=0.0), max(truth, default=1.0)]
    line = {"color": FAINT, "dash": "dot"}
    traces: list[Attributes] = [
        {"type": "scatter", "x": ends, "y": ends, "mode": "lines", "line": line, "hoverinfo": "skip"}
    ]
    traces[0]["showlegend"] = False
    for number in sorted({r.acquired_round or 0 for r, _ in judged}):
        chosen = [(r, pair) for r, pair in judged if (r.acquired_round or 0) == number]
        error = {
            "array": [_INTERVAL_90 * std for _, (_, std) in chosen],
            "color": FAINT,
            "thickness": 1,
            "width": 0,
        }
        trace = {
            "type": "scatter",
            "x": [r.verdict.formation_energy_per_atom for r, _ in chosen if r.verdict],
            "y": [mean for _, (mean, _) in chosen],
            "error_y": error,
            "mode": "markers",
            "marker": {"size": 8},
            "name": f"round {number}",
            "customdata": [r.id for r, _ in chosen],
            "text": [_named(r) for r, _ in chosen],
        }
        traces.append(trace)
    return styled(traces, "validated formation energy (eV/atom)", "predicted (eV/atom)")


def _named(record: StructureRecord) -> str:
    return f"{record.formula} {record.id}"


def _predicted(record: StructureRecord) -> tuple[float, float] | None:
    value = record.prediction.get("formation_energy_per_atom")
    return None if value is None or value.mean is None or value.std is None else (value.mean, value.std)


def learning_figure(rounds: Sequence[RoundRecord]) -> Plot:
    """Mean absolute error of the surrogate and coverage of its 90 % intervals, against data it had seen."""
    seen = list(accumulate(r.metrics.validated for r in rounds))
    known = [i for i, r in enumerate(rounds) if r.number > 0 and r.metrics.mae is not None]
    shared = {
        "type": "scatter",
        "x": [seen[i - 1] for i in known],
        "text": [f"round {rounds[i].number}" for i in known],
        "mode": "lines+markers",
        "showlegend": False,
    }
    errors = {"y": [rounds[i].metrics.mae for i in known], "marker": {"color": ACCENT}}
    coverages = {"y": [rounds[i].metrics.coverage for i in known], "marker": {"color": UNSTABLE}}
    wanted = {"line": {"color": FAINT, "dash": "dot"}, "xref": "x2 domain", "yref": "y2"}
    return styled(
        [shared | errors, shared | coverages | _SECOND],
        x_axis("", anchor="y", domain=[0.0, 1.0], matches="x2", showticklabels=False),
        y_axis("MAE (eV/atom)", anchor="x", domain=[0.56, 1.0], rangemode="tozero"),
        xaxis2=x_axis("validated structures learned from", anchor="y2", domain=[0.0, 1.0]),
        yaxis2=y_axis("coverage", anchor="x2", domain=[0.0, 0.44], range=[0, 1.05]),
        shapes=[{"type": "line", "x0": 0, "x1": 1, "y0": 0.9, "y1": 0.9, **wanted}],
    )


def funnel_figure(rounds: Sequence[RoundRecord]) -> Plot:
    """What became of each round's candidates: broken, duplicate, kept in the pool."""
    drawn = [r for r in rounds if r.number > 0]
    parts = {
        "kept for ranking": (ACCENT, [r.metrics.screened for r in drawn]),
        "duplicates": (FAINT, [r.metrics.duplicates for r in drawn]),
        "invalid": (UNSTABLE, [r.metrics.invalid for r in drawn]),
    }
    x = x_axis("round", dtick=_each_of_few(len(drawn)))
    return styled(_bars(drawn, parts), x, "candidates", barmode="stack", bargap=0.35)


def _bars(rounds: Sequence[RoundRecord], parts: Mapping[str, tuple[str, Sequence[Any]]]) -> list[Attributes]:
    """Bars over rounds by name, each part a colour and values."""
    x = [r.number for r in rounds]
    return [
        {"type": "bar", "x": x, "y": values, "name": name, "marker": {"color": colour}}
        for name, (colour, values) in parts.items()
    ]


def _each_of_few(count: int) -> int | None:
    """How far apart rounds are named: each where they are few, as plotly.js finds otherwise."""
    return 1 if count <= 20 else None


def rate_figure(rounds: Sequence[RoundRecord]) -> Plot:
    """Share of validations that were discoveries, chosen against drawn at random."""
    drawn = [r for r in rounds if r.number > 0]
    settings = {
        "chosen by acquisition": (ACCENT, [r.metrics.hit_rate for r in drawn]),
        "drawn at random": (FAINT, [r.metrics.control_hit_rate for r in drawn]),
    }
    x = x_axis("round", dtick=_each_of_few(len(drawn)))
    y = y_axis("share that are discoveries", rangemode="tozero", tickformat=".0%")
    return styled(_bars(drawn, settings), x, y, barmode="group", bargap=0.35)


def diversity_figure(rounds: Sequence[RoundRecord]) -> Plot:
    """How varied the GAN's samples were: a fall of the entropies is a collapse."""
    varied = [(r.number, r.metrics.diversity) for r in rounds if r.metrics.diversity]
    traces = [
        {
            "type": "scatter",
            "x": [number for number, _ in varied],
            "y": [getattr(diversity, name) for _, diversity in varied],
            "name": name.replace("_", " "),
            "mode": "lines+markers",
        }
        for name in ("compositions", "space_groups", "sites")
    ]
    x = x_axis("round", dtick=_each_of_few(len(varied)))
    return styled(traces, x, y_axis("entropy (nats)", rangemode="tozero"))


def time_figure(rounds: Sequence[RoundRecord]) -> Plot:
    """Seconds of each round by step, those of all offspring batches together."""
    spent = [_by_step(r.metrics.seconds or r.steps) for r in rounds]
    steps = dict.fromkeys(step for seconds in spent for step in seconds)
    numbers = [f"round {r.number}" for r in rounds]
    traces = [
        {
            "type": "bar",
            "y": numbers,
            "x": [seconds.get(step, 0.0) for seconds in spent],
            "name": step,
            "orientation": "h",
            "marker": {"color": SERIES[index % len(SERIES)]},
        }
        for index, step in enumerate(steps)
    ]
    return styled(
        traces,
        "seconds",
        y_axis("", autorange="reversed", ticks=""),
        height=max(260, 90 + 34 * len(rounds)),
        legend={"traceorder": "normal"},
        barmode="stack",
        bargap=0.35,
    )


def _by_step(seconds: Mapping[str, float]) -> Mapping[str, float]:
    total: defaultdict[str, float] = defaultdict(float)
    for step, spent in seconds.items():
        total[step_and_batch(step)[0].replace("_", " ")] += spent
    return total


def phonon_figure(phonons: PhononRecord, tolerance: float) -> Plot:
    """Phonon bands and their density of states; imaginary frequencies and the verdict line lie below zero."""
    x, y = _band_lines(phonons)
    line = {"color": ACCENT, "width": 1.3}
    bands = {"type": "scatter", "x": x, "y": y, "mode": "lines", "line": line, "hoverinfo": "y"}
    density = {
        "type": "scatter",
        "x": phonons.dos,
        "y": phonons.dos_frequencies,
        "mode": "lines",
        "fill": "tozerox",
        "line": {"color": MUTED, "width": 1.2},
        "fillcolor": "rgba(11,110,153,.12)",
        "hoverinfo": "skip",
    }
    places, labels = [where for where, _ in phonons.ticks], [_tick(label) for _, label in phonons.ticks]
    ticks = {"tickvals": places, "ticktext": labels, "gridcolor": FAINT}
    unnamed = {"showticklabels": False, "ticks": ""}
    return styled(
        [bands, density | _SECOND],
        x_axis("", anchor="y", domain=[0.0, 0.7566], **ticks),
        y_axis("frequency (THz)", anchor="x", domain=[0.0, 1.0]),
        xaxis2=x_axis("DOS", anchor="y2", domain=[0.7866, 1.0], **unnamed),
        yaxis2=y_axis("", anchor="x2", domain=[0.0, 1.0], matches="y", showticklabels=False),
        height=400,
        showlegend=False,
        **_verdict_line(tolerance),
    )


def _verdict_line(tolerance: float) -> Attributes:
    """The frequency below which a crystal is unstable, across the bands."""
    across = {"xref": "x domain", "yref": "y"}
    line = {"color": UNSTABLE, "dash": "dash", "width": 1.5}
    said = {
        "text": f"verdict at −{tolerance:g} THz",
        "font": {"color": UNSTABLE, "size": 12},
        "showarrow": False,
        **{"x": 0, "xanchor": "left", "y": -tolerance, "yanchor": "top"},
    }
    shape = {"type": "line", "x0": 0, "x1": 1, "y0": -tolerance, "y1": -tolerance, "line": line}
    return {"shapes": [shape | across], "annotations": [said | across]}


def _band_lines(phonons: PhononRecord) -> tuple[list[float | None], list[float | None]]:
    """All branches as one line, broken between branches and where the path jumps."""
    bands = np.array(phonons.frequencies)
    distances = np.array(phonons.distances)
    jumps = np.flatnonzero(np.diff(distances) < 1e-9) + 1
    x: list[float | None] = []
    y: list[float | None] = []
    for branch in bands.T:
        for part_x, part_y in zip(np.split(distances, jumps), np.split(branch, jumps), strict=True):
            x += [*part_x.tolist(), None]
            y += [*part_y.round(4).tolist(), None]
    return x, y


def _tick(label: str) -> str:
    plain = re.sub(r"\\mathrm\{([^}]*)\}", r"\1", label.replace("$", "").replace("\\Gamma", "Γ"))
    return re.sub(r"_\{?(\w+)\}?", r"<sub>\1</sub>", plain)


def pareto_figure(records: Sequence[StructureRecord], spec: CampaignSpec) -> Plot:
    """Results in two objectives, and which no other one surpasses in both.

    The first two of the campaign, coloured by energy above the hull, or the only one and that energy. What
    lies outside of a range, or farther above the hull than the reference point, is hollow.
    """
    wanted = objectives(spec)[:2]
    told = measured(records, wanted)
    points, highest = values(told, wanted), highest_above(spec)
    counts = np.array(
        [in_ranges(spec, r) and -p[0] <= highest for r, p in zip(told, points, strict=True)], bool
    )
    x, y = points[:, 1] * wanted[0].sign, -points[:, 0]
    aims = points[:, 1:] if len(wanted) == 2 else points[:, ::-1]
    above, y = y, points[:, 2] * wanted[1].sign if len(wanted) == 2 else y
    best = np.flatnonzero(counts)
    best = best[front(aims[best])] if len(best) else best
    best = best[np.argsort(x[best])]
    surpassing = {"x": x[best].tolist(), "y": y[best].tolist(), "line": {"color": FAINT, "width": 1.5}}
    traces: list[Attributes] = [{"type": "scatter", "mode": "lines", "name": "front", **surpassing}]
    for name, symbol, chosen in _kinds_of(told, counts):
        colours = {"color": above[chosen].tolist(), "coloraxis": "coloraxis"}
        trace = {
            "type": "scatter",
            "x": x[chosen].tolist(),
            "y": y[chosen].tolist(),
            "mode": "markers",
            "name": name,
            "marker": {"size": 9, "symbol": symbol, **colours},
            "customdata": [told[i].id for i in chosen],
            "text": [f"{_named(told[i])}, {above[i]:.3f} eV/atom above the hull" for i in chosen],
        }
        traces.append(trace)
    shown = units(told)
    titles = [f"{goal.name.replace('_', ' ')} ({shown.get(goal.name, '')})" for goal in wanted]
    y_title = [*titles, "energy above hull (eV/atom)"][1]
    return styled(traces, titles[0], y_title, height=420, coloraxis=_colours_above(max(highest, 0.1)))


def _colours_above(highest: float) -> Attributes:
    """Colours of energies above the hull, eV/atom."""
    title = {"text": "above hull<br>(eV/atom)", "font": {"size": 12}}
    bar = {"title": title, "thickness": 12, "outlinewidth": 0}
    return {"colorscale": ABOVE, "cmin": 0, "cmax": highest, "colorbar": bar}


def _kinds_of(
    told: Sequence[StructureRecord], counts: NDArray[np.bool_]
) -> list[tuple[str, str, NDArray[np.int64]]]:
    """Names, symbols and rows of results: what a campaign began with and what it found, in range or not."""
    begun = np.array([record.competing for record in told], dtype=bool)
    kinds = [
        ("found", "circle", ~begun & counts),
        ("found, out of range", "circle-open", ~begun & ~counts),
        ("seeds and competing phases", "diamond", begun & counts),
        ("the same, out of range", "diamond-open", begun & ~counts),
    ]
    return [(name, symbol, np.flatnonzero(rows)) for name, symbol, rows in kinds if rows.any()]
