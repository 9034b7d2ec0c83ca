"""What counts as found, and the figures made of it, on runs small enough to count by hand."""

import numpy as np
import pytest
from pymatgen.core import Structure

from niobe.loop.benchmark.generative import (
    Run,
    ScoredRun,
    by_generator,
    energies_above,
    figures,
    hits,
    repeated,
    stable_hits,
)
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.records import Choice, Failure, Status, StructureRecord, Verdict
from tests.loop.factory import element, nbo, rocksalt, rutile, validated

ELEMENTS = [validated(element("Nb"), -10.0, index=0), validated(element("O", 3.0), -5.0, index=1)]
LABELS = {"random": "random generator, random choice", "better": "+ better"}


def call(
    structure: Structure, energy: float, rank: int, outcome: Stability = Stability.STABLE
) -> StructureRecord:
    record = validated(structure, energy, round_number=1, index=rank, outcome=outcome)
    return record.model_copy(update={"choice": Choice(function="f", selection="acquired", rank=rank)})


def failed(rank: int) -> StructureRecord:
    failure = Failure(step="relax", cause="unphysical", exception="E", message="m")
    update = {"status": Status.FAILED, "validation": None, "failure": failure}
    return call(rutile(), 0.0, rank).model_copy(update=update)


def run(setting: str, *calls: StructureRecord, seeds: tuple[StructureRecord, ...] = ()) -> Run:
    return Run.of(setting, 1, [*ELEMENTS, *seeds, *calls], 60.0)


def found(one: Run, *others: Run, tolerance: float = 0.1, calls: int = 4) -> list[bool]:
    above = energies_above([one, *others], [], ["Nb", "O"])
    return hits(one, above[0], tolerance, calls)


def test_calls_stand_in_the_order_they_were_chosen() -> None:
    one = run("a", call(nbo(), -9.0, 1), failed(2), call(rutile(), -8.0, 0))
    assert [record.formula for record in one.calls] == ["NbO2", "NbO", "NbO2"]
    assert [record.formula for record in one.seeds] == ["Nb", "O2"]


def test_a_hit_is_stable_and_unique() -> None:
    high = call(nbo(), -7.0, 0)
    one = run("a", high, call(nbo(), -9.0, 1), call(nbo(4.21), -9.0, 2), failed(3))
    assert found(one) == [False, True, False, False]
    assert repeated(one) == 2


def test_what_a_seed_holds_is_not_novel() -> None:
    one = run("a", call(nbo(), -9.0, 0), seeds=(validated(nbo(4.3), -9.0, index=2),))
    assert found(one) == [False] * 4
    assert repeated(one) == 1


def test_the_hull_is_that_of_all_runs_and_of_what_is_known() -> None:
    one, lower = run("a", call(rocksalt(), -9.0, 0)), run("b", call(nbo(), -9.2, 0))
    assert found(one, calls=1) == [True]
    assert found(one, lower, calls=1) == [False]
    assert found(one, lower, calls=1, tolerance=0.2) == [True]
    known = validated(nbo(), -9.3)
    (above,) = energies_above([one], [known], ["Nb", "O"])
    assert above == pytest.approx([0.3])


def test_a_failed_call_lies_infinitely_high() -> None:
    (above,) = energies_above([run("a", failed(0), call(nbo(), -9.0, 1))], [], ["Nb", "O"])
    assert above.tolist() == [np.inf, 0.0]


def test_what_lies_deeper_than_any_solid_neither_hits_nor_makes_the_hull() -> None:
    minimum = call(nbo(), -20.0, 0)
    verdict = Verdict(
        formation_energy_per_atom=-12.5, e_above_hull_found=0.0, e_above_hull_now=0.0, hull_round=1
    )
    minimum = minimum.model_copy(update={"verdict": verdict})
    assert found(run("a", minimum, call(rutile(), -9.0, 1)), calls=2) == [False, True]


def test_what_each_generator_led_to_by_hand() -> None:
    child = call(nbo(), -9.0, 0)
    child = child.model_copy(update={"lineage": child.lineage.model_copy(update={"generator": "soft_mode"})})
    one = run("random", child, failed(1), call(rocksalt(), -6.0, 2))
    other = run("random", call(rutile(), -9.5, 0))
    judged = [
        ScoredRun(one, [True, False, True], [True, False, False]),
        ScoredRun(other, [True, False, False], None),
    ]
    drawn = call(rutile(), -9.5, 0).lineage.generator
    assert by_generator({"random": judged}, LABELS) == [
        {"setting": LABELS["random"], "generator": name, "calls": n, "hits": hit, "phonon-stable": stable}
        for name, n, hit, stable in sorted([(drawn, 3, 0.67, 0.0), ("soft_mode", 1, 1.0, 1.0)])
    ]
    (row,) = by_generator({"random": [judged[1]]}, LABELS)
    assert (row["calls"], row["hits"], row["phonon-stable"]) == (1, 1.0, None)


