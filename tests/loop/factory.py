"""Small structures and records for tests of the domain."""

from __future__ import annotations

import numpy as np
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.dynamics import PhononVerdict, Stability
from niobe.loop.documents.records import Lineage, Status, StructureRecord, Validation

SPEC = CampaignSpec(id="t", elements=("Nb", "O"))


def nbo(a: float = 4.2) -> Structure:
    return Structure.from_spacegroup(221, Lattice.cubic(a), ["Nb", "O"], [[0, 0.5, 0.5], [0.5, 0, 0]])


def rocksalt(a: float = 4.4) -> Structure:
    return Structure.from_spacegroup(225, Lattice.cubic(a), ["Nb", "O"], [[0, 0, 0], [0.5, 0.5, 0.5]])


def element(symbol: str, a: float = 3.3) -> Structure:
    return Structure(Lattice.cubic(a), [symbol, symbol], np.array([[0, 0, 0], [0.5, 0.5, 0.5]]))


def fcc(symbol: str, a: float = 4.2) -> Structure:
    return Structure.from_spacegroup(225, Lattice.cubic(a), [symbol], [[0, 0, 0]])


def rutile() -> Structure:
    return Structure.from_spacegroup(
        136, Lattice.tetragonal(4.9, 3.0), ["Nb", "O"], [[0, 0, 0], [0.3, 0.3, 0]]
    )


def validated(
    structure: Structure,
    energy: float,
    *,
    round_number: int = 0,
    index: int = 0,
    oracle: str = "test",
    outcome: Stability = Stability.STABLE,
) -> StructureRecord:
    record = new_record(SPEC, round_number, index, structure, Lineage(generator="test"))
    validation = Validation(
        oracle=oracle,
        structure=structure.as_dict(),
        spacegroup=record.spacegroup,
        energy_per_atom=energy,
        volume_per_atom=structure.volume / len(structure),
        max_force=0.01,
        steps=3,
        seconds={"relax": 1.0},
        phonon=PhononVerdict(outcome=outcome, lowest_frequency=1.0, tolerance=0.1),
    )
    update = {"status": Status.VALIDATED, "validation": validation, "acquired_round": round_number}
    return record.model_copy(update=update)
