"""Every plot of reports and pages, as plotly figures from plain records.

A figure with frames (the hull) is drawn with a slider over them. ``customdata`` of a point is the id of its
structure record, where a click leads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from loop.records import StructureRecord
from loop.rounds import HullEntry, HullRecord, PhononRecord, RoundRecord

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

INK, MUTED, FAINT, GRID = "#1f2933", "#52606d", "#9aa5b1", "#e9edf1"
ACCENT, STABLE, UNSTABLE, SEED, LOST = "#0b6e99", "#2f855a", "#c05621", "#8794a3", "#b7791f"
SERIES = (ACCENT, UNSTABLE, STABLE, "#7b5ea7", LOST, MUTED, "#b83280", "#3c8d8d")
_FONT = "Inter, system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
_KINDS = {
    "seed": (SEED, "circle-open", 8),
    "candidate": (ACCENT, "circle", 7),
    "discovery": (STABLE, "star", 14),
    "displaced discovery": (LOST, "star-open", 12),
}
_ON_HULL = 1e-6
_INTERVAL_90 = 1.645


def _styled(figure: Figure, x: str, y: str, *, height: int = 360) -> Figure:
    figure.update_layout(
        template="none",
        font={"family": _FONT, "size": 13, "color": INK},
        margin={"l": 62, "r": 16, "t": 34, "b": 48},
        height=height,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        colorway=list(SERIES),
        legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "font": {"color": MUTED}},
        hoverlabel={"font": {"family": _FONT}, "bgcolor": "#fff", "bordercolor": FAINT},
    )
    axis = {"gridcolor": GRID, "linecolor": FAINT, "ticks": "outside", "tickcolor": FAINT, "ticklen": 4}
    title = {"standoff": 8, "font": {"size": 13, "color": MUTED}}
    figure.update_xaxes(title={"text": x} | title, zeroline=False, showline=True, **axis)
    figure.update_yaxes(title={"text": y} | title, zeroline=True, zerolinecolor=FAINT, **axis)
    return figure


def hull_figure(
    hulls: Sequence[HullRecord], records: Iterable[StructureRecord], elements: Sequence[str]
) -> Figure:
    """The convex hull, a frame a round: formation energy of a binary, the triangle of a ternary.

    Other systems are drawn as energy above the hull against the last element's fraction. A record not given
    counts as a candidate.
    """
    from plotly import graph_objects as go

    known = {record.id: record for record in records}
    draw = {2: _binary_traces, 3: _ternary_traces}.get(len(elements), _above_traces)
    frames = [go.Frame(data=draw(hull, known, elements), name=str(hull.round)) for hull in hulls]
    figure = go.Figure(data=frames[-1].data if frames else [], frames=frames)
    if len(elements) == 3:
        return _ternary_layout(figure, elements)
    y = "formation energy (eV/atom)" if len(elements) == 2 else "energy above the hull (eV/atom)"
    _styled(figure, f"fraction of {elements[-1]}", y, height=470)
    figure.update_xaxes(range=[-0.03, 1.03])
    return _same_range(figure, [trace.y for frame in frames for trace in frame.data])


def _same_range(figure: Figure, values: Sequence[Any]) -> Figure:
    """One vertical range for all frames, so that a slider moves points and not axes."""
    energies = [float(value) for part in values for value in part]
    low, high = min(energies, default=0.0), max(energies, default=1.0)
    margin = 0.06 * max(high - low, 0.01)
    figure.update_yaxes(range=[low - margin, high + margin])
    return figure


def kind_of(record: StructureRecord | None, round_number: int) -> str:
    """What a validated structure was when a round closed: seed, candidate, discovery, displaced discovery."""
    if record is None or record.verdict is None or record.round == 0:
        return "seed" if record is not None and record.round == 0 else "candidate"
    found, lost = record.verdict.discovery_round, record.verdict.displaced_round
    if found is None or found > round_number:
        return "candidate"
    return "displaced discovery" if lost is not None and lost <= round_number else "discovery"


def _by_kind(
    hull: HullRecord, known: dict[str, StructureRecord]
) -> list[tuple[str, list[HullEntry], dict[str, Any]]]:
    """Entries of each kind with what their traces share."""
    found = []
    for kind, (colour, symbol, size) in _KINDS.items():
        entries = [e for e in hull.entries if kind_of(known.get(e.record_id), hull.round) == kind]
        shared = {
            "name": kind,
            "mode": "markers",
            "customdata": [entry.record_id for entry in entries],
            "text": [_hover(entry) for entry in entries],
            "hoverinfo": "text",
            "marker": {"color": colour, "symbol": symbol, "size": size, "opacity": 0.9},
        }
        found.append((kind, entries, shared))
    return found


def _hover(entry: HullEntry) -> str:
    return (
        f"<b>{_subscripts(entry.formula)}</b> {entry.record_id}"
        f"<br>{entry.formation_energy_per_atom:.3f} eV/atom formation"
        f"<br>{entry.e_above_hull:.3f} eV/atom above the hull"
    )


def _subscripts(formula: str) -> str:
    return re.sub(r"(\d+)", r"<sub>\1</sub>", formula)


def _vertices(hull: HullRecord) -> list[HullEntry]:
    return [entry for entry in hull.entries if entry.e_above_hull < _ON_HULL]


def _binary_traces(hull: HullRecord, known: dict[str, StructureRecord], elements: Sequence[str]) -> list[Any]:
    from plotly import graph_objects as go

    last = elements[-1]
    line = sorted((e.composition.get(last, 0.0), e.formation_energy_per_atom) for e in _vertices(hull))
    traces: list[Any] = [
        go.Scatter(
            x=[x for x, _ in line],
            y=[y for _, y in line],
            mode="lines",
            line={"color": INK, "width": 1.4},
            name="hull",
            hoverinfo="skip",
        )
    ]
    for _, entries, shared in _by_kind(hull, known):
        x = [entry.composition.get(last, 0.0) for entry in entries]
        traces.append(go.Scatter(x=x, y=[e.formation_energy_per_atom for e in entries], **shared))
    return traces


def _above_traces(hull: HullRecord, known: dict[str, StructureRecord], elements: Sequence[str]) -> list[Any]:
    from plotly import graph_objects as go

    return [
        go.Scatter(
            x=[entry.composition.get(elements[-1], 0.0) for entry in entries],
            y=[entry.e_above_hull for entry in entries],
            **shared,
        )
        for _, entries, shared in _by_kind(hull, known)
    ]


def _ternary_traces(
    hull: HullRecord, known: dict[str, StructureRecord], elements: Sequence[str]
) -> list[Any]:
    from plotly import graph_objects as go

    corners = dict(zip("abc", elements, strict=True))
    traces: list[Any] = [
        go.Scatterternary(
            **_tie_lines(hull, corners),
            mode="lines",
            line={"color": FAINT, "width": 1},
            name="tie lines",
            hoverinfo="skip",
        )
    ]
    for _, entries, shared in _by_kind(hull, known):
        places = {
            axis: [e.composition.get(element, 0.0) for e in entries] for axis, element in corners.items()
        }
        traces.append(go.Scatterternary(**places, **shared))
    return traces


def _tie_lines(hull: HullRecord, corners: dict[str, str]) -> dict[str, list[float | None]]:
    """Edges of the hull's facets as one broken line; none where the stable phases do not span a triangle."""
    from scipy.spatial import ConvexHull, QhullError

    stable = _vertices(hull)
    points = np.array(
        [[e.composition.get(element, 0.0) for element in corners.values()] for e in stable]
    ).reshape(-1, 3)
    energies = np.array([entry.formation_energy_per_atom for entry in stable])
    try:
        facets = ConvexHull(np.column_stack([points[:, :2], energies]))
        lower = facets.simplices[facets.equations[:, 2] < 0]
    except (QhullError, ValueError):
        lower = np.array([[0, 1, 2]]) if len(stable) == 3 else np.empty((0, 3), dtype=int)
    edges = sorted(
        {tuple(sorted((int(s[i]), int(s[j])))) for s in lower for i, j in ((0, 1), (1, 2), (0, 2))}
    )
    return {
        axis: [value for a, b in edges for value in (points[a, k], points[b, k], None)]
        for k, axis in enumerate(corners)
    }