def test_figures_by_hand() -> None:
    slow = run("random", call(rutile(), -5.0, 0), failed(1), call(rocksalt(), -6.0, 2), call(nbo(), -9.0, 3))
    fast = run("better", call(nbo(), -9.0, 0), call(rutile(), -9.5, 1, Stability.UNSTABLE))
    by_setting = {
        "random": [ScoredRun(slow, [False, False, False, True], None)],
        "better": [ScoredRun(fast, [True, True, False, False], [True, False, False, False])],
    }
    first, second = figures(by_setting, LABELS, batch=2)
    assert (first["setting"], first["effect on mSUN"], first["failed"]) == (LABELS["random"], "–", 1.0)
    assert (first["mSUN"], second["mSUN"]) == ("0.25", "0.50")
    assert (first["AUDC"], second["AUDC"]) == ("0.10", "0.70")
    assert (first["AF 50%"], second["AF 50%"], second["EF"]) == ("1.00", "4.00", "2.00")
    assert second["effect on mSUN"].startswith("0.25 (")
    assert second["hits a round"] == "1.00, 0.00"
    assert (first["phonon-stable"], second["phonon-stable"]) == ("–", "0.25")
    assert (second["censored"], second["minutes"]) == (0, 1.0)


def test_several_runs_have_an_interval() -> None:
    one = run("random", call(nbo(), -9.0, 0))
    runs = [ScoredRun(one, found, found) for found in ([True, False], [False, False], [True, True])]
    (row,) = figures({"random": runs}, LABELS, batch=1)
    assert row["mSUN"].startswith("0.50 (")
    assert row["phonon-stable"].startswith("0.50 (")
    assert row["hits a round"] == "0.67, 0.33"


def test_without_a_hit_of_the_baseline_no_factor_is_made_up() -> None:
    none, some = run("random", failed(0)), run("better", call(nbo(), -9.0, 0))
    by_setting = {"random": [ScoredRun(none, [False], [False])], "better": [ScoredRun(some, [True], [True])]}
    first, second = figures(by_setting, LABELS, batch=1)
    assert (first["AF 50%"], second["AF 50%"], second["EF"]) == ("–", "–", "–")


def test_a_stable_hit_is_the_first_that_phonons_call_stable() -> None:
    unstable, stable = call(nbo(), -9.0, 0, Stability.UNSTABLE), call(nbo(4.21), -9.01, 1)
    one = run("a", unstable, stable, call(nbo(4.22), -9.0, 2), failed(3))
    (above,) = energies_above([one], [], ["Nb", "O"])
    assert hits(one, above, 0.1, 4) == [True, False, False, False]
    assert stable_hits(one, above, 0.1, 4) == [False, True, False, False]


def test_verdicts_asked_for_later_count_where_the_run_had_none() -> None:
    open_, unstable = call(nbo(), -9.0, 0, Stability.UNDECIDED), call(rutile(), -9.0, 1, Stability.UNSTABLE)
    one = run("a", open_, unstable)
    later = {open_.id: Stability.STABLE, unstable.id: Stability.STABLE}
    assert one.dynamics() == [Stability.UNDECIDED, Stability.UNSTABLE]
    judged = one.model_copy(update={"later": later})
    assert judged.dynamics() == [Stability.STABLE, Stability.UNSTABLE]
    assert stable_hits(judged, np.zeros(2), 0.1, 2) == [True, False]


def test_without_any_verdict_nothing_is_said_of_stability_but_nothing_low_is_nothing_stable() -> None:
    one = run("a", call(nbo(), -9.0, 0, Stability.UNDECIDED))
    assert stable_hits(one, np.array([0.05]), 0.1, 1) is None
    assert stable_hits(one, np.array([0.2]), 0.1, 1) == [False]


def test_calls_are_over_with_their_round_where_all_of_them_were_timed() -> None:
    records = [call(nbo(), -9.0, 0), call(rutile(), -8.0, 1)]
    records = [one.model_copy(update={"acquired_round": rnd}) for rnd, one in enumerate(records, 1)]
    assert Run.of("niobe", 1, records, 60.0, {1: 20.0, 2: 55.0}).ended == (20.0, 55.0)
    assert Run.of("niobe", 1, records, 60.0, {1: 20.0}).ended == ()
    assert Run.of("niobe", 1, records, 60.0).ended == ()
