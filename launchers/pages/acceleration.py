"""One HTML file with the curves and factors of an acceleration benchmark; opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from niobe.config.atomic import write_whole
from niobe.launchers.pages import plots
from niobe.launchers.pages.rendering import asset, render

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
            (name, plots.acceleration_figure(curves), [_without_table(r) for r in rows if r["table"] == name])
            for name, curves in tables.items()
        ],
    )
    return write_whole(path, page)


def _without_table(row: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "table"}