def _ternary_layout(figure: Figure, elements: Sequence[str]) -> Figure:
    _styled(figure, "", "", height=520)
    axes = {
        f"{axis}axis": {"title": {"text": element}, "gridcolor": GRID, "linecolor": FAINT, "min": 0}
        for axis, element in zip("abc", elements, strict=True)
    }
    figure.update_layout(ternary={"sum": 1, "bgcolor": "rgba(0,0,0,0)", **axes}, xaxis=None, yaxis=None)
    return figure


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
    return _styled(figure, "validations", "discoveries ever", height=280)


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
    return _styled(figure, "validated formation energy (eV/atom)", "predicted (eV/atom)")


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
    _styled(figure, "", "")
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
    _styled(figure, "round", "candidates")
    figure.update_xaxes(dtick=1 if len(drawn) <= 20 else None)
    return figure


def rate_figure(rounds: Sequence[RoundRecord]) -> Figure:
    """Share of validations that were discoveries, chosen against drawn at random."""
    from plotly import graph_objects as go

    drawn = [r for r in rounds if r.number > 0]
    arms = {
        "chosen by acquisition": (ACCENT, [r.metrics.hit_rate for r in drawn]),
        "drawn at random": (FAINT, [r.metrics.control_hit_rate for r in drawn]),
    }
    figure = go.Figure()
    for name, (colour, rates) in arms.items():
        figure.add_bar(x=[r.number for r in drawn], y=rates, name=name, marker={"color": colour})
    figure.update_layout(barmode="group", bargap=0.35)
    _styled(figure, "round", "share that are discoveries")
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
    _styled(figure, "round", "entropy (nats)")
    figure.update_xaxes(dtick=1 if len(varied) <= 20 else None)
    return figure


