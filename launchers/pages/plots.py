"""Every plot of reports and pages, as plotly figures from plain records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from loop.records import StructureRecord
from loop.rounds import HullRecord, PhononRecord, RoundRecord
from loop.structures import relaxed_structure

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

INK, FAINT, GRID = "#1f2933", "#9aa5b1", "#e4e7eb"
ACCENT, STABLE, UNSTABLE, SEED = "#0b6e99", "#2f855a", "#c05621", "#9aa5b1"
_FONT = "Inter, system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"


def _styled(figure: Figure, x: str, y: str) -> Figure:
    figure.update_layout(
        template="plotly_white",
        font={"family": _FONT, "size": 13, "color": INK},
        margin={"l": 60, "r": 20, "t": 20, "b": 50},
        height=420,
        legend={"orientation": "h", "y": 1.12, "x": 0},
        hoverlabel={"font": {"family": _FONT}},
    )
    figure.update_xaxes(title=x, gridcolor=GRID, zeroline=False)
    figure.update_yaxes(title=y, gridcolor=GRID, zerolinecolor=FAINT)
    return figure


def hull_figure(
    hulls: Sequence[HullRecord], records: Sequence[StructureRecord], elements: Sequence[str]
) -> Figure:
    """Formation energy against composition, a frame a round behind a slider (the last element's fraction).

    Beyond binaries the horizontal axis is still one element's fraction, and no hull line is drawn.
    """
    from plotly import graph_objects as go

    kinds = {record.id: _kind(record) for record in records}
    frames = [go.Frame(data=_hull_traces(hull, kinds, elements), name=str(hull.round)) for hull in hulls]
    figure = go.Figure(data=frames[-1].data if frames else [], frames=frames)
    _styled(figure, f"fraction of {elements[-1]}", "formation energy (eV/atom)")
    steps = [
        {
            "label": frame.name,
            "method": "animate",
            "args": [[frame.name], {"mode": "immediate", "frame": {"duration": 0}}],
        }
        for frame in frames
    ]
    slider = {
        "active": len(frames) - 1,
        "steps": steps,
        "currentvalue": {"prefix": "round "},
        "pad": {"t": 40},
    }
    figure.update_layout(sliders=[slider], height=520)
    return figure


def _kind(record: StructureRecord) -> str:
    if record.round == 0:
        return "seed"
    return "discovery" if record.verdict is not None and record.verdict.discovery else "candidate"


def _hull_traces(hull: HullRecord, kinds: dict[str, str], elements: Sequence[str]) -> list[Any]:
    from plotly import graph_objects as go

    last = elements[-1]
    on_hull = sorted(
        (entry.composition.get(last, 0.0), entry.formation_energy_per_atom)
        for entry in hull.entries
        if entry.e_above_hull < 1e-6
    )
    line = on_hull if len(elements) == 2 else []
    traces: list[Any] = [
        go.Scatter(
            x=[x for x, _ in line], y=[y for _, y in line], mode="lines", line={"color": INK}, name="hull"
        )
    ]
    colours = {"seed": SEED, "candidate": ACCENT, "discovery": STABLE}
    for kind, colour in colours.items():
        chosen = [entry for entry in hull.entries if kinds.get(entry.record_id) == kind]
        traces.append(
            go.Scatter(
                x=[entry.composition.get(last, 0.0) for entry in chosen],
                y=[entry.formation_energy_per_atom for entry in chosen],
                text=[
                    f"{entry.formula} {entry.record_id}<br>{entry.e_above_hull:.3f} above hull"
                    for entry in chosen
                ],
                hoverinfo="text",
                mode="markers",
                name=kind,
                marker={"color": colour, "size": 11 if kind == "discovery" else 7, "opacity": 0.85},
            )
        )
    return traces


def discovery_figure(records: Sequence[StructureRecord], rounds: Sequence[RoundRecord]) -> Figure:
    """Discoveries found against validations asked for, round by round."""
    from plotly import graph_objects as go

    by_id = {record.id: record for record in records}
    found, curve = 0, [0]
    for closed in rounds:
        for identifier in closed.batch if closed.number > 0 else []:
            verdict = by_id[identifier].verdict if identifier in by_id else None
            found += verdict is not None and verdict.discovery_round is not None
            curve.append(found)
    figure = go.Figure(go.Scatter(x=list(range(len(curve))), y=curve, line={"color": ACCENT, "shape": "hv"}))
    return _styled(figure, "validations", "discoveries")


def parity_figure(records: Sequence[StructureRecord]) -> Figure:
    """Predicted against validated formation energy, with 90 % error bars, by round."""
    from plotly import graph_objects as go

    figure = go.Figure()
    judged = [r for r in records if r.verdict and _predicted(r) is not None]
    for number in sorted({r.acquired_round for r in judged if r.acquired_round is not None}):
        chosen = [r for r in judged if r.acquired_round == number]
        pairs = [pair for r in chosen if (pair := _predicted(r)) is not None]
        figure.add_scatter(
            x=[r.verdict.formation_energy_per_atom for r in chosen if r.verdict],
            y=[mean for mean, _ in pairs],
            error_y={"array": [1.645 * std for _, std in pairs], "color": FAINT, "thickness": 1},
            mode="markers",
            name=f"round {number}",
        )
    ends = [r.verdict.formation_energy_per_atom for r in judged if r.verdict] or [0.0]
    figure.add_scatter(
        x=[min(ends), max(ends)],
        y=[min(ends), max(ends)],
        mode="lines",
        line={"color": FAINT},
        showlegend=False,
    )
    return _styled(figure, "validated formation energy (eV/atom)", "predicted (eV/atom)")


def _predicted(record: StructureRecord) -> tuple[float, float] | None:
    value = record.prediction.get("formation_energy_per_atom")
    return None if value is None or value.mean is None or value.std is None else (value.mean, value.std)


def phonon_figure(phonons: PhononRecord, tolerance: float) -> Figure:
    """Phonon bands; imaginary frequencies are drawn below zero, where the verdict line is."""
    from plotly import graph_objects as go

    bands = np.array(phonons.frequencies)
    figure = go.Figure()
    for branch in range(bands.shape[1]):
        figure.add_scatter(
            x=phonons.distances,
            y=bands[:, branch],
            mode="lines",
            line={"color": ACCENT, "width": 1.2},
            hoverinfo="y",
        )
    figure.add_hline(y=-tolerance, line={"color": UNSTABLE, "dash": "dot"})
    labels = [
        label.replace("$", "").replace("\\Gamma", "Γ").replace("\\mathrm{", "").replace("}", "")
        for _, label in phonons.ticks
    ]
    _styled(figure, "", "frequency (THz)")
    figure.update_xaxes(tickvals=[where for where, _ in phonons.ticks], ticktext=labels, gridcolor=FAINT)
    figure.update_layout(showlegend=False)
    return figure


def structure_figure(record: StructureRecord) -> Figure:
    """Atoms of the relaxed cell and its edges in three dimensions."""
    from plotly import graph_objects as go
    from pymatgen.analysis.molecule_structure_comparator import CovalentRadius
    from pymatgen.vis.structure_vtk import EL_COLORS

    structure = relaxed_structure(record)
    figure = go.Figure()
    for symbol in sorted({site.specie.symbol for site in structure}):
        sites = _with_images(structure, symbol)
        colour = "rgb({},{},{})".format(*EL_COLORS["Jmol"].get(symbol, (150, 150, 150)))
        size = 9 * CovalentRadius.radius.get(symbol, 1.3)
        figure.add_scatter3d(
            x=sites[:, 0],
            y=sites[:, 1],
            z=sites[:, 2],
            mode="markers",
            name=symbol,
            marker={"size": size, "color": colour, "line": {"color": INK, "width": 1}},
        )
    for start, end in _edges(structure.lattice.matrix):
        figure.add_scatter3d(
            x=[start[0], end[0]],
            y=[start[1], end[1]],
            z=[start[2], end[2]],
            mode="lines",
            line={"color": FAINT},
            showlegend=False,
            hoverinfo="skip",
        )
    hidden = {"visible": False}
    figure.update_layout(
        scene={"xaxis": hidden, "yaxis": hidden, "zaxis": hidden, "aspectmode": "data"},
        margin={"l": 0, "r": 0, "t": 0, "b": 0},
        height=420,
        font={"family": _FONT, "color": INK},
    )
    return figure


def _with_images(structure: Any, symbol: str) -> Any:
    """Cartesian sites of one element (Å), those on a face repeated on the opposite one. Shape (n, 3)."""
    fractional = np.array([site.frac_coords % 1 for site in structure if site.specie.symbol == symbol])
    found = []
    for site in fractional:
        for shift in np.ndindex(2, 2, 2):
            moved = site + shift
            if (moved < 1 + 1e-3).all():
                found.append(moved)
    return np.array(found) @ structure.lattice.matrix


def _edges(matrix: Any) -> list[tuple[Any, Any]]:
    corners = {corner: np.array(corner) @ matrix for corner in np.ndindex(2, 2, 2)}
    return [
        (corners[a], corners[b])
        for a in corners
        for b in corners
        if a < b and sum(np.abs(np.subtract(a, b))) == 1
    ]
