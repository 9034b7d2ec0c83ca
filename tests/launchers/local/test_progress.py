"""What a running round is said to be doing."""

import pytest
from rich.console import Console

from niobe.config.oracles.conditions import Conditions
from niobe.config.spec import CampaignSpec, Prerelaxation
from niobe.flows.stages import plan
from niobe.launchers.local.progress import CampaignProgress, doing
from niobe.loop.documents.answers import SecondAnswer
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.store.database import Database

PLAIN = CampaignSpec(id="t", elements=("Nb", "O"), prerelax=None)
WITH_PRERELAXATION = PLAIN.model_copy(update={"prerelax": Prerelaxation(keep=0.5)})
BEFORE = ("train_surrogate", "train_gan", "generate", "screen")


@pytest.mark.parametrize(
    ("spec", "done", "words"),
    [
        (PLAIN, (), "train surrogate"),
        (PLAIN, BEFORE, "predict"),
        (WITH_PRERELAXATION, BEFORE, "pre-relaxing candidates"),
        (WITH_PRERELAXATION, (*BEFORE, "choose_promising"), "relaxing the promising further"),
        (
            WITH_PRERELAXATION,
            (*BEFORE, "choose_promising", "offspring_1"),
            "pre-relaxing offspring, offspring batch 1",
        ),
        (
            WITH_PRERELAXATION,
            (*BEFORE, "choose_promising", "offspring_1", "choose_promising_1"),
            "relaxing the promising further, offspring batch 1",
        ),
        (
            WITH_PRERELAXATION,
            (*BEFORE, "offspring_1", "offspring_2"),
            "pre-relaxing offspring, offspring batch 2",
        ),
        (WITH_PRERELAXATION, (*BEFORE, "choose_promising", "predict"), "acquire"),
        (WITH_PRERELAXATION, (*BEFORE, "predict", "acquire"), "validating"),
    ],
)
def test_the_step_a_round_is_at_in_words(spec: CampaignSpec, done: tuple[str, ...], words: str) -> None:
    steps = dict.fromkeys(done, 1.0)
    assert doing(RoundRecord(campaign="t", number=1, steps=steps), spec) == words


def test_how_far_a_step_has_come_follows_it() -> None:
    running = RoundRecord(campaign="t", number=1, steps={"train_surrogate": 1.0}, doing="3 of 9")
    assert doing(running, PLAIN) == "train gan 3 of 9"


def test_answers_of_dft_are_counted_as_they_come(database: Database) -> None:
    spec = CampaignSpec.model_validate(
        {"id": "t", "elements": ["Nb", "O"], "confirm": {"oracles": ["gpaw"]}, "prerelax": None}
    )
    for number in range(3):
        database.answers.store(SecondAnswer(id=str(number), campaign="t" if number else "u", content="c"))
    database.campaigns.create(spec)
    database.rounds.open("t", 1)
    console = Console(record=True, width=200, force_terminal=True)
    with CampaignProgress(database, spec, console) as progress:
        progress.tick()
    assert "2 answers of other oracles" in console.export_text()


def test_a_plan_needs_only_what_comes_before_and_ends_by_closing() -> None:
    hot = PLAIN.model_copy(update={"conditions": Conditions(temperature=300.0)})
    for spec in (PLAIN, WITH_PRERELAXATION, hot):
        for number in (0, 1):
            names: list[str] = []
            for stage in plan(spec, number):
                assert set(stage.needs) <= set(names), stage
                names.append(stage.name)
            assert len(set(names)) == len(names)
            last = "validate" if number else "validate_further"
            challenge = ["choose_finds", "challenge"] if spec.challenges_finds else []
            besides = [*challenge, "confirm", "weigh_opinions"] if number else []  # round 0 has no finds
            besides += ["force_constants"] if number and spec is hot else []
            after = names[names.index(last) :]
            assert after == [last, "choose_phonons", "phonons", *besides, "close"]
