"""A confirmation that is killed at any of ten instants asks for nothing again that was stored."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pymatgen.core import Structure

from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.steps.claims import confirm as confirming
from niobe.flows.steps.claims.confirm import confirm_slot
from niobe.loop.crystals.similarity import content_hash
from niobe.loop.store.collections.answers import Answers
from niobe.loop.store.database import Database
from tests.flows.steps.test_confirm import SPEC, KilledError, answers, campaign, close

__all__ = ["campaign"]
pytestmark = pytest.mark.filterwarnings("ignore")  # of atomate2, about its own arguments
STRUCTURES = 3
INSTANTS = [(when, n) for when in ("asked", "answered", "stored") for n in range(STRUCTURES)] + [("none", 0)]
"""As each of three is asked about, has its answer, has it stored; and as all is done and it starts again."""


class Killer:
    """Raises at the ``n``-th of an instant, once; keeps what was asked and what is stored, in order."""

    def __init__(self, when: str, n: int) -> None:
        self.instant, self.seen, self.asked, self.stored = (
            (when, n),
            dict[str, int](),
            list[str](),
            list[str](),
        )

    def at(self, when: str) -> None:
        seen = self.seen[when] = self.seen.get(when, -1) + 1
        if (when, seen) == self.instant:
            raise KilledError

    def ask(self, spec: Any, oracle: Any, structure: Structure, folder: Path) -> Any:
        self.asked.append(content_hash(structure))
        self.at("asked")
        found = validate_structure(spec, oracle, structure, folder)
        self.at("answered")
        return found

    def store(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def storing(store: Answers, answer: Any) -> Any:
            kept = write(store, answer)
            self.stored.append(answer.content)
            self.at("stored")
            return kept

        return storing


@pytest.mark.parametrize(("when", "n"), INSTANTS)
def test_killed_at_any_instant_it_asks_for_nothing_that_was_stored(
    campaign: Database, monkeypatch: pytest.MonkeyPatch, when: str, n: int
) -> None:
    killer = Killer(when, n)
    monkeypatch.setattr(confirming, "validate_structure", killer.ask)
    monkeypatch.setattr(Answers, "store", killer.store(Answers.store))
    if when == "none":
        confirm_slot(campaign, SPEC, 1, 0, 1)
    else:
        with pytest.raises(KilledError):
            confirm_slot(campaign, SPEC, 1, 0, 1)
    stored, before = list(killer.stored), len(killer.asked)
    confirm_slot(campaign, SPEC, 1, 0, 1)
    assert not set(killer.asked[before:]) & set(stored)
    assert len(killer.asked) == STRUCTURES + (when in {"asked", "answered"})
    assert sorted(answer.content for answer in answers(campaign)) == sorted(set(killer.asked))
    assert close(campaign).opinions[0].agrees
