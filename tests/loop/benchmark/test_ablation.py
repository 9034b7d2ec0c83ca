"""The ablation series: from everything off to the campaign file's own settings, one part at a time."""

from pathlib import Path

import pytest

from niobe.config.loading import load_campaign, with_changes
from niobe.config.spec import CampaignSpec
from niobe.loop.benchmark.ablation import BASELINE, SIZES, Size, ablation_series

CAMPAIGNS = Path(__file__).parents[3] / "config" / "campaigns"
NB_O = load_campaign(CAMPAIGNS / "nb-o.yaml")
ALL_ON = with_changes(NB_O, {"generation.finetune": True, "acquisition.function": "p_target"})
SIZE = Size(calls=50, batch=10, candidates=100)


def test_every_part_is_one_setting_in_order() -> None:
    names = [setting.name for setting in ablation_series(ALL_ON, SIZE)]
    assert names == [
        *(BASELINE, "generators", "greedy", "acquisition"),
        *("retraining", "finetuning", "prerelax", "offspring", "phonons", "p_stable"),
    ]


def test_what_phonons_add_is_named_with_and_without_soft_modes() -> None:
    modes = [*NB_O.generation.mix, {"name": "soft_mode"}]
    adds = [
        ablation_series(with_changes(NB_O, {"generation.mix": mix}), SIZE)[-1].adds
        for mix in (modes[:-1], modes)
    ]
    assert adds == ["+ phonons", "+ phonons, soft modes"]


def test_the_first_setting_has_every_part_off() -> None:
    first = ablation_series(ALL_ON, SIZE)[0].spec
    assert [part.name for part in first.generation.mix] == ["random"]
    assert first.acquisition.function == "random"
    assert first.prerelax is None
    assert not (first.phonons.enabled or first.surrogate.retrain or first.generation.finetune)


def test_the_last_setting_is_the_campaign_itself_in_the_size_asked_for() -> None:
    last = ablation_series(NB_O, SIZE)[-1].spec
    sized = {
        "budget": last.budget,
        "acquisition.batch": 10,
        "acquisition.control_share": 0.0,
        "generation.candidates": 100,
    }
    assert last == with_changes(NB_O, sized)
    assert (last.budget.rounds, last.budget.validations) == (5, 50)


@pytest.mark.parametrize("size", SIZES.values())
def test_all_settings_may_spend_the_same(size: Size) -> None:
    specs = [setting.spec for setting in ablation_series(ALL_ON, size)]
    assert {(s.generation.candidates, s.budget, s.acquisition.batch, s.seed) for s in specs} == {
        (size.candidates, specs[0].budget, size.batch, ALL_ON.seed)
    }
    assert len({spec.digest() for spec in specs}) == len(specs)


def test_a_part_the_file_does_not_have_makes_no_setting() -> None:
    plain = CampaignSpec.model_validate(
        {"id": "a", "elements": ["Nb", "O"], "generation": {"mix": [{"name": "random"}], "finetune": False}}
    )
    names = [setting.name for setting in ablation_series(plain, SIZE)]
    assert names == [BASELINE, "greedy", "acquisition", "retraining", "prerelax", "phonons"]
