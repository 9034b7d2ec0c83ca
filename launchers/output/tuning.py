"""What `niobe tune` leaves behind: a table, a plot, and the winner as a campaign can name it."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from niobe.surrogates.tuning import Trial


def write_study(folder: Path, model: str, trials: Sequence[Trial]) -> None:
    """Write trials.csv, trials.html and winner.yaml (a campaign's ``surrogate``, options included).

    folder: of the study. model: what was tuned. trials: all, best first.
    Raises ConfigError where no trial was completed.
    """
    from niobe.config.errors import ConfigError

    done = [trial for trial in trials if trial.state == "complete"]
    if not done:
        raise ConfigError(f"{folder}: no trial was completed")
    _write_table(folder / "trials.csv", trials)
    _write_plot(folder / "trials.html", trials)
    _write_winner(folder / "winner.yaml", model, done[0])


def _write_table(file: Path, trials: Sequence[Trial]) -> None:
    options = sorted({name for trial in trials for name in trial.options})
    with file.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["trial", "state", "error", "epochs", "rate", *options])
        for trial in trials:
            row = [trial.number, trial.state, trial.error, trial.epochs, trial.rate]
            writer.writerow([*row, *(trial.options.get(name) for name in options)])


def _write_plot(file: Path, trials: Sequence[Trial]) -> None:
    """Error by trial, pruned ones apart, and the best so far."""
    import numpy as np
    import plotly.graph_objects as go

    figure = go.Figure()
    ordered = sorted(trials, key=lambda trial: trial.number)
    for state in ("complete", "pruned"):
        part = [trial for trial in ordered if trial.state == state]
        text = [str(trial.options) for trial in part]
        numbers, errors = [t.number for t in part], [t.error for t in part]
        figure.add_scatter(x=numbers, y=errors, text=text, mode="markers", name=state)
    done = [trial for trial in ordered if trial.state == "complete"]
    best = np.minimum.accumulate([trial.error for trial in done])
    figure.add_scatter(x=[trial.number for trial in done], y=best, mode="lines", name="best so far")
    figure.update_layout(xaxis_title="trial", yaxis_title="error on the held part")
    figure.write_html(file, include_plotlyjs=True)


def _write_winner(file: Path, model: str, winner: Trial) -> None:
    import yaml

    options = winner.options | {"rate": winner.rate}
    surrogate = {"model": model, "epochs": winner.epochs, "options": options}
    file.write_text(yaml.safe_dump({"surrogate": surrogate}, sort_keys=False), encoding="utf-8")
