"""What a worker would put in the place of what it read stays out once another has written there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pymongo.collection import Collection

from niobe.loop.documents.properties import PropertyValue
from niobe.loop.documents.rounds import HullRecord, PhononRecord
from niobe.loop.store.claims import SupersededError
from niobe.loop.store.database import Database
from tests.end_to_end.test_stopped import stored
from tests.flows.steps.test_stale import BANDS
from tests.loop.factory import nbo, validated

COLLECTIONS = ("hulls", "phonons", "features", "shapes", "checkpoints")
Put = Callable[[Database, str], object]
RECORD = validated(nbo(), -9.0)


def hull(database: Database, said: str) -> None:
    database.hulls.store(HullRecord(campaign="t", round=1, oracle=said, entries=[]))


def bands(database: Database, said: str) -> None:
    database.phonons.store(PhononRecord(record_id="x", campaign="t", oracle=said, **BANDS))


def features(database: Database, said: str) -> None:
    database.features.keep("t", {said: said, "x": said}, {"x": np.array([float(len(said))])})


def order(database: Database, said: str) -> None:
    database.shapes.keep_orders("t", {"NbO": [(said, None)]})


def checkpoint(folder: Path, database: Database, said: str) -> None:
    place = folder / f"{said}-{len(list(folder.iterdir()))}"
    place.mkdir()
    (place / "weights").write_text(said)
    database.checkpoints.store("t", 1, "gan", place)


@pytest.mark.parametrize("before", ["", "before"])
@pytest.mark.parametrize("kind", ["hull", "bands", "features", "order", "checkpoint"])
def test_what_another_put_there_meanwhile_stays(
    database: Database, kind: str, before: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    puts: dict[str, Put] = {"hull": hull, "bands": bands, "features": features, "order": order}
    put = puts.get(kind, partial(checkpoint, tmp_path))
    if before:
        put(database, before)
    left = []

    def meanwhile() -> None:
        put(database, "another")
        left.append(stored(database))

    reading = "find" if kind in {"features", "order"} else "find_one"
    read = getattr(Collection, reading)
    late: list[int] = []

    def slow(*arguments: object, **named: object) -> object:
        nonlocal late
        answer = read(*arguments, **named)
        answer = list(answer) if reading == "find" else answer
        late += [1] if getattr(arguments[0], "name", "") in COLLECTIONS else []
        if len(late) == (2 if kind == "checkpoint" else 1):  # a checkpoint asks for equal contents first
            meanwhile()
        return answer

    monkeypatch.setattr(Collection, reading, slow)
    if kind == "checkpoint":
        with pytest.raises(SupersededError, match="t r1 gan: another checkpoint was stored meanwhile"):
            put(database, "mine")
    else:
        put(database, "mine")
    assert stored(database) == left[0]
    assert database.mongo["checkpoint_files.files"].count_documents({}) == (kind == "checkpoint")


def test_a_field_that_is_another_s_by_now_is_left_and_what_changes_nothing_is_not_written(
    database: Database,
) -> None:
    def value(of: float) -> dict[str, PropertyValue]:
        return {"properties.density": PropertyValue(value=of, unit="g/cm³", source="structure")}

    database.records.insert([RECORD])
    read = partial(database.fields.read, [RECORD.id], ["properties.density"])
    before = read()
    assert before == {RECORD.id: {"properties.density": None}}
    database.fields.replace(before, {RECORD.id: value(1.0)})
    left = stored(database)
    database.fields.replace(before, {RECORD.id: value(2.0)})
    database.fields.replace(read(), {RECORD.id: value(1.0)})
    database.fields.replace(read(), {RECORD.id: {}})
    assert stored(database) == left
    database.fields.replace(read(), {RECORD.id: value(2.0)})
    assert database.records.get(RECORD.id).properties["density"].value == 2.0


def test_answers_that_are_there_are_not_stored_twice(database: Database) -> None:
    database.records.insert([RECORD])
    database.shapes.complete("t")
    name = database.mongo["shapes"].find_one({"form": "relaxed"})
    assert name is not None
    for _ in range(2):
        database.shapes.remember("t", {(name["of"], "one"): True, (name["of"], "other"): False})
    assert database.shapes.answers([RECORD]) == {RECORD.id: {"one": True, "other": False}}
    found = database.mongo["shapes"].find_one({"form": "answers"})
    assert found is not None and len(found["answers"]) == 2
