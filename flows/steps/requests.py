"""What is asked of generators: candidates inside a campaign's limits, competitors in its subsystems."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from niobe.config.spec import CampaignSpec
from niobe.loop.campaign.seeds import subsets
from niobe.loop.documents.records import StructureRecord
from niobe.surrogates.protocols import SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

COMPETING_SHARE = 0.15
"""Of the candidates of a round, drawn in subsystems besides; of its batch, asked to keep the hull honest."""


def sample_request(spec: CampaignSpec) -> SampleRequest:
    """The campaign's elements and limits, as generators and screening understand them."""
    return SampleRequest(
        elements=spec.sought_elements,
        max_atoms=spec.sought.max_atoms,
        min_atoms=spec.sought.min_atoms,
        all_elements=spec.sought.all_elements,
        fractions=spec.sought.fractions,
    )


def is_sought(spec: CampaignSpec, structure: Structure) -> bool:
    """Whether a structure would be a candidate by its elements, and by its formula where that is fixed.

    spec: the campaign. structure: the structure.
    """
    composition = structure.composition
    if spec.formula is not None:
        return sample_request(spec).allows(composition.get_el_amt_dict())
    return not spec.limits.all_elements or composition.chemical_system == spec.chemsys


def request_for(spec: CampaignSpec, record: StructureRecord) -> SampleRequest:
    """What a drawn record was asked to be."""
    subsystem = record.lineage.origin.get("subsystem")
    return _within(spec, tuple(str(subsystem).split("-"))) if subsystem else sample_request(spec)


def _within(spec: CampaignSpec, elements: tuple[str, ...]) -> SampleRequest:
    """All compositions of a subsystem: the limits on fractions are for finds."""
    limits = spec.limits
    return SampleRequest(elements, max_atoms=limits.max_atoms, min_atoms=limits.min_atoms)


def drawn_in_subsystems(spec: CampaignSpec, number: int) -> dict[str, SampleBatch]:
    """Competing phases drawn in each subsystem of two or more elements; none where candidates are, too.

    In a campaign of one formula other compositions of the whole system compete as well.

    spec: the campaign. number: of the round.
    """
    from niobe.loop.generators import RandomSymmetric

    subsystems = [
        part for part in subsets(spec.elements, 2) if spec.formula or len(part) < len(spec.elements)
    ]
    if not spec.sought.all_elements or not subsystems:
        return {}
    each = math.ceil(COMPETING_SHARE * spec.generation.candidates / len(subsystems))
    batches = {}
    for elements in subsystems:
        name = "-".join(elements)
        seed = spec.derived_seed(number, f"generate/{name}")
        drawn = RandomSymmetric().sample(_within(spec, elements), each, seed=seed)
        samples = tuple(replace(s, origin={**s.origin, "subsystem": name}) for s in drawn.samples)
        batches[f"random/{name}"] = SampleBatch(samples, drawn.rejected)
    return batches
