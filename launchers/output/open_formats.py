"""Structures of a campaign as open databases exchange them: OPTIMADE JSONL, and a table with splits."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any

from niobe.config.spec import SCHEMA_VERSION
from niobe.launchers.output.goals import figures, units
from niobe.launchers.output.summary import summary
from niobe.loop.crystals.symmetry import hermann_mauguin
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import relaxed_structure

API_VERSION = "1.2.0"
_FIGURES = (
    "oracle",
    "symprec",
    "prototype",
    "mineral",
    "pressure",
    "energy_per_atom",
    "formation_energy_per_atom",
    "e_above_hull",
    "phase",
    "lowest_phonon_frequency",
    "double_well_depth",
)
_NAMED = (
    *("campaign", "record", "round", "generator"),
    *("tier", "novelty", "novelty_of", "discovery", "rediscovered"),
    *_FIGURES,
)
_NIOBE_FIELDS = {
    **{name: name for name in _NAMED},
    "verdict": "dynamics",
}


def optimade_entry(record: StructureRecord) -> dict[str, Any]:
    """The record as an OPTIMADE structure; what Niobe says of it under ``_niobe_``."""
    from optimade.adapters.structures.pymatgen import from_pymatgen

    attributes = json.loads(from_pymatgen(relaxed_structure(record)).model_dump_json(exclude_none=True))
    attributes["structure_features"] = []
    attributes["last_modified"] = None
    attributes["space_group_it_number"] = record.group
    attributes["space_group_symbol_hermann_mauguin"] = hermann_mauguin(record.group)
    said = summary(record) | {"campaign": record.campaign, "record": record.id}
    attributes |= {
        f"_niobe_{name}": said[key] for name, key in _NIOBE_FIELDS.items() if said[key] is not None
    }
    if record.properties:
        attributes["_niobe_properties"] = {
            name: found.model_dump() for name, found in record.properties.items()
        }
    return {"id": record.id, "type": "structures", "attributes": attributes}


def write_jsonl(records: Iterable[StructureRecord], file: Path) -> None:
    """OPTIMADE JSON lines: a header, then an entry a line, as optimade-python-tools serves them."""
    header = {"x-optimade": {"meta": {"api_version": API_VERSION}}, "x-niobe": {"schema": SCHEMA_VERSION}}
    with file.open("w", encoding="utf-8") as output:
        output.write(json.dumps(header) + "\n")
        for record in records:
            output.write(json.dumps(optimade_entry(record)) + "\n")


def write_benchmark_table(records: Collection[StructureRecord], file: Path) -> None:
    """A parquet table as machine learning benchmarks use it: structures, targets, and a split by round.

    Columns: lattice (9 floats, Å, row-major), numbers, frac_coords (3N floats), targets in eV/atom and THz,
    ``round``, and ``split``: "train" before the last round, "test" in it, as a model would meet them.
    """
    import pandas as pd

    last = max((record.round for record in records), default=0)
    properties = units(records)
    pd.DataFrame(
        [_benchmark_row(record, last) | figures(record, properties) for record in records]
    ).to_parquet(file, index=False)


def _benchmark_row(record: StructureRecord, last: int) -> dict[str, Any]:
    structure, said = relaxed_structure(record), summary(record)
    return {
        "material_id": record.id,
        "formula": record.formula,
        "nsites": len(structure),
        "nelements": record.nelements,
        "lattice": structure.lattice.matrix.ravel().tolist(),
        "numbers": list(structure.atomic_numbers),
        "frac_coords": structure.frac_coords.ravel().tolist(),
        **{key: said[key] for key in ("spacegroup", "spacegroup_symbol", "dynamics", *_FIGURES)},
        "round": record.round,
        "split": "test" if 0 < record.round == last else "train",
    }
