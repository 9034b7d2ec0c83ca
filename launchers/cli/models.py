"""Commands about surrogates: fit, judge, tune and extrapolate them on a table of structures."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from niobe.config import EPOCHS
from niobe.config.errors import ConfigError
from niobe.launchers.cli.shared import AsJson, check_no_folder, console, print_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pymatgen.core import Structure

    from niobe.surrogates.evaluation import LearningCurve, PowerLaw
    from niobe.surrogates.protocols import Surrogate
    from niobe.surrogates.tuning import Trial

app = typer.Typer()
models = typer.Typer(no_args_is_help=True, help="Fit and compare surrogate models on a table of structures.")
representations = typer.Typer(
    no_args_is_help=True, help="What the representations of a crystal can and cannot do."
)
app.add_typer(models, name="models")
app.add_typer(representations, name="representations")

Table = Annotated[Path, typer.Argument(help="CSV or parquet with structures (as for seeds.files).")]
Column = Annotated[str, typer.Option("--target", "-t", help="Column of labels, each a finite number.")]
Model = Annotated[str, typer.Option("--model", "-m", help="A registered surrogate; see `niobe models list`.")]
Members = Annotated[int, typer.Option(min=1, help="Members of an ensemble.")]
Epochs = Annotated[int, typer.Option(min=1, help="Epochs of training (trees: 3 an epoch).")]
Seed = Annotated[int, typer.Option(min=0, help="Of everything drawn at random.")]
Rows = Annotated[
    int | None, typer.Option(min=12, help="Use so many rows, drawn by the seed; all if left out.")
]
_ENERGY = "formation_energy_per_atom"
_NO_LAW = "no power law: it takes three numbers of records at which the surrogate answers for held-out rows"


@models.command("list")
def names(as_json: AsJson = False) -> None:
    """Registered models, and which options each takes."""
    from niobe.surrogates.models import models
    from niobe.surrogates.tuning import SPACES

    print_rows([{"model": m, "options": ", ".join(SPACES.get(m, {})) or None} for m in models()], as_json)


@models.command()
def fit(
    file: Table,
    to: Annotated[Path, typer.Argument(help="Folder of the checkpoint; a training in it goes on.")],
    target: Column,
    model: Model = "moments",
    members: Members = 3,
    epochs: Epochs = EPOCHS,
    seed: Seed = 0,
    rows: Rows = None,
) -> None:
    """Train a surrogate on a table and write its checkpoint.

    A folder that holds a training of another table, target, model, settings or code is refused.
    """
    from niobe.surrogates.identity import claim, origin_of

    structures, labels = _labelled(file, target, rows, seed)
    asked = {"target": target, "model": model, "members": members, "epochs": epochs}
    with _bad_input():
        surrogate = _maker(model, members, epochs, to / "training")()
        begun = claim(to / "fit.json", asked | origin_of(structures, {target: labels}, seed))
        if begun and (to / "surrogate.json").is_file():
            console().print(f"{model} was trained on these {len(labels)} rows before: {to}", soft_wrap=True)
            return
        surrogate.fit(structures, {_ENERGY: labels}, seed=seed)
    surrogate.save(to)
    how = "went on and was trained" if begun else "trained"
    console().print(f"{model} {how} on {len(labels)} rows: {to}", soft_wrap=True)


@models.command()
def compare(
    file: Table,
    target: Column,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="Again for each; all if none.")
    ] = None,
    members: Members = 2,
    epochs: Epochs = EPOCHS,
    folds: Annotated[int, typer.Option(min=2, help="Parts of the table, each held out once.")] = 3,
    seed: Seed = 0,
    rows: Rows = None,
    as_json: AsJson = False,
) -> None:
    """Cross-validated error, calibration, training seconds and structures a second of models, best first."""
    from niobe.surrogates.evaluation import compared
    from niobe.surrogates.models import models

    structures, labels = _labelled(file, target, rows, seed)
    makers = {name: _maker(name, members, epochs) for name in model or models()}
    with _bad_input():
        scores = compared(makers, structures, _ENERGY, labels, folds=folds, seed=seed)
    print_rows([dataclasses.asdict(score) for score in scores], as_json)


@app.command("learning-curve")
def learning_curve(
    file: Table,
    target: Column,
    model: Model = "gbt",
    members: Members = 2,
    epochs: Epochs = EPOCHS,
    repeats: Annotated[int, typer.Option(min=2, help="Trainings at each number of records.")] = 3,
    points: Annotated[int, typer.Option(min=3, help="Numbers of records, doubling up to all.")] = 4,
    aim: Annotated[float, typer.Option(min=0, help="Error to reach, in the target's unit.")] = 0.02,
    to: Annotated[Path | None, typer.Option(help="Draw it into this HTML file, which opens offline.")] = None,
    seed: Seed = 0,
    rows: Rows = None,
    as_json: AsJson = False,
) -> None:
    """Error against records, its power law, and how many more records the aimed error would take."""
    from niobe.surrogates.evaluation import learning_curve as measure
    from niobe.surrogates.evaluation import power_law

    if to is not None:
        check_no_folder(to)
    structures, labels = _labelled(file, target, rows, seed)
    most = len(labels) - len(labels) // 5
    sizes = sorted({most // 2**power for power in range(points)})
    make = _maker(model, members, epochs)
    with _bad_input():
        curve = measure(make, structures, _ENERGY, labels, sizes=sizes, repeats=repeats, seed=seed)
        law = power_law(curve, seed=seed)
    if to is not None:
        from niobe.launchers.output.learning_curve import write_curve

        write_curve(to, curve, law, f"{model}, error of {target}")
    print_rows(_by_records(curve, law), as_json)
    if not as_json:
        console().print(_extrapolation(law, aim, len(labels)) if law else _NO_LAW)


def _by_records(curve: LearningCurve, law: PowerLaw | None) -> list[dict[str, Any]]:
    """One row a number of records; no error where the surrogate abstained from all of a repeat's rows."""
    import numpy as np

    return [
        {
            "records": int(n),
            "error": float(errors.mean()) if np.isfinite(errors).all() else None,
            "spread": float(errors.std()) if np.isfinite(errors).all() else None,
            "law": law.error(n) if law else None,
            "answered": float(shares.mean()),
        }
        for n, errors, shares in zip(curve.sizes, curve.errors.T, curve.answered.T, strict=True)
    ]


