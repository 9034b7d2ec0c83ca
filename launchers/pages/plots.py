"""Every plot of reports and pages but the hull, as plotly figures from plain records.

``customdata`` of a point is the id of its structure record, where a click leads.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.config.spec import CampaignSpec
from niobe.launchers.output.goals import units
from niobe.launchers.pages.style import ABOVE, ACCENT, FAINT, GRID, MUTED, SERIES, UNSTABLE, styled
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import PhononRecord, RoundRecord, step_and_batch
from niobe.loop.goals.pareto import front, highest_above, in_ranges, measured, objectives, values

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_INTERVAL_90 = 1.645


def discovery_figure(records: Iterable[StructureRecord], rounds: Sequence[RoundRecord]) -> Figure:
    """Discoveries found, displaced ones too, against validations asked for; a line where a round ended."""
    from plotly import graph_objects as go

    hits = {r.id for r in records if r.verdict and r.verdict.discovery_round is not None}
    batches = [identifier for closed in rounds if closed.number > 0 for identifier in closed.batch]
    curve = np.concatenate([[0], np.cumsum([identifier in hits for identifier in batches])])
    line = {"color": ACCENT, "shape": "hv", "width": 2}
    figure = go.Figure(go.Scatter(x=np.arange(len(curve)), y=curve, mode="lines", line=line))
    ends = np.cumsum([len(closed.batch) for closed in rounds if closed.number > 0])
    figure.update_xaxes(showgrid=False, minor={"tickvals": ends[:-1], "showgrid": True, "gridcolor": GRID})
    figure.update_yaxes(rangemode="tozero", tickformat="d", dtick=1 if curve[-1] < 8 else None)
    return styled(figure, "validations", "discoveries ever", height=280)


def parity_figure(records: Iterable[StructureRecord]) -> Figure:
    """Predicted against validated formation energy, with 90 % error bars, by round."""
    from plotly import graph_objects as go

    judged = [(r, pair) for r in records if r.verdict and (pair := _predicted(r)) is not None]
    truth = [r.verdict.formation_energy_per_atom for r, _ in judged if r.verdict]
    ends = [min(truth, default=0.0), max(truth, default=1.0)]
    figure = go.Figure(
        go.Scatter(x=ends, y=ends, mode="lines", line={"color": FAINT, "dash": "dot"}, hoverinfo="skip")
    )
    figure.data[0].showlegend = False
    for number in sorted({r.acquired_round or 0 for r, _ in judged}):
        chosen = [(r, pair) for r, pair in judged if (r.acquired_round or 0) == number]
        figure.add_scatter(
            x=[r.verdict.formation_energy_per_atom for r, _ in chosen if r.verdict],
            y=[mean for _, (mean, _) in chosen],
            error_y={
                "array": [_INTERVAL_90 * std for _, (_, std) in chosen],
                "color": FAINT,
                "thickness": 1,
                "width": 0,
            },
            mode="markers",
            marker={"size": 8},
            name=f"round {number}",
            customdata=[r.id for r, _ in chosen],
            text=[f"{r.formula} {r.id}" for r, _ in chosen],
        )
    return styled(figure, "validated formation energy (eV/atom)", "predicted (eV/atom)")


def _predicted(record: StructureRecord) -> tuple[float, float] | None:
    value = record.prediction.get("formation_energy_per_atom")
    return None if value is None or value.mean is None or value.std is None else (value.mean, value.std)


def learning_figure(rounds: Sequence[RoundRecord]) -> Figure:
    """Mean absolute error of the surrogate and coverage of its 90 % intervals, against data it had seen."""
    from plotly.subplots import make_subplots

    seen = np.cumsum([r.metrics.validated for r in rounds])
    known = [i for i, r in enumerate(rounds) if r.number > 0 and r.metrics.mae is not None]
    x = [int(seen[i - 1]) for i in known]
    text = [f"round {rounds[i].number}" for i in known]
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, vertical_spacing=0.12)
    shared = {"x": x, "text": text, "mode": "lines+markers", "showlegend": False}
    figure.add_scatter(y=[rounds[i].metrics.mae for i in known], marker={"color": ACCENT}, **shared)
    figure.add_scatter(
        y=[rounds[i].metrics.coverage for i in known], marker={"color": UNSTABLE}, row=2, col=1, **shared
    )
    figure.add_hline(y=0.9, line={"color": FAINT, "dash": "dot"}, row=2, col=1)
    styled(figure, "", "")
    figure.update_xaxes(title_text="validated structures learned from", row=2, col=1)
    figure.update_yaxes(title_text="MAE (eV/atom)", rangemode="tozero", row=1, col=1)
    figure.update_yaxes(title_text="coverage", range=[0, 1.05], row=2, col=1)
    return figure


def funnel_figure(rounds: Sequence[RoundRecord]) -> Figure:
    """What became of each round's candidates: broken, duplicate, kept in the pool."""
    from plotly import graph_objects as go

    drawn = [r for r in rounds if r.number > 0]
    parts = {
        "kept for ranking": (ACCENT, [r.metrics.screened for r in drawn]),
        "duplicates": (FAINT, [r.metrics.duplicates for r in drawn]),
        "invalid": (UNSTABLE, [r.metrics.invalid for r in drawn]),
    }
    figure = go.Figure()
    for name, (colour, counts) in parts.items():
        figure.add_bar(x=[r.number for r in drawn], y=counts, name=name, marker={"color": colour})
    figure.update_layout(barmode="stack", bargap=0.35)
    styled(figure, "round", "candidates")
    figure.update_xaxes(dtick=1 if len(drawn) <= 20 else None)
    return figure


