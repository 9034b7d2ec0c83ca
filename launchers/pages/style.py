"""How plots look: colours, fonts and axes shared by all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

INK, MUTED, FAINT, GRID = "#1f2933", "#52606d", "#9aa5b1", "#e9edf1"
ACCENT, STABLE, UNSTABLE, SEED, LOST = "#0b6e99", "#2f855a", "#c05621", "#8794a3", "#b7791f"
SERIES = (ACCENT, UNSTABLE, STABLE, "#7b5ea7", LOST, MUTED, "#b83280", "#3c8d8d", "#6b4423", "#5a67d8")
ABOVE = ((0.0, "#14603c"), (0.1, "#2f9e6b"), (0.35, "#5aa9c9"), (1.0, "#c9d3dc"))
"""From on the hull to far above it: darker is lower, so that it can be read without colours too."""
_FONT = "Inter, system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"


def styled(figure: Figure, x: str, y: str, *, height: int = 360) -> Figure:
    """The figure with its axes titled ``x`` and ``y``.

    height: pixels.
    """
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
