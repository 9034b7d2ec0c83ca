"""One HTML file with the curves and factors of an acceleration benchmark; opens offline.

Curves are drawn as they are read, without a script: a page takes kilobytes, where plotly alone takes four
megabytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.config.atomic import write_whole
from niobe.launchers.pages.rendering import asset, render
from niobe.launchers.pages.style import FAINT, GRID, INK, MUTED, SERIES

if TYPE_CHECKING:
    from markupsafe import Markup
    from numpy.typing import NDArray

_COLOURS = (MUTED, *(colour for colour in SERIES if colour != MUTED))
_WIDTH, _HEIGHT, _LEFT, _BELOW, _LINE = 760, 380, 44, 40, 20  # pixels
Curves = Mapping[str, Sequence[Sequence[bool]]]


def write_page(
    path: Path,
    tables: Mapping[str, Curves],
    rows: Sequence[Mapping[str, Any]],
    *,
    about: str,
    medians: Mapping[str, str] | None = None,
) -> Path:
    """Write the page whole or not at all. tables: by name, the hits of each setting's runs, call by call.

    about: how the figures are meant. medians: of each setting, over all tables.

    path: where the file goes. rows: one dictionary per row.
    """
    page = render(
        "acceleration.html",
        page="",
        steering=False,
        asset=asset,
        about=about,
        medians=[{"setting": setting, "AF 50%": factor} for setting, factor in (medians or {}).items()],
        tables=[
            (name, picture(curves), [_without_table(r) for r in rows if r["table"] == name])
            for name, curves in tables.items()
        ],
    )
    return write_whole(path, page)


def _without_table(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "table"}


def picture(curves: Curves) -> Markup:
    """Targets found against calls as SVG, the first setting dotted: mean over runs, and the band of 90 % of
    them.

    curves: whether each call of each run hit, by setting.
    """
    from markupsafe import Markup

    found = {name: np.cumsum(np.array(runs, dtype=float), axis=1) for name, runs in curves.items()}
    calls = max(counts.shape[1] for counts in found.values())
    most = max(1.0, *(float(counts.max()) for counts in found.values()))
    height = _HEIGHT + _LINE * len(found)
    parts = [
        Markup('<svg viewBox="0 0 {} {}" role="img" font-size="13" fill="{}">').format(_WIDTH, height, INK)
    ]
    parts += [Markup("<title>targets found against oracle calls</title>"), _axes(calls, most)]
    for index, (name, counts) in enumerate(found.items()):
        parts.append(_curve(index, name, counts, calls, most))
    return Markup("\n").join([*parts, Markup("</svg>")])


def _curve(index: int, name: str, counts: NDArray[np.float64], calls: int, most: float) -> Markup:
    """One setting: its band, its mean and its line of the legend. counts: finds, shape (runs, calls)."""
    from markupsafe import Markup

    colour, dash = _COLOURS[index % len(_COLOURS)], "" if index else "2 4"
    low, high = np.quantile(counts, [0.05, 0.95], axis=0)
    ahead = np.arange(1, counts.shape[1] + 1)
    band = _points(np.r_[ahead, ahead[::-1]], np.r_[high, low[::-1]], calls, most)
    mean = _points(ahead, counts.mean(axis=0), calls, most)
    y = _HEIGHT + _LINE * (index + 0.4)
    return Markup(
        '<polygon points="{}" fill="{}" opacity="0.12"/>'
        '<polyline points="{}" fill="none" stroke="{}" stroke-width="2" stroke-dasharray="{}"/>'
        '<line x1="{}" x2="{}" y1="{}" y2="{}" stroke="{}" stroke-width="2" stroke-dasharray="{}"/>'
        '<text x="{}" y="{}">{}</text>'
    ).format(
        *(band, colour, mean, colour, dash),
        *(_LEFT, _LEFT + 26, y, y, colour, dash),
        *(_LEFT + 34, y + 4, name),
    )


def _points(x: NDArray[np.int64], y: NDArray[np.float64], calls: int, most: float) -> str:
    across = _LEFT + x / calls * (_WIDTH - _LEFT - 10)
    up = (_HEIGHT - _BELOW) - y / most * (_HEIGHT - _BELOW - 10)
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(across, up, strict=True))


def _axes(calls: int, most: float) -> Markup:
    """Lines and numbers at fifths of both axes, and what they are of."""
    from markupsafe import Markup

    parts = []
    for share in np.linspace(0, 1, 6):
        x = _LEFT + share * (_WIDTH - _LEFT - 10)
        y = (_HEIGHT - _BELOW) - share * (_HEIGHT - _BELOW - 10)
        parts.append(
            Markup(
                '<line x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}" stroke="{}"/>'
                '<text x="{}" y="{:.1f}" text-anchor="end">{:.3g}</text>'
                '<text x="{:.1f}" y="{}" text-anchor="middle">{:.3g}</text>'
            ).format(
                *(_LEFT, _WIDTH - 10, y, y, GRID if share else FAINT),
                *(_LEFT - 6, y + 4, share * most),
                *(x, _HEIGHT - _BELOW + 16, share * calls),
            )
        )
    label = Markup('<text x="{}" y="{}" text-anchor="end" fill="{}">oracle calls</text>')
    parts.append(label.format(_WIDTH - 10, _HEIGHT - _BELOW + 32, MUTED))
    parts.append(Markup('<text x="{}" y="12" fill="{}">targets found</text>').format(_LEFT + 4, MUTED))
    return Markup("\n").join(parts)
