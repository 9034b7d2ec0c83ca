"""The generate step on a real database: the GAN's part, its alarms, and what happens when it collapses."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.home import checkpoint
from niobe.config.spec import CampaignSpec, Generation, GeneratorShare, Oracle
from niobe.flows.stages import plan
from niobe.flows.steps.generate import (
    _further_parts,
    generate,
    generate_part,
    mark_duplicates,
    screen,
    screen_compositions,
)
from niobe.flows.steps.known import with_crystals
from niobe.flows.steps.train import train_gan
from niobe.loop.campaign.seeds import new_record
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.dynamics import SoftMode, Stability
from niobe.loop.documents.records import Lineage, Status, StructureRecord
from niobe.loop.documents.rounds import PhononRecord
from niobe.loop.documents.structures import generated_structure
from niobe.loop.generators import RandomSymmetric
from niobe.loop.generators.prototypes import decorated_prototypes
from niobe.loop.store.database import Database
from niobe.surrogates.gan import CrystalGAN
from niobe.surrogates.models import make_surrogate
from niobe.surrogates.protocols import SampleBatch, SampleRequest
from tests.loop.factory import SPEC, nbo, rutile, validated

MIX = (GeneratorShare(name="gan", share=0.75), GeneratorShare(name="random", share=0.25))


@functools.cache
def varied_gan() -> CrystalGAN:
    corpus = [structure for _, structure in decorated_prototypes(("Nb", "O"), 8)][:40]
    gan = CrystalGAN(epochs=1)
    gan.fit(corpus, np.ones(len(corpus)), seed=1)
    return gan


def round_with(database: Database, gan: CrystalGAN, **generation: bool) -> tuple[CampaignSpec, Database]:
    spec = CampaignSpec(
        id="g",
        elements=("Nb", "O"),
        generation=Generation(candidates=16, mix=MIX, **generation),
    )
    folder = checkpoint(spec.id, 1, "gan")
    folder.mkdir(parents=True)
    gan.save(folder)
    database.campaigns.create(spec)
    database.rounds.open(spec.id, 1)
    return spec, database


def test_the_gans_diversity_is_stored_with_the_round(database: Database) -> None:
    spec, _ = round_with(database, varied_gan())
    generate(database, spec, database.rounds.get("g", 1))
    found = database.rounds.get("g", 1).metrics.diversity
    assert found is not None
    assert found.asked == 12
    assert found.space_groups > 0
    assert database.rounds.get("g", 1).notes == []
    names = [record.lineage.generator for record in database.records.find("g", round=1)]
    assert names.count("gan") == found.drawn
    assert names.count("random") == 4


def test_a_collapsed_gan_is_named_and_others_draw_its_part(database: Database) -> None:
    """A GAN trained on rutile alone repeats itself."""
    gan = CrystalGAN(epochs=120)
    gan.fit([rutile()] * 64, np.ones(64), seed=2)
    spec, _ = round_with(database, gan)
    generate(database, spec, database.rounds.get("g", 1))
    (note,) = database.rounds.get("g", 1).notes
    assert note.startswith("the GAN collapsed (")
    assert note.endswith("random drew its 12")
    names = [record.lineage.generator for record in database.records.find("g", round=1)]
    assert names == ["random"] * len(names)
    assert len(names) > 12
    assert database.rounds.get("g", 1).metrics.rejected_by_generator["gan: collapsed"] >= 0


def test_without_anything_that_the_gan_could_learn_from_others_draw_its_part(database: Database) -> None:
    """No prototype of five elements has as few atoms as the GAN writes."""
    elements = ("Fe", "Li", "Mn", "O", "P")
    spec = CampaignSpec(id="g", elements=elements, generation=Generation(candidates=8, mix=MIX))
    database.campaigns.create(spec)
    train_gan(database, spec, database.rounds.open("g", 1))
    assert not checkpoint(spec.id, 1, "gan").exists()
    generate(database, spec, database.rounds.get("g", 1))
    assert database.rounds.get("g", 1).notes == [
        "no prototype that the GAN could learn from; random drew its part"
    ]
    assert database.rounds.get("g", 1).wanted == {"random": 8}


def test_substitutions_of_earlier_rounds_are_not_drawn_again(database: Database) -> None:
    mix = (GeneratorShare(name="substitution"),)
    spec = CampaignSpec(id="g", elements=("Nb", "O"), generation=Generation(candidates=6, mix=mix))
    database.campaigns.create(spec)
    for number in (1, 2):
        generate(database, spec, database.rounds.open("g", number))
    drawn = database.records.find("g")
    seen = SeenStructures()
    for record in drawn:
        assert seen.find(generated_structure(record)) is None
        seen.add(record.id, generated_structure(record))
    assert [record.round for record in drawn] == [1] * 6 + [2] * 6
    assert all(record.lineage.origin["substituted"] for record in drawn)


def test_the_phonon_critic_writes_its_opinion_into_the_lineage(database: Database) -> None:
    spec, _ = round_with(database, varied_gan(), phonon_critic=True)
    structures = [structure for _, structure in decorated_prototypes(("Nb", "O"), 8)][:40]
    labels = np.array([structure.composition["O"] > structure.composition["Nb"] for structure in structures])
    surrogate = make_surrogate("gbt", members=2, epochs=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        surrogate.fit(structures, {"p_stable": labels.astype(float)}, seed=1)
    folder = checkpoint(spec.id, 1, "surrogate")
    folder.mkdir(parents=True)
    surrogate.save(folder)
    generate(database, spec, database.rounds.get("g", 1))
    drawn = [r for r in database.records.find("g", round=1) if r.lineage.generator == "gan"]
    assert drawn
    assert all(0 < float(record.lineage.origin["p_stable"]) <= 1 for record in drawn)
    assert database.rounds.get("g", 1).metrics.rejected_by_generator["gan: phonon critic"] > 0


@pytest.mark.filterwarnings("ignore")  # of monty under jobflow's run_locally
@pytest.mark.parametrize("modes", [0, 1])
def test_what_finds_no_mode_to_follow_is_drawn_by_the_others(database: Database, modes: int) -> None:
    """Soft modes are to draw 6 of 12. There is one way down at most: copper leaves a wide cell's centre."""
    mix = (GeneratorShare(name="soft_mode", share=1.0), GeneratorShare(name="random", share=1.0))
    spec = CampaignSpec(
        id="s",
        elements=("Cu", "Au"),
        oracle=Oracle(name="emt"),
        generation=Generation(candidates=12, mix=mix),
    )
    wide = Structure(Lattice.cubic(3.8), ["Cu", "Au"], np.array([[0.5] * 3, [0.0] * 3]))
    parent = validated(wide, -3.0, outcome=Stability.UNSTABLE).model_copy(update={"campaign": "s"})
    mode: SoftMode = {"q": [0, 0, 0], "frequency": -1.0, "real": [1.0, 0, 0, 0, 0, 0], "imag": [0.0] * 6}
    database.campaigns.create(spec)
    database.records.insert([parent])
    phonons = PhononRecord(
        record_id=parent.id,
        campaign="s",
        distances=[],
        frequencies=[],
        ticks=[],
        dos_frequencies=[],
        dos=[],
        supercell_matrix=np.eye(3, dtype=int).tolist(),
        modes=[mode] * modes,
    )
    database.phonons.store(phonons)
    generate(database, spec, database.rounds.open("s", 1))
    drawn = [record.lineage for record in database.records.find("s", round=1)]
    assert [lineage.generator for lineage in drawn] == ["random"] * (12 - modes) + ["soft_mode"] * modes
    assert [lineage.parents for lineage in drawn[12 - modes :]] == [[parent.id]] * modes
    assert database.rounds.get("s", 1).wanted == {"random": 12 - modes}


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_left_of_earlier_rounds_is_compared_with_new_results(
    database: Database, monkeypatch: pytest.MonkeyPatch, kept: bool
) -> None:
    """A candidate passed over in round 1 is what another one of round 1 relaxed into, whether shapes are kept
    or made anew."""
    drawn = {
        index: new_record(SPEC, 1, index, structure, Lineage(generator="test"))
        for index, structure in enumerate((nbo(4.3), rutile(), nbo(4.4)))
    }
    left = [
        record.model_copy(update={"status": Status.SCREENED, "pinned": index == 2})
        for index, record in drawn.items()
    ]
    result = validated(nbo(4.2), -9.0, round_number=1, index=3)
    spec = SPEC.model_copy(update={"prerelax": None})
    database.campaigns.create(spec)
    database.records.insert([*left, result])
    read: list[str] = []

    def reading(*asked: Any) -> Iterator[StructureRecord]:
        for record in with_crystals(*asked):
            read.append(record.id)
            yield record

    monkeypatch.setattr("niobe.flows.steps.generate.with_crystals", reading)
    if kept:
        database.shapes.complete(SPEC.id)
    mark_duplicates(database, spec, 2)
    assert read == ([] if kept else [left[0].id])
    assert [database.records.get(record.id).status for record in left] == [
        "duplicate",
        "screened",
        "screened",
    ]
    assert database.records.get(left[0].id).duplicate_of == result.id


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> CampaignSpec:
    """A campaign whose rounds are drawn in several parts."""
    for module in ("generate.DRAWN_AT_ONCE", "stages.DRAWN_AT_ONCE"):
        monkeypatch.setattr(f"niobe.flows.{'steps.' if module[0] == 'g' else ''}{module}", 4)
    mix = (GeneratorShare(name="random", share=0.6), GeneratorShare(name="prototype", share=0.4))
    return CampaignSpec(id="g", elements=("Nb", "O"), generation=Generation(candidates=22, mix=mix))


