"""JSON and JSON lines: pymatgen structures, Materials Project and OPTIMADE documents, records of Niobe."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from niobe.config.outside.json_text import not_too_deep
from niobe.loop.crystals.decoding import decoded
from niobe.loop.readers.rows import Row, check_sites, read_text

if TYPE_CHECKING:
    from pymatgen.core import Structure

Document = dict[str, Any]
_MOST_VALUES = 10_000_000
_SITES = ("cartesian_site_positions", "species_at_sites")


def json_rows(file: Path) -> Iterator[Row]:
    """A structure, a document that holds one, or a list of these, also under ``data`` as servers answer."""
    text = read_text(file)
    values = text.count(",") + text.count("[") + text.count("{")
    if values > _MOST_VALUES:
        raise ValueError(f"more than {_MOST_VALUES} values in one document; write a line each (.jsonl)")
    content = json.loads(not_too_deep(text))
    if isinstance(content, dict) and isinstance(content.get("data"), list):
        content = content["data"]
    if isinstance(content, dict):
        yield _row(str(file), content)
        return
    if not isinstance(content, list):
        raise ValueError(f"{type(content).__name__} is no structure and no list of them")
    for number, document in enumerate(content, start=1):
        yield _row(f"{file}:{number}", document)


def line_rows(file: Path) -> Iterator[Row]:
    """A document a line; the header of OPTIMADE lines is no structure."""
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            document = json.loads(not_too_deep(line))
        except ValueError as error:
            yield Row.broken(f"{file}:{number}", error)
            continue
        if not (isinstance(document, dict) and "x-optimade" in document):
            yield _row(f"{file}:{number}", document)


def _row(label: str, document: object) -> Row:
    if not isinstance(document, dict):
        return Row.broken(label, ValueError(f"{type(document).__name__} is no structure"))
    if "lineage" in document:
        return _record_row(label, document)
    if isinstance(document.get("attributes"), dict):
        return Row(label, document, lambda: optimade_structure(document))
    return Row(label, document, lambda: decoded(structure_in(document)))


def structure_in(document: Document) -> object:
    """The structure's own document: this one, or what stands under ``structure``, an object or text.

    Raises ValueError for text that is no JSON.
    """
    found = document if "lattice" in document else document.get("structure")
    return json.loads(not_too_deep(found)) if isinstance(found, str) else found


def optimade_structure(entry: Document) -> Structure:
    """The structure of an OPTIMADE entry. Raises ValueError, or as pydantic does, where it is none."""
    from optimade.adapters import Structure as Adapter

    attributes = entry.get("attributes")
    named = attributes if isinstance(attributes, dict) else {}
    for sites in (named.get(field) for field in _SITES):
        check_sites(len(sites) if isinstance(sites, list) else 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Adapter({"type": "structures", **entry}).as_pymatgen


def _record_row(label: str, document: Document) -> Row:
    """A record of ``niobe export json``: as its oracle relaxed it, with what the oracle and the hull said."""
    from niobe.loop.documents.records import StructureRecord

    try:
        record = StructureRecord.model_validate(document)
    except ValueError as error:
        return Row.broken(label, error)
    validation, verdict = record.validation, record.verdict
    fields: Document = {"record": record.id}
    if validation is not None:
        fields |= {"oracle": validation.oracle, "energy_per_atom": validation.energy_per_atom}
    if verdict is not None:
        fields |= {
            "formation_energy_per_atom": verdict.formation_energy_per_atom,
            "e_above_hull": verdict.e_above_hull_now,
        }
    return Row(label, fields, lambda: decoded(validation.structure if validation else record.structure))
