"""The properties that a campaign has goals in, of what its oracle has relaxed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from niobe.config.errors import ConfigError
from niobe.config.goals.spec import Goal
from niobe.config.spec import CampaignSpec
from niobe.flows.goals.resolving import properties_of
from niobe.flows.oracles.base import Oracle
from niobe.flows.oracles.calculation import cause_of
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.validate import above_hull, work_folder
from niobe.loop.campaign.closing import in_order
from niobe.loop.campaign.duplicates import Crystals, lowest_first
from niobe.loop.documents.answers import UNEXPLAINED
from niobe.loop.documents.properties import PropertyValue
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.goals.properties import Property
from niobe.loop.readers.rows import one_line
from niobe.loop.store.database import Database
from niobe.loop.store.mapping import Document
from niobe.surrogates.protocols import FloatArray

if TYPE_CHECKING:
    from pymatgen.core import Structure

MOST_ASKED = 24
"""Structures of a round that the oracle is asked about for goals, at most, nearest the hull first."""
_STEP = "goals"
Values = dict[str, PropertyValue]


def compute_goals(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Store what follows from composition or structure, of all results that are settled, and name those that
    the oracle has to be asked about.

    These are results within ``hull_tolerance`` that are not dynamically unstable, a crystal once.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    properties, number = properties_of(spec), round_record.number
    validated = database.records.find(spec.id, status=Status.VALIDATED.value)
    settled = [record for record in validated if not record.phonons_pending]
    before = _values_stored(database, spec, [record.id for record in settled])
    found = {r.id: _fields(_computed(spec, properties, r)) for r in settled}
    database.fields.replace(before, found)
    if all(asked.needs != "oracle" for asked in properties.values()) or not settled:
        return
    waiting = [r.id for r in _nearest(database, spec, number, settled) if _lacking(spec, properties, r)]
    database.rounds.update_open(spec.id, number, asked_for_goals=waiting[:MOST_ASKED])
    if len(waiting) > MOST_ASKED:
        said = f"goals: the oracle is asked about {MOST_ASKED} of {len(waiting)} results near the hull"
        database.rounds.add_notes(spec.id, number, [said])


def ask_goals(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Have the oracle answer for every ``slots``-th of those that the round names, from ``slot`` on.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    named = database.rounds.get(spec.id, number).asked_for_goals[slot::slots]
    if not named:
        return
    properties = properties_of(spec)
    oracle = make_oracle(spec.oracle, spec.conditions.pressure)
    for identifier in named:
        for goal, asked, source in _lacking(spec, properties, database.records.get(identifier)):
            before = _values_stored(database, spec, [identifier])
            record = database.records.get(identifier)
            spent = record.validation.seconds.get(_STEP, 0.0) if record.validation else 0.0
            started = time.monotonic()
            with work_folder(spec, record, _STEP) as folder:
                compute = _by_oracle(spec, oracle, asked, record, folder)
                value = _valued(goal, asked, source, compute, record)
            seconds = {f"validation.seconds.{_STEP}": round(spent + time.monotonic() - started, 3)}
            database.fields.replace(before, {identifier: _fields({goal.name: value}) | seconds})


def _values_stored(database: Database, spec: CampaignSpec, records: Sequence[str]) -> dict[str, Document]:
    """What is stored of the goals' properties, by record and field."""
    return database.fields.read(records, [f"properties.{goal.name}" for goal in spec.goals])


def _nearest(
    database: Database, spec: CampaignSpec, number: int, settled: Sequence[StructureRecord]
) -> list[StructureRecord]:
    """Results within the tolerance, nearest the hull first, a crystal once."""
    above = above_hull(database, spec, number, settled)
    near, seen = [], Crystals()
    for record in lowest_first(in_order(settled)):
        if above[record.id] <= spec.hull_tolerance and not record.dynamically_unstable:
            near += [record] if seen.find(record) is None else []
            seen.add(record)
    return sorted(near, key=lambda record: (above[record.id], record.id))


def _computed(spec: CampaignSpec, properties: dict[str, Property], record: StructureRecord) -> Values:
    """What follows from composition and structure, and is not stored yet."""
    structure = relaxed_structure(record)
    found = {}
    for goal in spec.goals:
        asked = properties[goal.name]
        if asked.needs != "oracle" and not _is_answered(spec, record, goal, asked.source):
            given = structure.composition if asked.needs == "composition" else structure
            found[goal.name] = _valued(goal, asked, asked.source, partial(asked.value, given), record)
    return found


def _lacking(
    spec: CampaignSpec, properties: dict[str, Property], record: StructureRecord
) -> list[tuple[Goal, Property, str]]:
    """Goals that the oracle has to answer for and has not, with what the answer's source will be."""
    oracle = record.validation.oracle if record.validation else ""
    asked = [(goal, properties[goal.name]) for goal in spec.goals]
    named = [(goal, found, f"{found.source}, {oracle}") for goal, found in asked if found.needs == "oracle"]
    return [
        (goal, found, source) for goal, found, source in named if not _is_answered(spec, record, goal, source)
    ]


def _is_answered(spec: CampaignSpec, record: StructureRecord, goal: Goal, source: str) -> bool:
    """Whether a value of that source is stored, or a reason that another try would not change."""
    found = _said_before(record, goal, source)
    return found is not None and not 0 < found.attempts <= spec.oracle.retries


def _said_before(record: StructureRecord, goal: Goal, source: str) -> PropertyValue | None:
    found = record.properties.get(goal.name)
    return found if found is not None and found.source == source else None


def _by_oracle(
    spec: CampaignSpec, oracle: Oracle, asked: Property, record: StructureRecord, folder: Path
) -> Callable[[], float]:
    def energies(cells: Sequence[Structure]) -> FloatArray:
        answers = oracle.static(cells, folder)
        return np.array([answer.enthalpy_per_atom * len(answer.structure) for answer in answers])

    def value() -> float:
        with oracle.within(spec.oracle.wall_time):
            return asked.value(relaxed_structure(record), energies)

    return value


def _valued(
    goal: Goal, asked: Property, source: str, compute: Callable[[], float], record: StructureRecord
) -> PropertyValue:
    """The value of a goal's property, or the reason why there is none: whatever was raised is data.

    What may go better at another time, or on another machine, is counted: a later round asks again.
    """
    try:
        value = float(compute())
        if not np.isfinite(value):
            raise ValueError(f"{value} is no finite number")
    except ConfigError:
        raise  # the setting's fault, not the crystal's: the job says so
    except Exception as error:  # noqa: BLE001
        before, is_own = _said_before(record, goal, source), isinstance(error, ValueError)
        final = is_own or cause_of(error) not in UNEXPLAINED
        attempts = 0 if final else 1 + (before.attempts if before else 0)
        reason = ("" if is_own else f"{type(error).__name__}: ") + one_line(error)
        return PropertyValue(unit=asked.unit, source=source, reason=reason, attempts=attempts)
    low, high = goal.limits
    met = low <= value <= high if goal.wanted else None
    return PropertyValue(value=value, unit=asked.unit, source=source, met=met)


def _fields(values: Values) -> dict[str, PropertyValue]:
    return {f"properties.{name}": value for name, value in values.items()}
