"""What `niobe learning-curve` draws: errors against records, on logarithmic axes, with the power law."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from niobe.config.atomic import write_whole

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

    from niobe.surrogates.evaluation import LearningCurve, PowerLaw

_FURTHER = 4.0


def curve_figure(curve: LearningCurve, law: PowerLaw | None, y: str) -> Figure:
    """Every repeat and, where there is one, the law and its 90 % band, carried on to four times the records.

    curve: errors by number of records, shape (repeats, sizes). y: title of the axis.
    """
    import plotly.graph_objects as go

    figure = go.Figure()
    if law is not None:
        _add_law(figure, curve, law)
    repeats = np.broadcast_to(curve.sizes, curve.errors.shape)
    figure.add_scatter(x=repeats.ravel(), y=curve.errors.ravel(), mode="markers", name="repeats")
    figure.update_layout(template="simple_white")
    figure.update_xaxes(title="records trained on", type="log")
    figure.update_yaxes(title=y, type="log")
    return figure


def _add_law(figure: Figure, curve: LearningCurve, law: PowerLaw) -> None:
    records = np.geomspace(curve.sizes.min(), _FURTHER * curve.sizes.max(), 60)
    drawn = law.factors[:, None] * records ** law.exponents[:, None]
    low, high = np.quantile(drawn, [0.05, 0.95], axis=0)
    figure.add_scatter(x=records, y=high, mode="lines", line_width=0, showlegend=False, hoverinfo="skip")
    figure.add_scatter(
        x=records, y=low, mode="lines", line_width=0, fill="tonexty", name="90 %", hoverinfo="skip"
    )
    best = [law.error(n) for n in records]
    figure.add_scatter(x=records, y=best, mode="lines", name=f"records^{law.exponent:.2f}")


def write_curve(file: Path, curve: LearningCurve, law: PowerLaw | None, y: str) -> None:
    """Write the figure as one HTML file, whole or not at all.

    curve: errors by number of records, shape (repeats, sizes). law: the fitted power law, where there is one.
    y: title of the axis.
    """
    write_whole(file, curve_figure(curve, law, y).to_html(include_plotlyjs=True))
