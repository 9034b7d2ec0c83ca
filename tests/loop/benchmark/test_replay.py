"""Replay against tables small enough to know the answer."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from niobe.config.errors import ConfigError
from niobe.loop.acquisition import misses, near_hull, outlook, target_probability
from niobe.loop.acquisition.targets import Judge
from niobe.loop.benchmark.replay import (
    ABLATION,
    FULL,
    FUNCTIONS_COMPARED,
    PRIOR_ALONE,
    RANDOM,
    WITHOUT_PRIOR,
    Plan,
    Table,
    run_setting,
)
from niobe.loop.benchmark.replay_surrogate import corrected
from niobe.loop.benchmark.replay_tables import chemical_class, phase_diagram_table, property_table
from niobe.loop.benchmark.replaying import (
    against_the_prior,
    chosen_settings,
    figures,
    replay,
    tables_of,
    without_hits,
)
from niobe.loop.stability.convex_hull import Hull
from niobe.surrogates.protocols import FloatArray
from tests.loop.factory import element, nbo, rocksalt, rutile

FORMULAS = ["Li2O", "LiP", "P2O5", "Li3PO4", "LiPO3", "FeO", "Fe2O3", "LiFePO4", "FePO4", "FeP", "Li2O2"]
ELEMENTS = ["Fe", "Li", "O", "P"]


def shares(formula: str) -> dict[str, float]:
    return dict(Composition(formula).fractional_composition.get_el_amt_dict())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-3, 1), min_size=len(FORMULAS), max_size=len(FORMULAS)))
def test_the_hull_is_pymatgens(energies: list[float]) -> None:
    entries = [
        PDEntry(Composition(f), e * Composition(f).num_atoms) for f, e in zip(FORMULAS, energies, strict=True)
    ]
    diagram = PhaseDiagram([*entries, *(PDEntry(Composition(symbol), 0.0) for symbol in ELEMENTS)])
    expected = [diagram.get_hull_energy_per_atom(Composition(f).fractional_composition) for f in FORMULAS]
    level = Hull([shares(f) for f in FORMULAS], ELEMENTS).level(np.array(energies))
    assert level == pytest.approx(expected, abs=1e-6)


def test_what_is_not_known_takes_no_part_in_the_hull() -> None:
    hull = Hull([shares("FeO"), shares("Fe2O3")], ["Fe", "O"])
    assert hull.level(np.array([np.inf, -1.0])) == pytest.approx([-0.5 / 0.6, -1.0])
    assert hull.level(np.array([np.inf, np.inf])) == pytest.approx([0.0, 0.0])


def chance(judge: Judge, *energies: FloatArray, kinds: NDArray[np.int64] | None = None) -> FloatArray:
    return target_probability(misses(judge, *energies, kinds=kinds, seed=0))


def test_target_probability_counts_draws_on_the_hull_that_all_make_together() -> None:
    """Two candidates of one composition: only one of them can be the lower."""
    judge = near_hull([shares("FeO")] * 3, ["Fe", "O"], 0.0)
    sure = chance(judge, np.array([-1.0]), np.array([-2.0, -0.5]), np.full(2, 1e-9))
    assert sure == pytest.approx([1.0, 0.0], abs=1e-6)
    even = chance(judge, np.array([5.0]), np.full(2, -2.0), np.full(2, 1.0))
    assert 0.9 < even.sum() < 1.2
    unknown = chance(judge, np.array([-1.0]), np.array([np.nan, -2.0]), np.full(2, 0.1))
    assert np.isnan(unknown[0])
    assert unknown[1] > 0.9


def test_a_target_counts_the_less_the_higher_it_lies() -> None:
    """By hand, in one draw: on the hull, halfway to a tolerance of 0.1 eV/atom, at it, and 0.02 beyond."""
    missed = np.array([[-0.1, -0.05, 0.0, 0.02, np.nan]])
    even, falling = target_probability(missed), target_probability(missed, 0.1)
    assert even[:4] == pytest.approx([1.0, 1.0, 1.0, np.exp(-1)])
    assert falling[:4] == pytest.approx([1.0, 0.75, 0.5, 0.5 * np.exp(-1)])
    assert np.isnan(even[4]) and np.isnan(falling[4])


def test_an_outlook_counts_whole_targets_only() -> None:
    """By hand: two draws of four candidates, judged by a tolerance of 0.1 eV/atom."""
    missed = np.array([[-0.2, 0.001, np.nan, -0.05], [-0.1, -0.05, np.nan, 0.3]])
    found = outlook(missed, 0.1, [0, 1])
    assert found is not None
    assert (found.finds, found.nothing_left) == (1.5, 0.0)  # 1 and 2 finds; the first is on the hull in both.
    unknown = outlook(missed, 0.1, [0, 1, 2])
    assert unknown is not None and unknown.finds == pytest.approx(1.5 * 3 / 2)
    others = outlook(missed[:, 1:], 0.1, [0])
    assert others is not None and others.nothing_left == 1.0
    assert outlook(missed, 0.1, [2]) is None


def test_errors_of_one_kind_go_together() -> None:
    """Of a hundred alike, the luckiest draw puts the hull of independent ones out of reach of the best one.

    With errors mostly shared it stays the best.
    """
    judge = near_hull([shares("FeO")] * 101, ["Fe", "O"], 0.05)
    mean = np.array([-2.0, *np.full(99, -1.8)])
    known, std = np.array([5.0]), np.full(100, 0.1)
    apart = chance(judge, known, mean, std)
    together = chance(judge, known, mean, std, kinds=np.zeros(100, dtype=int))
    assert apart[0] < 0.6
    assert together[0] > apart[0] + 0.2
    assert together[0] > 5 * together[1:].max()


def line(n: int = 40) -> Table:
    """Targets are the four lowest energies, and the feature tells them."""
    energies = np.linspace(0.0, -1.0, n)
    return Table(
        name="line",
        ids=tuple(f"row{i}" for i in range(n)),
        features=np.column_stack([energies, np.ones(n)]),
        energies=energies,
        level=lambda given: np.full(n, energies[-4]),
        tolerance=0.0,
        start=(0,),
        prior=energies + 0.01,
    )


@pytest.mark.parametrize("setting", ABLATION + FUNCTIONS_COMPARED, ids=lambda setting: setting.name)
def test_every_setting_asks_each_row_once_and_no_more_than_allowed(setting: object) -> None:
    hits = run_setting(line(), setting, Plan(initial=4, batch=5, calls=100), seed=1)  # type: ignore[arg-type]
    assert len(hits) == 39
    assert sum(hits) == 4


def test_a_perfect_prior_finds_the_targets_at_once_and_the_first_calls_are_shared() -> None:
    plan = Plan(initial=6, batch=4, calls=12)
    prior = next(setting for setting in ABLATION if setting.prior)
    assert sum(run_setting(line(), prior, plan, seed=3)[:4]) >= 3
    learned = next(setting for setting in FUNCTIONS_COMPARED if setting.name == "retrained greedy")
    assert run_setting(line(), learned, plan, seed=3)[:6] == run_setting(line(), RANDOM, plan, seed=3)[:6]


def test_a_correction_without_skill_leaves_the_order_of_the_base() -> None:
    """Labels without a rule: the base and one number; with a rule: the rule; of three rows: the base."""
    rng = np.random.default_rng(0)
    base, features, taught = rng.normal(size=20), rng.normal(size=(20, 5)), rng.normal(size=(40, 5))
    noise = corrected(base, features, taught, rng.normal(size=40), seed=1)
    assert np.ptp(noise.mean - base) == pytest.approx(0, abs=1e-9) and (noise.std > 0.5).all()
    rule = corrected(base, features, taught, taught[:, 0], seed=1)
    assert np.corrcoef(rule.mean - base, features[:, 0])[0, 1] > 0.7
    few = corrected(base, features, taught[:3], np.ones(3), seed=1)
    assert few.mean == pytest.approx(base) and few.std.max() < 0.01


def test_known_rows_are_measured_against_the_hull_of_the_others() -> None:
    """A-B at ½ and ⅓: a rival 0.3 above its compound; alone the compound lies 1 below the elements."""
    shares = [{"A": 1.0}, {"B": 1.0}, {"A": 0.5, "B": 0.5}, {"A": 0.5, "B": 0.5}, {"A": 1 / 3, "B": 2 / 3}]
    energies = np.array([0.0, 0.0, -1.0, -0.7, -0.5])
    table = Table("A-B", tuple("abcde"), np.eye(5), energies, Hull(shares, ["A", "B"]).level, 0.0, (0, 1))
    level, above = table.hull_of(np.array([0, 1, 2, 3]))
    assert level == pytest.approx([0, 0, -1, -1, -2 / 3])
    assert above == pytest.approx([0, 0, -0.3, 0.3])


def test_ranking_by_the_prior_alone_ignores_what_is_revealed() -> None:
    table = dataclasses.replace(line(), prior=-line().energies)
    hits = run_setting(table, PRIOR_ALONE, Plan(initial=4, batch=5, calls=39), seed=1)
    assert hits == [False] * 35 + [True] * 4


def test_the_loop_is_set_beside_its_prior_and_chance() -> None:
    plan, seeds = Plan(initial=6, batch=4, calls=16), range(2)
    named = [FULL.name, PRIOR_ALONE.name, WITHOUT_PRIOR.name]
    settings = chosen_settings(ABLATION + FUNCTIONS_COMPARED, named)
    assert settings[0] is RANDOM
    runs = {s.name: {str(n): run_setting(line(), s, plan, seed=n) for n in seeds} for s in settings}
    (row,) = against_the_prior({"line": runs, "no prior": {RANDOM.name: runs[RANDOM.name]}})
    assert row["table"] == "line" and row["loop ÷ prior alone"] == pytest.approx(1.0)
    with pytest.raises(ConfigError, match="--setting: 'best' is unknown; allowed: random, greedy surrogate"):
        chosen_settings(settings, ["best"])


def frame() -> pd.DataFrame:
    found = [element("Nb"), element("O", 4.0), nbo(), rocksalt(), rutile()]
    return pd.DataFrame(
        {
            "lattice": [s.lattice.matrix.ravel() for s in found],
            "numbers": [np.array(s.atomic_numbers) for s in found],
            "frac_coords": [s.frac_coords.ravel() for s in found],
            "energy": [-20.0, -10.0, -60.0 * len(found[2]) / 6, -50.0, -56.0],
            "correction": [0.0] * 5,
            "e_form": [0.0, 0.0, -2.5, -1.0, -1.7],
        }
    )


def test_a_phase_diagram_hides_its_compounds_and_knows_its_elements() -> None:
    """NbO at −10 eV/atom lies 2.5 below the elements (−10 and −5); rock salt at −6.25 above them."""
    table = phase_diagram_table("Nb-O", frame(), tolerance=0.01, prior=np.array([-10.0, -5, -10, -6, np.nan]))
    assert table.start == (0, 1)
    assert table.energies[2] == pytest.approx(-2.5)
    assert table.targets.tolist() == [False, False, True, False, True]
    assert table.prior is not None
    assert table.prior[2:] == pytest.approx([-2.5, 1.5, 0.5])


def test_a_property_table_looks_for_the_lowest_of_each_class() -> None:
    table = property_table("sample", frame())
    assert table.targets.tolist() == [True, False, True, False, False]
    assert [chemical_class(set(e.split())) for e in ("Nb", "Nb O", "Zn S", "Na Cl", "Ga N")] == [
        "metallic", "oxide", "chalcogenide", "halide", "pnictide",
    ]  # fmt: skip


def test_a_prior_that_is_not_there_is_refused() -> None:
    table = property_table("sample", frame())
    with pytest.raises(ValueError, match="has none"):
        run_setting(table, ABLATION[-1], Plan(1, 1, 3), seed=0)


def replayed(table: pd.DataFrame, folder: Path) -> list[dict[str, Any]]:
    """Figures of a phase diagram's replay; the cheap potential's energies are those of the table."""
    folder.mkdir(exist_ok=True)
    table.to_parquet(folder / "table.parquet")
    np.save(folder / "table-prior.npy", table["energy"].to_numpy() / table["numbers"].map(len))
    rows = []
    for held, plan, _ in tables_of(
        folder / "table.parquet", folder, tolerances=[0.0], references=None, tick=lambda _: None
    ):
        rows += figures(held, replay(held, plan, ABLATION[:2], range(2), folder, lambda _: None))
    return rows


def test_without_a_hit_at_random_factors_are_dashes(tmp_path: Path) -> None:
    table = pd.concat([frame(), *[frame().iloc[3:]] * 4], ignore_index=True)
    table["energy"] = np.where(table.index < 2, table["energy"], 50.0)
    rows = replayed(table, tmp_path)
    assert [row["targets"] for row in rows] == ["0 of 11"] * 2
    assert {row[name] for row in rows for name in ("AF 25%", "AF 50%", "EF", "AUDC")} == {"–"}


def test_a_table_without_a_hit_at_random_is_named_in_a_line() -> None:
    names = (RANDOM.name, FULL.name, WITHOUT_PRIOR.name, PRIOR_ALONE.name)
    runs: dict[str, dict[str, list[bool]]] = {
        name: {str(seed): [False] * 4 for seed in range(3)} for name in names
    }
    assert without_hits({"line": runs}) == [
        "line: no target among 12 calls at random; no acceleration over that"
    ]
    (row,) = against_the_prior({"line": runs | {FULL.name: {str(seed): [True] * 4 for seed in range(3)}}})
    json.loads(json.dumps(row, allow_nan=False))
    assert row[FULL.name] is None
    assert without_hits({"line": runs | {RANDOM.name: {"0": [False, True]}}}) == []


def test_a_table_of_elements_and_one_without_them_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"Nb-O: 0 compounds; a replay needs 4"):
        replayed(frame().iloc[:2], tmp_path)
    with pytest.raises(ConfigError, match="no energy of elemental Nb"):
        replayed(frame().iloc[1:], tmp_path / "second")
