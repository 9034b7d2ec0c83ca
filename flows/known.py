"""What a campaign keeps out of its seeds, relaxed by its oracle: known phases that a hull must not lack."""

from __future__ import annotations

from pathlib import Path

from config.spec import CampaignSpec
from flows.oracles.registry import make_oracle
from flows.validation import validate_structure
from loop.records import Failure, Lineage, Status, StructureRecord
from loop.seeds import excluded_structures, new_record


def relaxed_exclusions(spec: CampaignSpec, folder: Path) -> list[StructureRecord]:
    """Validated records of ``seeds.exclude``, phonons not run; what the oracle fails on is left out."""
    oracle = make_oracle(spec.oracle)
    found = []
    for index, (label, structure) in enumerate(excluded_structures(spec)):
        outcome = validate_structure(spec, oracle, structure, folder)
        if not isinstance(outcome, Failure):
            lineage = Lineage(generator="known", origin={"label": label})
            record = new_record(spec, 0, index, structure, lineage)
            update = {"status": Status.VALIDATED, "validation": outcome}
            found.append(record.model_copy(update=update))
    return found
