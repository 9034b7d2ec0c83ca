"""Workers that stop as they mark what they chose, and wake when another has chosen otherwise."""

from __future__ import annotations

import pytest

from niobe.flows.steps.claims import challenge as challenge_module
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.records import Lineage, Prerelaxed, Status, StructureRecord
from niobe.loop.store.database import Database
from tests.end_to_end.stopped_step import Named
from tests.end_to_end.test_stopped import FIRST, Sleepers, run, sleepers
from tests.flows.steps.acquisition.test_acquire import SPEC, pool
from tests.flows.steps.test_challenge import SPEC as OF_COPPER
from tests.flows.steps.test_challenge import campaign, diamond, fcc, simple_cubic

__all__ = ["pool", "sleepers"]
ACQUIRE: Named = ("acquire", (SPEC.model_dump(mode="json"), 1), {})
CHALLENGE: Named = ("challenge", (OF_COPPER.model_dump(mode="json"), 1, 0, 1), {})
OF_ACQUIRE, OF_CHALLENGE = range(FIRST, FIRST + 3), range(FIRST, FIRST + 7)
"""The writes before which a worker stops."""


@pytest.mark.parametrize("at", OF_ACQUIRE)
def test_what_another_did_not_choose_is_not_chosen_late(
    database: Database, pool: list[StructureRecord], sleepers: Sleepers, at: int
) -> None:
    """A person pins what the worker that stopped has not chosen."""
    database.rounds.open("t", 0)
    asleep = sleepers.start((1, "acquire"), ACQUIRE, ("write", at))
    batch = database.rounds.get("t", 1).batch
    others = [record.id for record in pool if record.id not in batch][:4]
    for record in others:
        database.records.update(record, pinned=True)
    run(ACQUIRE)
    assert database.rounds.get("t", 1).batch == others
    assert asleep is not None
    sleepers.wake([asleep])
    assert sleepers.wrong == []
    chosen = database.records.find("t", status=Status.ACQUIRED.value)
    assert sorted(record.id for record in chosen) == sorted(others)


@pytest.mark.parametrize("at", OF_CHALLENGE)
def test_what_a_challenge_set_out_to_ask_is_asked_by_who_goes_on_with_it(
    database: Database, sleepers: Sleepers, at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who does finds nothing in the pool, and nothing but what is displaced from the find."""
    find = campaign(database, simple_cubic(), diamond())
    database.rounds.open("t", 0)
    potential = challenge_module.prerelax_oracle(OF_COPPER).fingerprint
    answer = Prerelaxed(
        potential=potential, structure=fcc().as_dict(), energy_per_atom=-99.0, correction=0.0, steps=1
    )
    lower = new_record(OF_COPPER, 1, 9, fcc(3.7), Lineage(generator="random"))
    update = {"status": Status.SCREENED, "prerelaxed": answer}
    database.records.insert([lower.model_copy(update=update)])
    asleep = sleepers.start((1, "challenge"), CHALLENGE, ("write", at))
    monkeypatch.setattr(challenge_module, "_relaxed", lambda *given: None)
    run(CHALLENGE)
    assert database.records.get(find.id).challenge is not None
    sleepers.wake([asleep] if asleep else [])
    assert sleepers.wrong == []
    assert database.records.find("t", status=Status.ACQUIRED.value) == []
    assert not database.rounds.get("t", 1).rivals.get(find.id)
