"""What a running round is said to be doing."""

import pytest

from niobe.config.spec import CampaignSpec, Prior
from niobe.launchers.local.progress import doing
from niobe.loop.documents.rounds import RoundRecord

PLAIN = CampaignSpec(id="t", elements=("Nb", "O"), prior=None)
WITH_PRIOR = PLAIN.model_copy(update={"prior": Prior(keep=0.5)})
BEFORE = ("train_surrogate", "train_gan", "generate", "screen")


@pytest.mark.parametrize(
    ("spec", "done", "words"),
    [
        (PLAIN, (), "train surrogate"),
        (PLAIN, BEFORE, "predict"),
        (WITH_PRIOR, BEFORE, "prior looking at candidates"),
        (WITH_PRIOR, (*BEFORE, "choose_promising"), "prior relaxing the promising"),
        (WITH_PRIOR, (*BEFORE, "choose_promising", "breed_1"), "prior looking at offspring, litter 1"),
        (
            WITH_PRIOR,
            (*BEFORE, "choose_promising", "breed_1", "choose_promising_1"),
            "prior relaxing the promising, litter 1",
        ),
        (WITH_PRIOR, (*BEFORE, "breed_1", "breed_2"), "prior looking at offspring, litter 2"),
        (WITH_PRIOR, (*BEFORE, "choose_promising", "predict"), "acquire"),
        (WITH_PRIOR, (*BEFORE, "predict", "acquire"), "validating"),
    ],
)
def test_the_step_a_round_is_at_in_words(spec: CampaignSpec, done: tuple[str, ...], words: str) -> None:
    steps = dict.fromkeys(done, 1.0)
    assert doing(RoundRecord(campaign="t", number=1, state="open", steps=steps), spec) == words


def test_how_far_a_step_has_come_follows_it() -> None:
    running = RoundRecord(
        campaign="t", number=1, state="open", steps={"train_surrogate": 1.0}, doing="3 of 9"
    )
    assert doing(running, PLAIN) == "train gan 3 of 9"