def _extrapolation(law: PowerLaw, aim: float, have: int) -> str:
    interval = law.interval()
    needed = law.records_for(aim) if aim else (float("inf"),) * 3
    more = [f"{max(n - have, 0):,.0f}" if n < 1e12 else "more than anyone has" for n in needed]
    return (
        f"error ~ records^{law.exponent:.2f} (90 % between {interval[0]:.2f} and {interval[1]:.2f}); "
        f"for {aim:g}: {more[0]} more records (90 % between {more[1]} and {more[2]})"
    )


@app.command()
def tune(
    file: Table,
    to: Annotated[Path, typer.Argument(help="Folder of the study; an interrupted one goes on.")],
    target: Column,
    model: Model = "moments",
    search: Annotated[str, typer.Option(help="grid, random or nas.")] = "nas",
    trials: Annotated[int, typer.Option(min=1, help="Trainings in all, those done before too.")] = 20,
    epochs: Epochs = 20,
    seed: Seed = 0,
    rows: Rows = None,
    as_json: AsJson = False,
) -> None:
    """Search architectures with pruning; write a table, a plot and the winner for a campaign to name."""
    from niobe.launchers.output.tuning import write_study
    from niobe.surrogates.tuning import SEARCHES
    from niobe.surrogates.tuning import tune as run

    kind = next((known for known in SEARCHES if known == search), None)
    if kind is None:
        raise ConfigError(f"--search {search!r} is unknown; allowed: {', '.join(SEARCHES)}")
    structures, labels = _labelled(file, target, rows, seed)
    with _bad_input():
        found = run(
            model,
            structures,
            _ENERGY,
            labels,
            search=kind,
            trials=trials,
            epochs=epochs,
            seed=seed,
            folder=to,
            tick=None if as_json else _tell,
        )
    write_study(to, model, found)
    print_rows([_trial_row(trial) for trial in found], as_json)


@representations.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="File or folder of structures.")],
    most: Annotated[int, typer.Option("--most", "-n", min=2, help="Structures to measure on.")] = 30,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """Invariance, degeneracy, smoothness and the way back, measured for every representation.

    Rows that cannot be read, or that a representation cannot hold, are named; the figures are of the others.
    """
    from niobe.loop.readers.structure_files import read_some
    from niobe.surrogates.representations.report import REPRESENTATIONS
    from niobe.surrogates.representations.report import check as measure

    imported = read_some(file, "structures")
    chosen = imported.structures[:most]
    found = [measure(name, [structure for _, structure in chosen], seed=seed) for name in REPRESENTATIONS]
    refused = {p.name: [f"{chosen[row][0]}: {why}" for row, why in p.refused.items()] for p in found}
    if as_json:
        print_rows([dataclasses.asdict(p) | {"refused": refused[p.name]} for p in found], True)
        return
    print_rows([dataclasses.asdict(p) | {"refused": len(p.refused)} for p in found], False)
    lines = [f"{name}: {line}" for name, lines in refused.items() for line in lines]
    for line in [*(f"not read: {broken}" for broken in imported.broken), *lines]:
        console().print(line, soft_wrap=True)


@contextmanager
def _bad_input() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _labelled(file: Path, target: str, rows: int | None, seed: int) -> tuple[list[Structure], NDArray[Any]]:
    import numpy as np

    from niobe.loop.readers.labelled import labelled_structures

    structures, labels = labelled_structures(file, target)
    if rows is None or rows >= len(labels):
        return structures, labels
    chosen = np.sort(np.random.default_rng(seed).permutation(len(labels))[:rows])
    return [structures[i] for i in chosen], labels[chosen]


def _maker(name: str, members: int, epochs: int, work: Path | None = None) -> Callable[[], Surrogate]:
    from niobe.surrogates.models import make_surrogate

    return lambda: make_surrogate(name, members=members, epochs=epochs, work=work)


def _trial_row(trial: Trial) -> dict[str, Any]:
    options = ", ".join(f"{name} {value}" for name, value in trial.options.items())
    return {
        "trial": trial.number,
        "error": trial.error,
        "state": trial.state,
        "epochs": trial.epochs,
        "rate": f"{trial.rate:g}",
        "options": options,
    }


def _tell(trial: Trial) -> None:
    console().print(f"trial {trial.number}: {trial.error:.4f} {trial.state}", soft_wrap=True)
