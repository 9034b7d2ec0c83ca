"""Held-out phases rediscovered: the campaign's own test of itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from niobe.config.spec import CampaignSpec
from niobe.loop.campaign.seeds import excluded_structures
from niobe.loop.crystals.similarity import SeenStructures, spacegroup_number
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import relaxed_structure


@dataclass(frozen=True)
class Rediscovery:
    """One structure named in ``seeds.exclude``, and the first validation that found it, if any.

    oracle_calls counts validations up to and with that one.
    """

    label: str
    formula: str
    spacegroup: int
    record_id: str | None = None
    round: int | None = None
    oracle_calls: int | None = None


def rediscoveries(spec: CampaignSpec, records: Sequence[StructureRecord]) -> list[Rediscovery]:
    """Each excluded structure with the first validation whose relaxed structure matches it.

    Validations count in the order in which they were chosen, failed ones too, seeds not.
    """
    called = sorted(
        (r for r in records if r.acquired_round and r.choice and (r.validation or r.failure)),
        key=lambda r: (r.acquired_round, r.choice.rank if r.choice else 0),
    )
    answers = []
    for label, structure in excluded_structures(spec):
        known = SeenStructures([(label, structure)])
        wanted = Rediscovery(label, structure.composition.reduced_formula, spacegroup_number(structure))
        answers.append(_first_match(wanted, known, called))
    return answers


def _first_match(
    wanted: Rediscovery, known: SeenStructures, called: Sequence[StructureRecord]
) -> Rediscovery:
    for calls, record in enumerate(called, start=1):
        if record.validation and record.formula == wanted.formula and known.find(relaxed_structure(record)):
            return Rediscovery(
                wanted.label, wanted.formula, wanted.spacegroup, record.id, record.acquired_round, calls
            )
    return wanted
