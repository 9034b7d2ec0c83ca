"""How plots look: colours, fonts and axes shared by all, as plotly.js takes them.

plotly's own objects check each value and copy it several times, which is most of what a page of thousands of
points would take; tests have plotly check what is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

INK, MUTED, FAINT, GRID = "#1f2933", "#52606d", "#9aa5b1", "#e9edf1"
ACCENT, STABLE, UNSTABLE, SEED, LOST = "#0b6e99", "#2f855a", "#c05621", "#8794a3", "#b7791f"
SERIES = (ACCENT, UNSTABLE, STABLE, "#7b5ea7", LOST, MUTED, "#b83280", "#3c8d8d", "#6b4423", "#5a67d8")
ABOVE = ((0.0, "#14603c"), (0.1, "#2f9e6b"), (0.35, "#5aa9c9"), (1.0, "#c9d3dc"))
"""From on the hull to far above it: darker is lower, so that it can be read without colours too."""
_FONT = "Inter, system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
_CLEAR = "rgba(0,0,0,0)"
_AXIS = {"gridcolor": GRID, "linecolor": FAINT, "ticks": "outside", "tickcolor": FAINT, "ticklen": 4}
Attributes = dict[str, Any]
"""By name, as in https://plotly.com/javascript/reference; all values are plain ones that JSON has."""


@dataclass(frozen=True)
class Plot:
    """A plot in the terms of plotly.js.

    data: its traces. layout: axes, legend and all else around them. frames: name and traces of each state
    that a slider leads through.
    """

    data: Sequence[Attributes]
    layout: Attributes
    frames: Sequence[Attributes] = field(default_factory=list)


def styled(
    data: Sequence[Attributes],
    x: str | Attributes,
    y: str | Attributes,
    *,
    height: int = 360,
    frames: Sequence[Attributes] = (),
    legend: Mapping[str, Any] | None = None,
    **layout: Any,
) -> Plot:
    """Traces with axes, fonts and colours of ours.

    x, y: titles of the axes, or what ``x_axis`` and ``y_axis`` give. height: pixels. legend, layout: further
    attributes.
    """
    below = {"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0, "font": {"color": MUTED}}
    shared = {
        "template": {"data": {"scatter": [{"type": "scatter"}]}},
        "font": {"family": _FONT, "size": 13, "color": INK},
        "margin": {"l": 62, "r": 16, "t": 34, "b": 48},
        "height": height,
        "paper_bgcolor": _CLEAR,
        "plot_bgcolor": _CLEAR,
        "colorway": list(SERIES),
        "legend": below | dict(legend or {}),
        "hoverlabel": {"font": {"family": _FONT}, "bgcolor": "#fff", "bordercolor": FAINT},
        "xaxis": x_axis(x) if isinstance(x, str) else x,
        "yaxis": y_axis(y) if isinstance(y, str) else y,
    }
    return Plot(data, shared | layout, frames)


def x_axis(title: str, **more: Any) -> Attributes:
    """A horizontal axis. more: further attributes; None for what is left to plotly.js."""
    return _axis(title, zeroline=False, showline=True, **more)


def y_axis(title: str, **more: Any) -> Attributes:
    """A vertical axis. more: further attributes; None for what is left to plotly.js."""
    return _axis(title, zeroline=True, zerolinecolor=FAINT, **more)


def _axis(title: str, **more: Any) -> Attributes:
    named = {"title": {"text": title, "standoff": 8, "font": {"size": 13, "color": MUTED}}}
    return {name: value for name, value in (named | _AXIS | more).items() if value is not None}
