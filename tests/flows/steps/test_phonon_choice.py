"""Which results get phonons of their own."""

from __future__ import annotations

from niobe.flows.steps.validate import choose_phonons
from niobe.loop.documents.dynamics import PhononVerdict, Stability
from niobe.loop.documents.records import Choice, StructureRecord
from niobe.loop.store.database import Database
from tests.loop.factory import SPEC, element, nbo, validated

SEEDS = [validated(element("Nb"), -10.0), validated(element("O", 3.0), -5.0, index=1)]


def waiting(a: float, energy: float, index: int) -> StructureRecord:
    """NbO that still waits for its phonons."""
    record = validated(nbo(a), energy, round_number=2, index=index)
    assert record.validation is not None
    still = record.validation.model_copy(
        update={"phonon": PhononVerdict(outcome=Stability.PENDING, tolerance=0.1)}
    )
    choice = Choice(function="greedy", selection="acquired", rank=index)
    return record.model_copy(update={"validation": still, "choice": choice})


def test_what_lies_below_an_unstable_crystal_that_it_looks_like_gets_phonons(database: Database) -> None:
    unstable = validated(nbo(), -9.5, round_number=1, outcome=Stability.UNSTABLE)
    collapsed, back, again = waiting(4.21, -9.52, 0), waiting(4.22, -9.5005, 1), waiting(4.23, -9.52, 2)
    database.campaigns.create(SPEC)
    database.records.insert([*SEEDS, unstable, collapsed, back, again])
    choose_phonons(database, SPEC, database.rounds.open(SPEC.id, 2))
    assert database.rounds.get(SPEC.id, 2).phonons == [collapsed.id]
    verdicts = [database.records.get(record.id).validation for record in (back, again)]
    assert [v.phonon.reason for v in verdicts if v] == [
        f"relaxed into {unstable.id}",
        f"relaxed into {collapsed.id}",
    ]