def _drawn(database: Database, spec: CampaignSpec, parts: Sequence[int]) -> list[StructureRecord]:
    generate(database, spec, database.rounds.get(spec.id, 1))
    for part in parts:
        generate_part(database, spec, database.rounds.get(spec.id, 1), part=part)
    return database.records.find(spec.id, round=1)


def test_parts_of_a_large_round_are_drawn_in_any_order(database: Database, in_parts: CampaignSpec) -> None:
    database.campaigns.create(in_parts)
    database.rounds.open("g", 1)
    assert _parts_planned(in_parts) == [2, 3, 4, 5, 6]
    drawn = _drawn(database, in_parts, _parts_planned(in_parts)[::-1])
    assert sum(record.lineage.generator == "random" for record in drawn) == 13
    assert len({record.fingerprint for record in drawn if record.lineage.generator == "random"}) == 13
    assert len({record.index for record in drawn}) == len(drawn)
    again = _drawn(database, in_parts, [3, 2, 3])  # steps that died and are run again draw the same
    assert [(r.id, r.fingerprint) for r in again] == [(r.id, r.fingerprint) for r in drawn]


def test_rejections_of_all_parts_are_counted(
    database: Database, in_parts: CampaignSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half(_: object, request: SampleRequest, count: int, *, seed: int) -> SampleBatch:
        made = RandomSymmetric().sample(request, count, seed=seed)
        return SampleBatch(made.samples[1:], {"too dense, 0.5 Å": 1})

    monkeypatch.setattr("niobe.loop.generators.PrototypeSubstitution.sample", half)
    database.campaigns.create(in_parts)
    database.rounds.open("g", 1)
    drawn = _drawn(database, in_parts, [2, 3, 4])
    rejected = database.rounds.get("g", 1).rejected
    assert {name: lost for name, lost in rejected.items() if name.startswith("prototype")} == {
        "prototype: too dense, 0.5 Å": 1,
        "prototype/2: too dense, 0.5 Å": 1,
        "prototype/3: too dense, 0.5 Å": 1,
    }
    assert len(drawn) + 3 == 22
    assert len({record.index for record in drawn}) == len(drawn)


def test_compositions_screened_beside_each_other_come_out_as_when_screened_at_once(
    database: Database, in_parts: CampaignSpec
) -> None:
    database.campaigns.create(in_parts)
    database.rounds.open("g", 1)
    drawn = _drawn(database, in_parts, [2, 3, 4])
    shared, alone = (_drawn_twice(database, in_parts, drawn, name) for name in ("shared", "alone"))
    for slot in (2, 0, 1):
        screen_compositions(database, shared, 1, slot, 3)
    screen(database, alone, database.rounds.get("alone", 1))
    found = [_screened(database, spec) for spec in (shared, alone)]
    assert found[0] == found[1]
    assert {status for _, status, _, _ in found[0]} == {Status.SCREENED, Status.DUPLICATE}


def _drawn_twice(
    database: Database, spec: CampaignSpec, drawn: Sequence[StructureRecord], name: str
) -> CampaignSpec:
    """A campaign of these candidates, each twice."""
    spec = spec.model_copy(update={"id": name})
    database.campaigns.create(spec)
    database.rounds.open(name, 1)
    for record in drawn:
        for index in (record.index, record.index + 100):
            own = {"id": f"{name}-{index}", "campaign": name, "index": index}
            database.records.insert([record.model_copy(update=own)])
    return spec


def _screened(database: Database, spec: CampaignSpec) -> list[tuple[int, Status, str, str]]:
    records = database.records.find(spec.id, round=1)
    return [(r.index, r.status, r.reason, (r.duplicate_of or "").removeprefix(spec.id)) for r in records]


def test_a_large_round_is_predicted_by_several_once_what_is_known_is_set_aside(
    in_parts: CampaignSpec,
) -> None:
    small = in_parts.model_copy(
        update={"generation": in_parts.generation.model_copy(update={"candidates": 4})}
    )
    jobs = [{s.name: s.job for s in plan(spec, 1)} for spec in (small, in_parts)]
    assert jobs[0]["predict"] == "predict" and "set_aside" not in jobs[0]
    assert jobs[1]["predict"] == "predict_compositions" and jobs[1]["set_aside"] == "set_aside"
    order = list(jobs[1])
    assert order.index("screen") < order.index("set_aside") < order.index("predict") < order.index("acquire")


def test_each_part_has_indexes_of_its_own() -> None:
    parts = _further_parts({"gan": 9_000, "random": 14_000}, start=10_000)
    assert parts == {
        "2": {"start": 10_000, "samples": {"gan/2": 4_000, "random/2": 5_000}},
        "3": {"start": 19_000, "samples": {"random/3": 4_000}},
    }


def _parts_planned(spec: CampaignSpec) -> list[int]:
    return [stage.arguments[0] for stage in plan(spec, 1) if stage.name.startswith("generate_")]
