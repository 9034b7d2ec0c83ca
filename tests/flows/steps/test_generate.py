"""The generate step on a real database: the GAN's part, its alarms, and what happens when it collapses."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.home import checkpoint
from niobe.config.spec import CampaignSpec, Generation, GeneratorShare, Oracle
from niobe.flows.steps.generate import generate, mark_duplicates, screen
from niobe.flows.steps.train import train_gan
from niobe.loop.campaign.seeds import new_record
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.dynamics import SoftMode, Stability
from niobe.loop.documents.records import Lineage, Status
from niobe.loop.documents.rounds import PhononRecord
from niobe.loop.documents.structures import generated_structure
from niobe.loop.generators.prototypes import decorated_prototypes
from niobe.loop.store.database import Database
from niobe.surrogates.gan import CrystalGAN
from niobe.surrogates.models import make_surrogate
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


def test_what_is_left_of_earlier_rounds_is_compared_with_new_results(database: Database) -> None:
    """A candidate passed over in round 1 is what another one of round 1 relaxed into."""
    drawn = {
        index: new_record(SPEC, 1, index, structure, Lineage(generator="test"))
        for index, structure in enumerate((nbo(4.3), rutile(), nbo(4.4)))
    }
    left = [
        record.model_copy(update={"status": Status.SCREENED, "pinned": index == 2})
        for index, record in drawn.items()
    ]
    result = validated(nbo(4.2), -9.0, round_number=1, index=3)
    database.campaigns.create(SPEC)
    database.records.insert([*left, result])
    mark_duplicates(database, SPEC, 2)
    assert [database.records.get(record.id).status for record in left] == [
        "duplicate",
        "screened",
        "screened",
    ]
    assert database.records.get(left[0].id).duplicate_of == result.id


def test_a_large_round_is_drawn_and_screened_in_parts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = CampaignSpec(
        id="g",
        elements=("Nb", "O"),
        generation=Generation(
            candidates=22,
            mix=(GeneratorShare(name="random", share=0.6), GeneratorShare(name="prototype", share=0.4)),
        ),
    )
    monkeypatch.setattr("niobe.flows.steps.generate._AT_ONCE", 4)
    database.campaigns.create(spec)
    database.rounds.open(spec.id, 1)
    for _ in range(2):  # a step that died and is run again draws the same
        generate(database, spec, database.rounds.get("g", 1))
        drawn = database.records.find("g", round=1)
        assert [record.index for record in drawn] == list(range(len(drawn)))
        assert sum(record.lineage.generator == "random" for record in drawn) == 13
    assert len({record.fingerprint for record in drawn if record.lineage.generator == "random"}) == 13
    screen(database, spec, database.rounds.get("g", 1))
    assert database.records.count("g", round=1, status=Status.GENERATED.value) == 0
