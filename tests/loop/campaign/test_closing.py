"""Discoveries, displaced discoveries and duplicates as rounds close."""

from collections.abc import Callable

import pytest

from niobe.config.loading import with_changes
from niobe.loop.campaign.closing import close_round, hits_of, round_metrics
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.novelty import Novelty, NoveltyKind
from niobe.loop.documents.records import Choice, PredictedValue, StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from tests.loop.factory import SPEC, element, fcc, nbo, rocksalt, validated

CHOSEN = Choice(function="greedy", selection="acquired", rank=0)
SEEDS = [validated(element("Nb"), -10.0), validated(element("O", 3.0), -5.0, index=1)]


def closed(records: list[StructureRecord], number: int) -> list[StructureRecord]:
    _, verdicts = close_round(SPEC, number, records)
    return [record.model_copy(update={"verdict": verdicts[record.id]}) for record in records]


def test_a_stable_unique_novel_structure_is_a_discovery() -> None:
    found = closed([*SEEDS, validated(nbo(), -9.5, round_number=1)], 1)[2].verdict
    assert found is not None
    assert (found.discovery, found.discovery_round, found.displaced_round) == (True, 1, None)


def test_without_phonons_a_discovery_needs_no_dynamical_verdict() -> None:
    plain = with_changes(SPEC, {"phonons.enabled": False})
    records = [*SEEDS, validated(nbo(), -9.5, round_number=1, outcome=Stability.UNDECIDED)]
    for spec, expected in ((SPEC, False), (plain, True)):
        _, verdicts = close_round(spec, 1, records)
        assert verdicts[records[2].id].discovery is expected


def test_what_was_known_before_is_rediscovered_and_a_verdict_can_be_taken_back() -> None:
    """A find counts as a call that found something, whatever is known; only finds are asked about."""
    find = validated(nbo(), -9.5, round_number=1).model_copy(update={"choice": CHOSEN})
    records = [*SEEDS, find, validated(rocksalt(), -8.0, round_number=1, index=1)]
    asked: list[str] = []

    def known_as(kind: NoveltyKind) -> Callable[[StructureRecord], Novelty]:
        def novelty(record: StructureRecord) -> Novelty:
            asked.append(record.id)
            return Novelty(kind=kind, of="mp:1")

        return novelty

    for kind, discovery, number in ((NoveltyKind.NEW, True, 1), (NoveltyKind.KNOWN, False, None)):
        _, verdicts = close_round(SPEC, 1, records, novelty=known_as(kind))
        found = verdicts[find.id]
        assert (found.discovery, found.discovery_round, found.rediscovered) == (
            discovery,
            number,
            not discovery,
        )
        records[2] = find.model_copy(update={"verdict": found})
        assert hits_of(records, "acquired") == (1, 1)
    assert asked == [find.id, find.id]


def test_a_seed_an_unstable_and_a_duplicate_are_none() -> None:
    records = [
        *SEEDS,
        validated(nbo(), -9.5, index=2),
        validated(nbo(4.25), -9.5, round_number=1),
        validated(rocksalt(), -9.5, round_number=1, index=1, outcome=Stability.UNSTABLE),
    ]
    seed, copy, unstable = closed(records, 1)[2:]
    assert [record.verdict.discovery for record in (seed, copy, unstable) if record.verdict] == [False] * 3
    assert copy.verdict is not None
    assert copy.verdict.duplicate_of == seed.id


def test_a_stable_crystal_is_no_duplicate_of_an_unstable_one_that_looks_like_it() -> None:
    """What a soft mode leads to differs from its parent by less than a comparison of crystals sees; a copy
    without phonons of its own is a copy.
    """
    parent = validated(nbo(), -9.5, round_number=1, outcome=Stability.UNSTABLE)
    copy = validated(nbo(4.19), -9.5, round_number=1, index=1, outcome=Stability.UNDECIDED)
    child, again = (validated(nbo(a), -9.51, round_number=2, index=1) for a in (4.21, 4.22))
    fallen_back = validated(nbo(4.23), -9.5, round_number=2, index=2, outcome=Stability.UNSTABLE)
    closed_ = closed([*SEEDS, parent, copy, child, again, fallen_back], 2)[2:]
    assert [record.verdict and record.verdict.duplicate_of for record in closed_] == [
        *(None, parent.id, None, child.id, parent.id)
    ]
    assert closed_[2].verdict is not None
    assert closed_[2].verdict.discovery


def test_of_two_that_relaxed_into_one_crystal_the_later_of_the_batch_is_the_duplicate() -> None:
    """Whatever order they were drawn in: the first has the phonons, and is the discovery."""
    first = ranked(validated(nbo(), -9.5, round_number=1, index=80), 0)
    other = validated(nbo(4.21), -9.5, round_number=1, index=10, outcome=Stability.UNDECIDED)
    late, found = closed([*SEEDS, ranked(other, 3), first], 1)[2:]
    assert late.verdict and found.verdict
    assert (late.verdict.duplicate_of, found.verdict.duplicate_of) == (found.id, None)
    assert (late.verdict.discovery, found.verdict.discovery) == (False, True)


