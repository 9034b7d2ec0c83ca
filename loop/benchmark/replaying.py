"""Replays settings on tables, seed by seed, keeping each finished run, and says how much faster each was."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.config.atomic import write_whole
from niobe.config.errors import ConfigError
from niobe.loop.benchmark.replay import (
    ABLATION,
    FULL,
    FUNCTIONS_COMPARED,
    PRIOR_ALONE,
    RANDOM,
    WITHOUT_PRIOR,
    Plan,
    Setting,
    Table,
    run_setting,
)
from niobe.loop.benchmark.replay_tables import phase_diagram_table, property_table, read_frame, structures
from niobe.loop.campaign.acceleration import (
    acceleration_factor,
    area_under_curve,
    bootstrap,
    discovery_curve,
    enhancement_factor,
)
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    import pandas as pd

Tick = Callable[[str], None]
Runs = dict[str, dict[str, list[bool]]]
_SAMPLE = 2000
_STRUCTURES_AT_ONCE = 16
_FEWEST = 4
_SHARES = (0.25, 0.5, 0.75)
_COMPARED = (RANDOM.name, WITHOUT_PRIOR.name, FULL.name, PRIOR_ALONE.name)


def tables_of(
    path: Path, scratch: Path, *, tolerances: Sequence[float], references: Path | None, tick: Tick
) -> Iterator[tuple[Table, Plan, tuple[Setting, ...]]]:
    """The tables of a parquet file, each with its plan and the settings to run on it.

    A file with ``energy`` and ``correction`` holds phase diagrams, one for each value of ``src``; one with
    ``e_form`` is sampled, 2,000 rows, and takes elemental ``references`` (JSON) for the prior. CHGNet
    energies are computed once and kept in ``scratch``. Raises ConfigError for a file that is neither.

    path: where the file goes. tolerances: e_above_hull of a hit, at most, eV/atom. tick: called with what
    is being done.
    """
    frame = read_frame(path)
    if {"energy", "correction"} <= set(frame):
        yield from _phase_diagrams(path, frame, scratch, tolerances, tick)
    elif "e_form" in frame:
        drawn = frame.sample(min(_SAMPLE, len(frame)), random_state=0).reset_index(drop=True)
        energies = _prior_energies(drawn, scratch / f"{path.stem}-prior.npy", tick)
        table = property_table(path.stem, drawn, prior=_against(drawn, energies, references))
        yield table, Plan(initial=20, batch=20, calls=len(drawn) // 10), _settings(table)
    else:
        raise ConfigError(f"{path}: neither energy and correction nor e_form; it has {', '.join(frame)}")


def _phase_diagrams(
    path: Path, frame: pd.DataFrame, scratch: Path, tolerances: Sequence[float], tick: Tick
) -> Iterator[tuple[Table, Plan, tuple[Setting, ...]]]:
    energies = _prior_energies(frame, scratch / f"{path.stem}-prior.npy", tick)
    elements = [frozenset(numbers.tolist()) for numbers in frame["numbers"].map(np.asarray)]
    for _, group in frame.groupby("src" if "src" in frame else np.zeros(len(frame))):
        system = frozenset().union(*(elements[i] for i in group.index))
        rows = [i for i, present in enumerate(elements) if present <= system]
        chosen = frame.iloc[rows].reset_index(drop=True)
        for tolerance in tolerances:
            name = f"{_chemsys(chosen)} ε {tolerance:g}"
            table = phase_diagram_table(name, chosen, tolerance=max(tolerance, 1e-6), prior=energies[rows])
            hidden = len(table.hidden())
            if hidden < _FEWEST:
                raise ConfigError(f"{path}: {_chemsys(chosen)}: {hidden} compounds; a replay needs {_FEWEST}")
            plan = Plan(initial=5, batch=max(2, hidden // 30), calls=hidden // 2)
            yield table, plan, _settings(table) if tolerance == min(tolerances) else (*ABLATION, PRIOR_ALONE)


def _settings(table: Table) -> tuple[Setting, ...]:
    every = ABLATION + FUNCTIONS_COMPARED
    return every if table.prior is not None else tuple(setting for setting in every if not setting.prior)


def chosen_settings(settings: Sequence[Setting], names: Sequence[str] | None) -> tuple[Setting, ...]:
    """Random choice and the settings of these names; all without names. Raises ConfigError for others."""
    known = {setting.name: setting for setting in ABLATION + FUNCTIONS_COMPARED}
    for name in names or ():
        if name not in known:
            raise ConfigError(f"--setting: {name!r} is unknown; allowed: {', '.join(known)}")
    return tuple(s for s in settings if not names or s.name in {RANDOM.name, *names})


def _chemsys(frame: pd.DataFrame) -> str:
    from pymatgen.core import Element

    numbers = {int(number) for row in frame["numbers"] for number in row}
    return "-".join(sorted(Element.from_Z(number).symbol for number in numbers))


def _prior_energies(frame: pd.DataFrame, kept: Path, tick: Tick) -> FloatArray:
    """CHGNet energies (n,), eV/atom, of the structures as they stand; NaN where it has no answer."""
    if kept.is_file():
        return np.asarray(np.load(kept, allow_pickle=False))
    from chgnet.model import CHGNet

    model = CHGNet.load(use_device="cpu", verbose=False)
    found = structures(frame)
    order = np.argsort([len(structure) for structure in found])
    energies = np.full(len(found), np.nan)
    for start in range(0, len(found), _STRUCTURES_AT_ONCE):
        tick(f"CHGNet {start} of {len(found)}")
        for row in order[start : start + _STRUCTURES_AT_ONCE]:
            try:
                energies[row] = float(model.predict_structure(found[row], task="e")["e"])
            except ValueError:  # an atom without neighbours
                energies[row] = np.nan
    kept.parent.mkdir(parents=True, exist_ok=True)
    scratch = kept.with_suffix(".part.npy")
    np.save(scratch, energies, allow_pickle=False)
    scratch.replace(kept)
    return energies


def _against(frame: pd.DataFrame, energies: FloatArray, references: Path | None) -> FloatArray | None:
    """Formation energies (n,), eV/atom, against elemental references; None without them."""
    if references is None:
        return None
    content = json.loads(references.read_text(encoding="utf-8"))
    known = {symbol: row["e_per_atom"] + row["correction_per_atom"] for symbol, row in content.items()}
    return np.array(
        [
            energy - sum(x * known[str(e)] for e, x in s.composition.fractional_composition.items())
            for s, energy in zip(structures(frame), energies, strict=True)
        ]
    )


def replay(
    table: Table, plan: Plan, settings: Sequence[Setting], seeds: Sequence[int], scratch: Path, tick: Tick
) -> Runs:
    """Hits of every setting and seed, by name; finished runs are read from ``scratch``, new ones kept
    there.

    table: what is replayed. plan: calls at first, at once and in all. settings: of the phonons. seeds: one
    run each. tick: called with what is being done.
    """
    kept = scratch / f"{table.name.replace(' ', '_')}.json"
    done: Runs = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    for setting in settings:
        runs = done.setdefault(setting.name, {})
        for seed in seeds:
            if str(seed) not in runs:
                tick(f"{table.name}: {setting.name}, seed {seed}")
                runs[str(seed)] = run_setting(table, setting, plan, seed=1000 * seed)
                write_json(kept, done)
    return {
        setting.name: {str(seed): done[setting.name][str(seed)] for seed in seeds} for setting in settings
    }


def write_json(path: Path, content: Any) -> None:
    """Write JSON whole or not at all."""
    write_whole(path, json.dumps(content))


def figures(table: Table, runs: Mapping[str, Mapping[str, Sequence[bool]]]) -> list[dict[str, Any]]:
    """One row a setting: acceleration at 25, 50 and 75 % of random's final D, EF(B), AUDC, hits per call.

    Medians over seeds with 90 % bootstrap intervals, each seed against the mean curve of the random setting.
    """
    curves = {
        setting: [discovery_curve(hits) for hits in by_seed.values()] for setting, by_seed in runs.items()
    }
    baseline = np.mean(curves[RANDOM.name], axis=0)
    targets, hidden = int(table.targets.sum()), len(table.hidden())
    rows = []
    for setting, found in curves.items():
        factors = {share: [acceleration_factor(c, baseline, share) for c in found] for share in _SHARES}
        rows.append(
            {
                "table": table.name,
                "targets": f"{targets} of {hidden}",
                "setting": setting,
                **{f"AF {share:.0%}": _shown(factors[share]) for share in _SHARES},
                "EF": _shown([enhancement_factor(c, baseline, len(c)) for c in found]),
                "AUDC": _shown([_area(c, targets) for c in found]),
                "hits per call": float(np.mean([c[-1] / len(c) for c in found])),
                "censored": sum(bool(c[-1] < 0.5 * baseline[-1]) for c in found),
            }
        )
    return rows


def _area(curve: FloatArray, targets: int) -> float:
    """AUDC against a search whose every call is a hit until nothing is left to find; NaN for no targets."""
    if not targets:
        return float("nan")
    best = discovery_curve([t < targets for t in range(len(curve))])
    return area_under_curve(curve) / area_under_curve(best)


def _shown(values: Sequence[float]) -> str:
    """The median of runs and its interval; a dash where no run has a value, as without a hit at random."""
    if np.isnan(values).all():
        return "–"
    interval = bootstrap(values)
    return f"{interval.value:.2f} ({interval.low:.2f}–{interval.high:.2f})"


def overall(replays: Sequence[Mapping[str, Mapping[str, Sequence[bool]]]]) -> dict[str, str]:
    """Acceleration at 50 % by setting: median over the seeds of all tables, with its interval."""
    factors: dict[str, list[float]] = {}
    for runs in replays:
        baseline = np.mean([discovery_curve(hits) for hits in runs[RANDOM.name].values()], axis=0)
        for setting, by_seed in runs.items():
            factors.setdefault(setting, []).extend(
                acceleration_factor(discovery_curve(hits), baseline, 0.5) for hits in by_seed.values()
            )
    return {setting: _shown(values) for setting, values in factors.items()}


def against_the_prior(
    replays: Mapping[str, Mapping[str, Mapping[str, Sequence[bool]]]],
) -> list[dict[str, Any]]:
    """One row a table with a prior: what the loop is worth beside ranking by the prior alone and at random.

    Accelerations at 50 %, medians over seeds; the median of the ratio of two; mean finds over random's.

    replays: hits of each call by table, setting and seed.
    """
    return [
        {"table": table} | _beside_the_prior(runs)
        for table, runs in replays.items()
        if {*_COMPARED} <= {*runs}
    ]


def _beside_the_prior(runs: Mapping[str, Mapping[str, Sequence[bool]]]) -> dict[str, Any]:
    curves = {name: [discovery_curve(hits) for hits in runs[name].values()] for name in _COMPARED}
    baseline = np.mean(curves[RANDOM.name], axis=0)
    factors = {n: [acceleration_factor(c, baseline, 0.5) for c in found] for n, found in curves.items()}
    pairs = zip(factors[FULL.name], factors[PRIOR_ALONE.name], strict=True)
    mean = {name: float(np.mean([c[-1] for c in found])) for name, found in curves.items()}
    return {
        **{name: _finite(np.median(values)) for name, values in factors.items()},
        "loop ÷ prior alone": _finite(np.median([_over(own, other) for own, other in pairs])),
        "found: loop without prior ÷ random": _finite(_over(mean[WITHOUT_PRIOR.name], mean[RANDOM.name])),
    }


def without_hits(replays: Mapping[str, Mapping[str, Mapping[str, Sequence[bool]]]]) -> list[str]:
    """A line for each table in which no call of the random setting was a hit: nothing to accelerate from.

    replays: hits of each call by table, setting and seed.
    """
    lines = []
    for table, runs in replays.items():
        hits = list(runs[RANDOM.name].values())
        if not np.any(hits):
            calls = sum(map(len, hits))
            lines.append(f"{table}: no target among {calls} calls at random; no acceleration over that")
    return lines


def _finite(value: float) -> float | None:
    """None where it is infinite or not known: JSON has no number for either."""
    return float(value) if np.isfinite(value) else None


def _over(value: float, other: float) -> float:
    """A ratio; 1 of nothing over nothing, infinite of something over it."""
    if other:
        return value / other
    return float("inf") if value else 1.0