def rate_figure(rounds: Sequence[RoundRecord]) -> Figure:
    """Share of validations that were discoveries, chosen against drawn at random."""
    from plotly import graph_objects as go

    drawn = [r for r in rounds if r.number > 0]
    settings = {
        "chosen by acquisition": (ACCENT, [r.metrics.hit_rate for r in drawn]),
        "drawn at random": (FAINT, [r.metrics.control_hit_rate for r in drawn]),
    }
    figure = go.Figure()
    for name, (colour, rates) in settings.items():
        figure.add_bar(x=[r.number for r in drawn], y=rates, name=name, marker={"color": colour})
    figure.update_layout(barmode="group", bargap=0.35)
    styled(figure, "round", "share that are discoveries")
    figure.update_xaxes(dtick=1 if len(drawn) <= 20 else None)
    figure.update_yaxes(rangemode="tozero", tickformat=".0%")
    return figure


def diversity_figure(rounds: Sequence[RoundRecord]) -> Figure:
    """How varied the GAN's samples were: a fall of the entropies is a collapse."""
    from plotly import graph_objects as go

    varied = [(r.number, r.metrics.diversity) for r in rounds if r.metrics.diversity]
    figure = go.Figure()
    for name in ("compositions", "space_groups", "sites"):
        y = [getattr(diversity, name) for _, diversity in varied]
        figure.add_scatter(x=[n for n, _ in varied], y=y, name=name.replace("_", " "), mode="lines+markers")
    figure.update_yaxes(rangemode="tozero")
    styled(figure, "round", "entropy (nats)")
    figure.update_xaxes(dtick=1 if len(varied) <= 20 else None)
    return figure


def time_figure(rounds: Sequence[RoundRecord]) -> Figure:
    """Seconds of each round by step, those of all offspring batches together."""
    from plotly import graph_objects as go

    spent = [_by_step(r.metrics.seconds or r.steps) for r in rounds]
    steps = dict.fromkeys(step for seconds in spent for step in seconds)
    numbers = [f"round {r.number}" for r in rounds]
    figure = go.Figure()
    for index, step in enumerate(steps):
        figure.add_bar(
            y=numbers,
            x=[seconds[step] for seconds in spent],
            name=step,
            orientation="h",
            marker={"color": SERIES[index % len(SERIES)]},
        )
    figure.update_layout(barmode="stack", bargap=0.35)
    figure.update_layout(legend_traceorder="normal")
    styled(figure, "seconds", "", height=max(260, 90 + 34 * len(rounds)))
    figure.update_yaxes(autorange="reversed", ticks="")
    return figure


