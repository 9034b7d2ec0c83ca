"""Tuning a network: grid, random or architecture search with pruning, by Optuna; interrupted studies go on.

A grid is gone through in order, a random search draws from it without replacement.

Pruning by successive medians (Golovin et al., KDD 2017); architecture search by a tree-structured Parzen
estimator (Bergstra et al., NeurIPS 2011).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from niobe.surrogates.domain import chemistries_of
from niobe.surrogates.identity import claim, origin_of
from niobe.surrogates.models.neural import held_rows
from niobe.surrogates.models.recipes import RECIPES
from niobe.surrogates.models.targets import Baseline, checked
from niobe.surrogates.protocols import FloatArray
from niobe.surrogates.representations.composition import fractions
from niobe.surrogates.training import History, Rows, train

if TYPE_CHECKING:
    import optuna
    from pymatgen.core import Structure

Search = Literal["grid", "random", "nas"]
SEARCHES: tuple[Search, ...] = ("grid", "random", "nas")
_GRAPH: dict[str, list[Any]] = {
    "width": [32, 64, 96],
    "layers": [2, 3, 4],
    "cutoff": [5.0, 6.0, 8.0],
    "neighbours": [8, 12, 16],
}
SPACES: dict[str, dict[str, list[Any]]] = {
    "elemnet": {"shrink": [1, 2, 4, 8, 16]},
    "ptable_cnn": {"width": [16, 32, 48, 64], "layers": [1, 2, 3, 4]},
    "wyckoff_rnn": {"width": [32, 64, 96], "layers": [1, 2]},
    "cgcnn": _GRAPH | {"hidden": [32, 64, 128]},
    "schnet": _GRAPH,
    "physnet": _GRAPH,
    "moments": _GRAPH | {"readout": ["mean", "attention"], "activation": ["silu", "gelu", "relu"]},
}
_RATES = [5e-4, 1e-3, 2e-3, 4e-3]


@dataclass(frozen=True)
class Trial:
    """One architecture: its options, training rate, error (the target's unit) and epochs it was given.

    state: complete or pruned.
    """

    number: int
    options: dict[str, Any]
    rate: float
    error: float
    epochs: int
    state: str


def tune(
    model: str,
    structures: Sequence[Structure],
    target: str,
    labels: FloatArray,
    *,
    search: Search,
    trials: int,
    epochs: int,
    seed: int,
    folder: Path,
    tick: Callable[[Trial], None] | None = None,
) -> list[Trial]:
    """Run the study in a folder up to ``trials`` trials; all of them, best first.

    model: a network by name. structures: n. labels: (n,), finite, in the target's unit. target: a
    surrogate's target by name. search: which options are tried next. trials: how many, those done before
    included; no options are tried twice, so at most all there are. epochs: of each trial. seed: of rows held
    out, weights and search; an interrupted study ends where an uninterrupted one does. folder: holds the
    journal ``study.log`` and what it is of, ``study.json``. tick: told of each trial.
    Raises ValueError for a model without a search space, or where the folder holds a study of other rows,
    settings or code.
    """
    if model not in SPACES:
        raise ValueError(f"{model!r} has nothing to tune; allowed: {', '.join(sorted(SPACES))}")
    space = SPACES[model] | {"rate": _RATES}
    asked = {"model": model, "target": target, "search": search, "epochs": epochs}
    claim(folder / "study.json", asked | origin_of(structures, {target: labels}, seed))
    study = _study(folder / "study.log", _sampler(search, space, seed))
    objective = _objective(model, structures, target, labels, epochs, seed)
    while len(_done(study)) < min(trials, math.prod(map(len, space.values()))):
        study.optimize(objective, n_trials=1, catch=())
        if tick is not None:
            tick(_trial(study.trials[-1]))
    found = [_trial(trial) for trial in _done(study)]
    return sorted(found, key=lambda trial: (trial.state != "complete", trial.error))


def _study(storage: Path, sampler: optuna.samplers.BaseSampler) -> optuna.Study:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    journal = optuna.storages.journal.JournalFileBackend(str(storage))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(journal),
        study_name="study",
        sampler=sampler,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=4, n_warmup_steps=2),
        load_if_exists=True,
    )
    for trial in study.trials:
        if not trial.state.is_finished():
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
    return study


def _done(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Trials that came to an end; not those that were interrupted, which are tried again."""
    return [trial for trial in study.trials if trial.state.name in {"COMPLETE", "PRUNED"}]


def _sampler(search: Search, space: dict[str, list[Any]], seed: int) -> optuna.samplers.BaseSampler:
    """Options in an order that follows from the seed and the trials done, none of them twice."""
    import optuna
    from optuna.distributions import BaseDistribution, CategoricalDistribution

    every = [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
    if search != "grid":
        every = [every[i] for i in np.random.default_rng(seed).permutation(len(every))]

    class Unrepeated(optuna.samplers.BaseSampler):
        def infer_relative_search_space(
            self, study: optuna.Study, trial: optuna.trial.FrozenTrial
        ) -> dict[str, BaseDistribution]:
            return {name: CategoricalDistribution(values) for name, values in space.items()}

        def sample_relative(
            self,
            study: optuna.Study,
            trial: optuna.trial.FrozenTrial,
            search_space: dict[str, BaseDistribution],
        ) -> dict[str, Any]:
            tried = [done.params for done in _done(study)]
            if search == "nas":
                state = int(np.random.default_rng([seed, len(tried)]).integers(2**31))
                parzen = optuna.samplers.TPESampler(seed=state)
                found = {n: parzen.sample_independent(study, trial, n, d) for n, d in search_space.items()}
                if found not in tried:
                    return found
            return next(options for options in every if options not in tried)

        def sample_independent(self, *_: Any) -> Any:
            raise NotImplementedError("every option is sampled with the others")

    return Unrepeated()


def _objective(
    model: str,
    structures: Sequence[Structure],
    target: str,
    labels: FloatArray,
    epochs: int,
    seed: int,
) -> Callable[[optuna.Trial], float]:
    known, shares = checked(structures, {target: labels})[target], fractions(structures)
    held = held_rows(chemistries_of(structures), seed)
    kept = np.setdiff1d(np.arange(len(structures)), held)
    baseline = Baseline.fit(target, shares[kept], known[kept])
    reduced = baseline.reduced(shares, known)[:, None]

    def objective(trial: optuna.Trial) -> float:
        import optuna
        import torch

        options = {name: trial.suggest_categorical(name, values) for name, values in SPACES[model].items()}
        recipe = RECIPES[model].with_options(options)
        rate = trial.suggest_categorical("rate", _RATES)
        items = recipe.encoder.encode(structures)
        rows, valid = (Rows([items[i] for i in part], reduced[part]) for part in (kept, held))

        def tick(epoch: int, history: History) -> bool:
            trial.report(history.valid[-1] * baseline.scale, epoch)
            return math.isfinite(history.valid[-1]) and not trial.should_prune()

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = recipe.network(1)
        settings = replace(recipe.training, epochs=epochs, rate=rate)
        history = train(network, recipe.encoder, rows, valid, settings, seed=seed, binary=[False], tick=tick)
        if len(history.valid) < epochs or not math.isfinite(history.valid[-1]):
            raise optuna.TrialPruned
        return history.valid[-1] * baseline.scale

    return objective


def _trial(trial: optuna.trial.FrozenTrial) -> Trial:
    options = dict(trial.params)
    rate = options.pop("rate", float("nan"))
    last = trial.intermediate_values.get(trial.last_step, float("nan")) if trial.last_step else float("nan")
    error = trial.value if trial.value is not None else last
    return Trial(trial.number, options, rate, float(error), trial.last_step or 0, trial.state.name.lower())
