"""What was said of duplicates when a round last closed: with it the same is said, of fewer pairs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest

from niobe.loop.campaign.closing import in_order
from niobe.loop.campaign.duplicates import Comparisons, duplicates
from niobe.loop.crystals.similarity import Shape
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.records import StructureRecord, Verdict
from niobe.loop.store.database import Database
from niobe.loop.store.kept.shapes import Order
from tests.loop.factory import nbo, rutile, validated

_FORMS = [validated(form, -9.0, round_number=1) for form in (nbo(), rutile())]
_CRYSTAL = nbo()
_OUTCOMES = (Stability.STABLE, Stability.UNSTABLE, Stability.PENDING, Stability.UNDECIDED)


class _Shape(Shape):
    """Alike by chance, one way or the other, and not transitive."""

    def __init__(self, identifier: str, asked: list[tuple[str, str]]) -> None:
        super().__init__(identifier, _CRYSTAL)
        self._asked = asked

    def same(self, other: Shape) -> bool:
        self._asked.append((other.id, self.id))
        return hashlib.sha256(f"{other.id} {self.id}".encode()).digest()[0] < 70


def _shapes(asked: list[tuple[str, str]], records: Sequence[StructureRecord]) -> list[Shape]:
    return [_Shape(record.id, asked) for record in records]


def _result(rng: np.random.Generator, number: int, index: int, energies: int) -> StructureRecord:
    record = _FORMS[int(rng.integers(2))]
    assert record.validation is not None
    outcome = _OUTCOMES[int(rng.integers(len(_OUTCOMES)))]
    phonon = record.validation.phonon.model_copy(update={"outcome": outcome})
    energy = -9.0 + 1.5e-3 * int(rng.integers(energies))
    validation = record.validation.model_copy(update={"energy_per_atom": energy, "phonon": phonon})
    place = {"id": f"{number:02}{index:02}", "round": number, "index": index, "acquired_round": number}
    return record.model_copy(update=place | {"validation": validation})


def _judged(record: StructureRecord, number: int, of: str | None) -> StructureRecord:
    verdict = Verdict(
        formation_energy_per_atom=0.0,
        e_above_hull_found=0.0,
        e_above_hull_now=0.0,
        hull_round=number,
        duplicate_of=of,
    )
    return record.model_copy(update={"verdict": verdict})


def _changed(record: StructureRecord, rng: np.random.Generator) -> StructureRecord:
    """One in ten vibrates otherwise, one in ten was relaxed further."""
    validation, chance = record.validation, rng.random()
    if validation is None or chance > 0.2:
        return record
    if chance > 0.1:
        stable = validation.phonon.model_copy(update={"outcome": Stability.STABLE})
        return record.model_copy(update={"validation": validation.model_copy(update={"phonon": stable})})
    lower = {"energy_per_atom": validation.energy_per_atom - 1e-3}
    return record.model_copy(update={"validation": validation.model_copy(update=lower)})


@pytest.mark.parametrize("energies", [1, 4, 40])
@pytest.mark.parametrize("seed", range(5))
def test_round_after_round_the_same_is_said_as_anew(seed: int, energies: int) -> None:
    """With results that come, change and go, here and elsewhere."""
    rng = np.random.default_rng([seed, energies])
    said: dict[str, Order] = {}
    records: list[StructureRecord] = []
    others = [_result(rng, 50, index, energies) for index in range(6)]
    pairs: dict[bool, int] = {True: 0, False: 0}
    for number in range(12):
        records += [_result(rng, number, index, energies) for index in range(5)]
        records = [_changed(r, rng) for r in records if rng.random() > 0.01]
        elsewhere = others[: int(rng.integers(7))]
        found = {}
        for kept in (True, False):
            asked: list[tuple[str, str]] = []
            before = said if kept else {}
            compared = Comparisons(partial(_shapes, asked), said=before.copy)
            found[kept] = duplicates(in_order(records), elsewhere, compared)
            if kept:
                said = said | compared.orders
            pairs[kept] += len(asked)
        assert found[True] == found[False]
        records = [_judged(r, number, found[True][r.id]) for r in records]
    assert pairs[True] < pairs[False]


def test_where_nothing_changed_no_pair_is_asked_for() -> None:
    rng = np.random.default_rng(0)
    records = in_order(_result(rng, 1, index, 3) for index in range(20))
    first = Comparisons(partial(_shapes, []))
    found = duplicates(records, comparisons=first)

    def never(records: Sequence[StructureRecord]) -> dict[str, dict[str, bool]]:
        raise AssertionError(f"{records} are compared again")

    again = Comparisons(before=never, said=lambda: first.orders)
    assert duplicates(records, comparisons=again) == found
    assert again.orders == {}


def test_orders_are_kept_by_campaign_and_composition(database: Database) -> None:
    order: Order = [("a -9.0 20.0 stable", None), ("b -8.9 20.0 stable", "a -9.0 20.0 stable")]
    database.shapes.keep_orders("t", {"NbO": order, "NbO2": order[:1]})
    database.shapes.keep_orders("u", {"NbO": order[:1]})
    assert database.shapes.orders("t") == {"NbO": order, "NbO2": order[:1]}
    database.shapes.keep_orders("t", {"NbO": order[:1]})
    assert database.shapes.orders("t")["NbO"] == order[:1]
