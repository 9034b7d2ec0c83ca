"""The hull of three elements: a triangle with tie lines, the formulas on the hull, energies by colour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from niobe.launchers.pages.hull_points import by_kind, subscripts
from niobe.launchers.pages.style import ABOVE, FAINT, GRID, INK, MUTED, Attributes, Plot, styled
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import HullEntry, HullRecord

_TRIANGLE, _WHOLE = {"type": "scatterternary"}, {"cliponaxis": False}
_FAR = 0.2
"""eV/atom above the hull from which on colours are the same."""
_LETTER, _LINE = 0.0125, 0.03
"""Width of a letter and height of a line, in sides of the triangle as it is drawn."""
_PLACES = {
    "middle right": (0.6, 0.0),
    "middle left": (-0.6, 0.0),
    "top center": (0.0, 0.9),
    "bottom center": (0.0, -0.9),
    "top right": (0.55, 0.8),
    "top left": (-0.55, 0.8),
    "bottom right": (0.55, -0.8),
    "bottom left": (-0.55, -0.8),
}
"""Where a label's middle lies from its point, in widths and lines."""


def ternary_traces(
    hull: HullRecord, known: Mapping[str, StructureRecord], elements: Sequence[str], most: int
) -> list[Attributes]:
    """Tie lines, every validated structure coloured by its energy above the hull, and formulas on the hull.

    hull: of one round. known: structure records by id. elements: three symbols. most: points of a kind, the
    lowest.
    """
    corners = dict(zip("abc", elements, strict=True))
    traces: list[Attributes] = [
        {
            **_TRIANGLE,
            **_tie_lines(hull, corners),
            "mode": "lines",
            "line": {"color": MUTED, "width": 1.2},
            "name": "tie lines",
            "hoverinfo": "skip",
        }
    ]
    for entries, shared in by_kind(hull, known, most):
        marker = shared["marker"] | _by_energy(entries)
        traces.append({**_TRIANGLE, **_places(entries, corners), **shared, "marker": marker, **_WHOLE})
    return [*traces, _formulas(hull, corners)]


def _places(entries: Sequence[HullEntry], corners: dict[str, str]) -> dict[str, list[float]]:
    return {axis: [e.composition.get(element, 0.0) for e in entries] for axis, element in corners.items()}


def _by_energy(entries: Sequence[HullEntry]) -> Attributes:
    return {
        "color": [entry.e_above_hull for entry in entries],
        "coloraxis": "coloraxis",
        "opacity": 1.0,
        "line": {"width": 0},
    }


def _formulas(hull: HullRecord, corners: dict[str, str]) -> Attributes:
    """The compounds on the hull, each labelled where its formula covers least."""
    compounds = {entry.formula: entry for entry in hull.vertices() if len(entry.composition) > 1}
    named = list(compounds.values())
    taken = [_box(_point(entry, corners), (0.0, 0.0), 1) for entry in named]
    chosen = []
    for entry in named:
        point = _point(entry, corners)
        boxes = {place: _box(point, _PLACES[place], len(entry.formula)) for place in _free(entry, corners)}
        best = min(boxes, key=lambda place: sum(_overlap(boxes[place], other) for other in taken))
        taken.append(boxes[best])
        chosen.append(best)
    return {
        **_TRIANGLE,
        **_places(named, corners),
        "mode": "markers+text",
        "marker": {"size": 8, "color": "rgba(0,0,0,0)"},
        "text": [subscripts(entry.formula) for entry in named],
        "textposition": chosen,
        "textfont": {"size": 12, "color": INK},
        "hoverinfo": "skip",
        "showlegend": False,
        **_WHOLE,
    }


def _free(entry: HullEntry, corners: dict[str, str]) -> list[str]:
    """Places for a label: outside the triangle where a compound lies on a side of it."""
    sides = {"a": "bottom center", "b": "middle right", "c": "middle left"}
    on = [place for axis, place in sides.items() if corners[axis] not in entry.composition]
    return on or list(_PLACES)


def _point(entry: HullEntry, corners: dict[str, str]) -> tuple[float, float]:
    """Where a composition lies in a triangle of side 1, the first element on top, the last one right."""
    top, right = (entry.composition.get(corners[axis], 0.0) for axis in "ac")
    return right + top / 2, top * float(np.sqrt(3)) / 2


def _box(
    point: tuple[float, float], offset: tuple[float, float], letters: int
) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of what is written beside a point."""
    width = letters * _LETTER
    x, y = point[0] + offset[0] * (width + 2 * _LETTER), point[1] + offset[1] * _LINE
    return x - width / 2, x + width / 2, y - _LINE / 2, y + _LINE / 2


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    wide = min(one[1], other[1]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[2], other[2])
    return max(wide, 0.0) * max(high, 0.0)


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
        axis: [v for a, b in edges for v in (float(points[a, k]), float(points[b, k]), None)]
        for k, axis in enumerate(corners)
    }


def ternary_plot(data: Sequence[Attributes], frames: Sequence[Attributes], elements: Sequence[str]) -> Plot:
    """Traces in a triangle with a corner for each of three elements, and a scale of colours for energies.

    elements: three symbols.
    """
    axes = {
        f"{axis}axis": {
            "title": {"text": element, "font": {"size": 16}},
            "gridcolor": GRID,
            "linecolor": FAINT,
            "min": 0,
            "dtick": 0.25,
            "ticks": "",
            "tickfont": {"size": 9, "color": "rgba(0,0,0,0)"},  # keeps titles off the corners
        }
        for axis, element in zip("abc", elements, strict=True)
    }
    scale = {
        "title": {"text": "above the hull<br>(eV/atom)", "font": {"size": 12}},
        "thickness": 12,
        "len": 0.6,
        "x": 0.95,
    }
    return styled(
        data,
        {},
        {},
        height=620,
        frames=frames,
        ternary={"sum": 1, "bgcolor": "rgba(0,0,0,0)", **axes},
        coloraxis={"colorscale": ABOVE, "cmin": 0, "cmax": _FAR, "colorbar": scale},
    )
