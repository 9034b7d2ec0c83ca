"""The convex hull as a plot, a frame a round, drawn with a slider over them.

``customdata`` of a point is the id of its structure record, where a click leads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from niobe.launchers.pages.hull_points import by_kind
from niobe.launchers.pages.style import INK, Attributes, Plot, styled, x_axis, y_axis
from niobe.launchers.pages.ternary import ternary_plot, ternary_traces
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import HullRecord

MOST_FRAMES = 24
_MOST_POINTS = 6_000
"""Points of a kind in all frames: a page of some 2 MB."""


def hull_figure(
    hulls: Sequence[HullRecord], records: Iterable[StructureRecord], elements: Sequence[str]
) -> Plot:
    """The convex hull, a frame a round: formation energy of a binary, the triangle of a ternary.

    Other systems are drawn as energy above the hull against the last element's fraction. A record not given
    counts as a candidate. Of many points those nearest the hull are drawn.

    hulls: one per round. records: structure records. elements: symbols.
    """
    known = {record.id: record for record in records}
    draw = {2: _binary_traces, 3: ternary_traces}.get(len(elements), _above_traces)
    most = _MOST_POINTS // max(len(hulls), 1)
    frames: list[Attributes] = [
        {"data": draw(hull, known, elements, most), "name": str(hull.round)} for hull in hulls
    ]
    data: list[Attributes] = frames[-1]["data"] if frames else []
    if len(elements) == 3:
        return ternary_plot(data, frames, elements)
    quantity = hulls[-1].quantity if hulls else "formation energy"
    y = f"{quantity} (eV/atom)" if len(elements) == 2 else "energy above the hull (eV/atom)"
    across = x_axis(f"fraction of {elements[-1]}", range=[-0.03, 1.03])
    return styled(data, across, y_axis(y, range=_range(frames)), height=470, frames=frames)


def _range(frames: Iterable[Attributes]) -> list[float]:
    """One vertical range for all frames, so that a slider moves points and not axes."""
    energies = [value for frame in frames for trace in frame["data"] for value in trace["y"]]
    low, high = min(energies, default=0.0), max(energies, default=1.0)
    margin = 0.06 * max(high - low, 0.01)
    return [low - margin, high + margin]


def _binary_traces(
    hull: HullRecord, known: Mapping[str, StructureRecord], elements: Sequence[str], most: int
) -> list[Attributes]:
    last = elements[-1]
    line = sorted((e.composition.get(last, 0.0), e.formation_energy_per_atom) for e in hull.vertices())
    traces: list[Attributes] = [
        {
            "type": "scatter",
            "x": [x for x, _ in line],
            "y": [y for _, y in line],
            "mode": "lines",
            "line": {"color": INK, "width": 1.4},
            "name": "hull",
            "hoverinfo": "skip",
        }
    ]
    for entries, shared in by_kind(hull, known, most):
        x = [entry.composition.get(last, 0.0) for entry in entries]
        y = [entry.formation_energy_per_atom for entry in entries]
        traces.append({"type": "scatter", "x": x, "y": y, **shared})
    return traces


def _above_traces(
    hull: HullRecord, known: Mapping[str, StructureRecord], elements: Sequence[str], most: int
) -> list[Attributes]:
    return [
        {
            "type": "scatter",
            "x": [entry.composition.get(elements[-1], 0.0) for entry in entries],
            "y": [entry.e_above_hull for entry in entries],
            **shared,
        }
        for entries, shared in by_kind(hull, known, most)
    ]