def time_figure(rounds: Sequence[RoundRecord]) -> Figure:
    """Seconds of each round by step."""
    from plotly import graph_objects as go

    steps = dict.fromkeys(step for r in rounds for step in r.metrics.seconds or r.steps)
    numbers = [f"round {r.number}" for r in rounds]
    figure = go.Figure()
    for index, step in enumerate(steps):
        figure.add_bar(
            y=numbers,
            x=[(r.metrics.seconds or r.steps).get(step, 0.0) for r in rounds],
            name=step.replace("_", " "),
            orientation="h",
            marker={"color": SERIES[index % len(SERIES)]},
        )
    figure.update_layout(barmode="stack", bargap=0.35)
    figure.update_layout(legend_traceorder="normal")
    _styled(figure, "seconds", "", height=max(260, 90 + 34 * len(rounds)))
    figure.update_yaxes(autorange="reversed", ticks="")
    return figure


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
    _styled(figure, "", "", height=400)
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


def acceleration_figure(curves: Mapping[str, Sequence[Sequence[bool]]]) -> Figure:
    """Targets found against oracle calls, an arm a colour: mean over runs, and the band of 90 % of them."""
    from plotly import graph_objects as go

    figure = go.Figure()
    for index, (arm, runs) in enumerate(curves.items()):
        found = np.cumsum(np.array(runs, dtype=float), axis=1)
        calls = np.arange(1, found.shape[1] + 1)
        low, high = np.quantile(found, [0.05, 0.95], axis=0)
        colour = MUTED if index == 0 else SERIES[(index - 1) % len(SERIES)]
        band = {"x": np.concatenate([calls, calls[::-1]]), "y": np.concatenate([high, low[::-1]])}
        quiet = {"showlegend": False, "hoverinfo": "skip", "line": {"width": 0}, "legendgroup": arm}
        figure.add_scatter(**band, **quiet, fill="toself", fillcolor=colour, opacity=0.12)
        figure.add_scatter(
            x=calls, y=found.mean(axis=0), mode="lines", name=arm, legendgroup=arm, line={"color": colour}
        )
    return _styled(figure, "oracle calls", "targets found", height=420)
