"""What a record says of a challenge and of other oracles' opinions."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from niobe.loop.documents.claims import Attempt, Challenge, Opinion, k_of_n
from niobe.loop.documents.records import StructureRecord
from tests.loop.factory import nbo, validated


def test_a_record_stored_before_there_were_any_is_read_as_one_without() -> None:
    document = validated(nbo(), -1.0).model_dump(mode="json", exclude={"challenge", "opinions"})
    record = StructureRecord.model_validate(document)
    assert record.challenge is None
    assert record.opinions == []


def test_what_has_no_answer_does_not_agree_and_is_counted() -> None:
    opinions = [
        Opinion(oracle="a", fingerprint="a 1", e_above_hull=0.01, agrees=True),
        Opinion(oracle="b", fingerprint="b 1", e_above_hull=0.4),
        Opinion(oracle="c", fingerprint="c 1", reason="not converged"),
    ]
    assert k_of_n(opinions) == (1, 3)


def test_a_challenge_took_what_its_attempts_took() -> None:
    attempts = [Attempt(attack="saddle", seconds=1.5), Attempt(attack="polymorphs", seconds=2.0)]
    assert Challenge(survived=True, attempts=attempts).seconds == 3.5


def test_an_energy_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValidationError):
        Opinion(oracle="a", fingerprint="a 1", e_above_hull=float("nan"))