def test_what_was_judged_before_is_no_duplicate_of_an_older_candidate_acquired_now() -> None:
    known = ranked(validated(nbo(), -9.5, round_number=2), 0)
    judged = closed([*SEEDS, known], 2)
    waited = ranked(validated(nbo(4.21), -9.5, round_number=1), 0).model_copy(update={"acquired_round": 3})
    again = closed([*judged[:2], waited, judged[2]], 3)[2:]
    assert [record.verdict and record.verdict.duplicate_of for record in again] == [judged[2].id, None]


def test_a_crystal_is_not_measured_against_its_own_duplicate() -> None:
    """NbO at -9.5, once more 0.6 meV/atom lower: NbO is stable against niobium and oxygen, by 2 eV/atom."""
    first = closed([*SEEDS, ranked(validated(nbo(), -9.5, round_number=1), 0)], 1)
    lower = ranked(validated(nbo(4.21), -9.5006, round_number=2), 0)
    found, other = closed([*first, lower], 2)[2:]
    assert found.verdict and other.verdict
    assert other.verdict.duplicate_of == found.id
    assert found.verdict.phase == "stable"
    assert found.verdict.above_products == pytest.approx(-9.5 + 7.5)
    assert {product.formula for product in found.verdict.products} == {"Nb", "O2"}


def ranked(record: StructureRecord, rank: int) -> StructureRecord:
    choice = Choice(function="greedy", selection="acquired", rank=rank)
    return record.model_copy(update={"choice": choice})


def test_in_a_campaign_of_one_element_a_new_crystal_of_it_is_a_discovery() -> None:
    alone = with_changes(SPEC, {"elements": ["Nb"]})
    records = [SEEDS[0], validated(element("Nb", 3.9), -10.1, round_number=1)]
    for spec, expected in ((alone, True), (SPEC, False)):
        _, verdicts = close_round(spec, 1, [*records, SEEDS[1]] if spec is SPEC else records)
        assert verdicts[records[1].id].discovery is expected


def test_a_metastable_crystal_of_a_campaign_of_one_element_falls_into_the_lowest() -> None:
    """0.05 eV/atom above bcc, which is all that it may fall into."""
    alone = with_changes(SPEC, {"elements": ["Nb"]})
    higher = validated(fcc("Nb"), -9.95, round_number=1)
    _, verdicts = close_round(alone, 1, [SEEDS[0], higher])
    verdict = verdicts[higher.id]
    assert verdict.phase == "metastable"
    assert verdict.above_products == pytest.approx(0.05)
    assert [(product.record_id, product.share) for product in verdict.products] == [(SEEDS[0].id, 1.0)]


def test_a_discovery_is_displaced_by_a_better_one_and_keeps_when_found() -> None:
    first = closed([*SEEDS, validated(rocksalt(), -9.0, round_number=1)], 1)
    second = closed([*first, validated(nbo(), -9.5, round_number=2)], 2)
    displaced, better = second[2].verdict, second[3].verdict
    assert displaced is not None
    assert better is not None
    assert (displaced.discovery, displaced.discovery_round, displaced.displaced_round) == (False, 1, 2)
    assert displaced.e_above_hull_found == 0.0
    assert displaced.e_above_hull_now > 0.4
    assert better.discovery


def test_closing_again_changes_nothing() -> None:
    once = closed([*SEEDS, validated(nbo(), -9.5, round_number=1)], 1)
    assert closed(once, 1) == once


def test_metrics_count_hits_by_setting_and_coverage() -> None:
    predicted = {"formation_energy_per_atom": PredictedValue(mean=-1.9, std=0.1, in_domain=True)}
    hit = validated(nbo(), -9.5, round_number=1)
    miss = validated(rocksalt(), -7.0, round_number=1, index=1)
    hit = hit.model_copy(
        update={"choice": Choice(function="qlogei", selection="acquired", rank=0), "prediction": predicted}
    )
    miss = miss.model_copy(
        update={"choice": Choice(function="random", selection="control", rank=1), "prediction": predicted}
    )
    records = closed([*SEEDS, hit, miss], 1)
    metrics = round_metrics(SPEC, RoundRecord(campaign="t", number=1), records)
    assert (metrics.hit_rate, metrics.control_hit_rate, metrics.discoveries) == (1.0, 0.0, 1)
    assert metrics.coverage == 0.5
    assert metrics.mae is not None
    assert abs(metrics.mae - (0.1 + 2.4) / 2) < 1e-9


def test_what_challenges_a_find_is_no_part_of_its_round_s_batch() -> None:
    hit = validated(nbo(), -9.5, round_number=1)
    rival = validated(rocksalt(), -7.0, round_number=1, index=1)
    choice = Choice(function="challenge of x", selection="challenge", rank=1)
    records = closed([*SEEDS, hit, rival.model_copy(update={"choice": choice})], 1)
    metrics = round_metrics(SPEC, RoundRecord(campaign="t", number=1), records)
    assert (metrics.validated, metrics.failed) == (1, 0)
