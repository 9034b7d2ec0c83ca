"""Jobs of a campaign that was forgotten, wherever they still are, make nothing of it anew."""

from __future__ import annotations

import pytest

from niobe.config.errors import ConfigError, GoneError
from niobe.config.spec import CampaignSpec
from niobe.launchers.upkeep.forgetting import forget, plan
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.store.collections.rounds import Rounds
from niobe.loop.store.database import Database
from tests.launchers.upkeep.test_forget import two

__all__ = ["two"]


def test_a_late_job_of_a_forgotten_campaign_makes_nothing_anew(two: Database) -> None:
    forget(two, plan(two, "old", shared=True))
    before = {name: two.mongo[name].count_documents({}) for name in two.mongo.list_collection_names()}
    for number in (0, 1):
        with pytest.raises(GoneError, match="'old' is not in the database"):
            two.open_round("old", number)
    assert before == {name: two.mongo[name].count_documents({}) for name in two.mongo.list_collection_names()}


def test_a_campaign_that_is_forgotten_as_a_job_opens_its_round_leaves_none(
    two: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_ = Rounds.open

    def late(self: Rounds, campaign: str, number: int) -> RoundRecord:
        forget(two, plan(two, "old", shared=True))
        return open_(self, campaign, number)

    monkeypatch.setattr(Rounds, "open", late)
    with pytest.raises(GoneError):
        two.open_round("old", 1)
    assert two.mongo["rounds"].count_documents({"campaign": "old"}) == 0


def test_a_late_job_opens_no_round_of_a_new_campaign_of_the_same_name(two: Database) -> None:
    forget(two, plan(two, "old", shared=True))
    two.campaigns.create(CampaignSpec(id="old", elements=("Nb", "O")))
    two.open_round("old", 0)
    with pytest.raises(ConfigError, match="no round 2"):
        two.open_round("old", 3)
