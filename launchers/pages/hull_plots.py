"""The convex hull as a plotly figure, a frame a round, drawn with a slider over them.

``customdata`` of a point is the id of its structure record, where a click leads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.launchers.pages.style import ACCENT, FAINT, GRID, INK, LOST, SEED, STABLE, styled
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import HullEntry, HullRecord

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_KINDS = {
    "seed": (SEED, "circle-open", 8),
    "candidate": (ACCENT, "circle", 7),
    "discovery": (STABLE, "star", 14),
    "displaced discovery": (LOST, "star-open", 12),
}


def hull_figure(
    hulls: Sequence[HullRecord], records: Iterable[StructureRecord], elements: Sequence[str]
) -> Figure:
    """The convex hull, a frame a round: formation energy of a binary, the triangle of a ternary.

    Other systems are drawn as energy above the hull against the last element's fraction. A record not given
    counts as a candidate.

    hulls: one per round. records: structure records. elements: symbols.
    """
    from plotly import graph_objects as go

    known = {record.id: record for record in records}
    draw = {2: _binary_traces, 3: _ternary_traces}.get(len(elements), _above_traces)
    frames = [go.Frame(data=draw(hull, known, elements), name=str(hull.round)) for hull in hulls]
    figure = go.Figure(data=frames[-1].data if frames else [], frames=frames)
    if len(elements) == 3:
        return _ternary_layout(figure, elements)
    y = "formation energy (eV/atom)" if len(elements) == 2 else "energy above the hull (eV/atom)"
    styled(figure, f"fraction of {elements[-1]}", y, height=470)
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


def _binary_traces(hull: HullRecord, known: dict[str, StructureRecord], elements: Sequence[str]) -> list[Any]:
    from plotly import graph_objects as go

    last = elements[-1]
    line = sorted((e.composition.get(last, 0.0), e.formation_energy_per_atom) for e in hull.vertices())
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

    stable = hull.vertices()
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
    styled(figure, "", "", height=520)
    axes = {
        f"{axis}axis": {"title": {"text": element}, "gridcolor": GRID, "linecolor": FAINT, "min": 0}
        for axis, element in zip("abc", elements, strict=True)
    }
    figure.update_layout(ternary={"sum": 1, "bgcolor": "rgba(0,0,0,0)", **axes}, xaxis=None, yaxis=None)
    return figure