def _by_step(seconds: Mapping[str, float]) -> Mapping[str, float]:
    total: defaultdict[str, float] = defaultdict(float)
    for step, spent in seconds.items():
        total[step_and_batch(step)[0].replace("_", " ")] += spent
    return total


def phonon_figure(phonons: PhononRecord, tolerance: float) -> Figure:
    """Phonon bands and their density of states; imaginary frequencies and the verdict line lie below zero."""
    from plotly.subplots import make_subplots

    figure = make_subplots(cols=2, shared_yaxes=True, column_widths=[0.78, 0.22], horizontal_spacing=0.03)
    x, y = _band_lines(phonons)
    figure.add_scatter(
        x=x, y=y, mode="lines", line={"color": ACCENT, "width": 1.3}, hoverinfo="y", col=1, row=1
    )
    figure.add_scatter(
        x=phonons.dos,
        y=phonons.dos_frequencies,
        mode="lines",
        fill="tozerox",
        line={"color": MUTED, "width": 1.2},
        fillcolor="rgba(11,110,153,.12)",
        hoverinfo="skip",
        col=2,
        row=1,
    )
    styled(figure, "", "", height=400)
    figure.add_hline(
        y=-tolerance,
        line={"color": UNSTABLE, "dash": "dash", "width": 1.5},
        annotation={"text": f"verdict at −{tolerance:g} THz", "font": {"color": UNSTABLE, "size": 12}},
        annotation_position="bottom left",
        col=1,
        row=1,
    )
    places, labels = [where for where, _ in phonons.ticks], [_tick(label) for _, label in phonons.ticks]
    figure.update_xaxes(tickvals=places, ticktext=labels, gridcolor=FAINT, col=1)
    figure.update_xaxes(title_text="DOS", showticklabels=False, ticks="", col=2)
    figure.update_yaxes(title_text="frequency (THz)", col=1)
    figure.update_layout(showlegend=False)
    return figure


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


def pareto_figure(records: Sequence[StructureRecord], spec: CampaignSpec) -> Figure:
    """Results in two objectives, and which no other one surpasses in both.

    The first two of the campaign, coloured by energy above the hull, or the only one and that energy. What
    lies outside of a range, or farther above the hull than the reference point, is hollow.
    """
    from plotly import graph_objects as go

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
    line = {"color": FAINT, "width": 1.5}
    figure = go.Figure(go.Scatter(x=x[best], y=y[best], mode="lines", name="front", line=line))
    for name, symbol, chosen in _kinds_of(told, counts):
        figure.add_scatter(
            x=x[chosen],
            y=y[chosen],
            mode="markers",
            name=name,
            marker={"size": 9, "symbol": symbol, "color": above[chosen], "coloraxis": "coloraxis"},
            customdata=[told[i].id for i in chosen],
            text=[f"{told[i].formula} {told[i].id}, {above[i]:.3f} eV/atom above the hull" for i in chosen],
        )
    title = {"text": "above hull<br>(eV/atom)", "font": {"size": 12}}
    scale = {"colorscale": [list(part) for part in ABOVE], "cmin": 0, "cmax": max(highest, 0.1)}
    figure.update_layout(coloraxis=scale | {"colorbar": {"title": title, "thickness": 12, "outlinewidth": 0}})
    shown = units(told)
    titles = [f"{goal.name.replace('_', ' ')} ({shown.get(goal.name, '')})" for goal in wanted]
    return styled(figure, titles[0], [*titles, "energy above hull (eV/atom)"][1], height=420)


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
