"""What the judge of a benchmark asks the oracle beside all runs, at no run's cost."""

from __future__ import annotations

from pathlib import Path

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.calculation import phonons, validate_structure
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.campaign.seeds import excluded_structures, new_record
from niobe.loop.documents.dynamics import Stability
from niobe.loop.documents.records import Failure, Lineage, Status, StructureRecord
from niobe.loop.documents.structures import relaxed_structure


def relaxed_exclusions(spec: CampaignSpec, folder: Path) -> list[StructureRecord]:
    """Validated records of ``seeds.exclude``: known phases that a hull must not lack.

    Phonons are not run; what the oracle fails on is left out.
    """
    oracle = make_oracle(spec.oracle, spec.conditions.pressure)
    found = []
    for index, (label, structure) in enumerate(excluded_structures(spec)):
        outcome = validate_structure(spec, oracle, structure, folder)
        if not isinstance(outcome, Failure):
            lineage = Lineage(generator="known", origin={"label": label})
            record = new_record(spec, 0, index, structure, lineage)
            update = {"status": Status.VALIDATED, "validation": outcome}
            found.append(record.model_copy(update=update))
    return found


def stability_of(spec: CampaignSpec, record: StructureRecord, folder: Path) -> Stability:
    """Whether what a record relaxed into is dynamically stable; undecided where its phonons fail.

    spec: the campaign. folder: where its files go.
    """
    judge = make_oracle(spec.phonon_oracle, spec.conditions.pressure)
    outcome = phonons(spec, judge, relaxed_structure(record), folder, find=True)
    return Stability.UNDECIDED if isinstance(outcome, Failure) else outcome[0].verdict.outcome
