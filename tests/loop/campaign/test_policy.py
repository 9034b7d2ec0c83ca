"""When a campaign stops."""

import pytest

from niobe.config.search.budget import Budget, Policy
from niobe.config.spec import CampaignSpec
from niobe.loop.campaign.policy import seconds_left, validations_left, why_stop
from niobe.loop.documents.rounds import CampaignRecord, RoundMetrics, RoundRecord, RoundState

SPEC = CampaignSpec(id="t", elements=("Nb",), budget=Budget(rounds=3, validations=10, oracle_seconds=100))


def campaign(**fields: object) -> CampaignRecord:
    base = CampaignRecord(id="t", spec={}, spec_digest="", schema_version=1)
    return base.model_copy(update=fields)


def rounds(*discoveries: int) -> list[RoundRecord]:
    return [
        RoundRecord(campaign="t", number=n, state=RoundState.CLOSED, metrics=RoundMetrics(discoveries=found))
        for n, found in enumerate(discoveries)
    ]


def test_budgets_end_it() -> None:
    assert why_stop(SPEC, campaign(), rounds(0, 1), 5, 50) == ""
    assert why_stop(SPEC, campaign(), rounds(0, 1, 1, 1), 5, 50) == "all rounds done"
    assert why_stop(SPEC, campaign(extra_rounds=1), rounds(0, 1, 1, 1), 5, 50) == ""
    assert why_stop(SPEC, campaign(), rounds(0, 1), 10, 50) == "all validations spent"
    assert why_stop(SPEC, campaign(), rounds(0, 1), 5, 100) == "all oracle seconds spent"
    assert validations_left(SPEC, campaign(extra_validations=3), 11) == 2
    assert why_stop(SPEC, campaign(extra_oracle_seconds=50.0), rounds(0, 1), 5, 120) == ""
    assert seconds_left(SPEC, campaign(extra_oracle_seconds=50.0), 120) == 30
    assert validations_left(SPEC, campaign(), 12) == 0


def test_the_user_and_lost_patience_end_it() -> None:
    patient = SPEC.model_copy(update={"policy": Policy(patience=2)})
    assert why_stop(SPEC, campaign(stop=True), rounds(0), 0, 0) == "stopped by the user"
    assert why_stop(patient, campaign(), rounds(0, 0), 5, 0) == ""
    assert why_stop(patient, campaign(), rounds(0, 0, 0), 5, 0) == "no discovery in 2 rounds"
    assert why_stop(patient, campaign(), rounds(0, 0, 1), 5, 0) == ""


@pytest.mark.parametrize(
    ("policy", "finds", "nothing", "says"),
    [
        (Policy(), 0.0, 1.0, ""),
        (Policy(expected_finds=0.5), 0.5, 1.0, ""),
        (
            Policy(expected_finds=0.5),
            0.49,
            0.0,
            "0.49 finds expected of the next batch;",
        ),
        (Policy(expected_finds=0.5), None, None, ""),
        (Policy(confidence=0.9), 0.0, 0.89, ""),
        (Policy(confidence=0.9), 5.0, 0.9, "with 90 % confidence no candidate drawn lies on the hull; "),
    ],
)
def test_too_little_expected_ends_it(
    policy: Policy, finds: float | None, nothing: float | None, says: str
) -> None:
    spec = SPEC.model_copy(update={"policy": policy})
    before, last = rounds(0, 1)
    last = last.model_copy(update={"expected_finds": finds, "nothing_left": nothing})
    found = why_stop(spec, campaign(), [before, last], 5, 0)
    assert found.startswith(says) and bool(found) == bool(says)
