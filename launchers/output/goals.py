"""What tables and files say of the properties that a campaign has goals in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import RoundMetrics


def units(records: Iterable[StructureRecord]) -> dict[str, str]:
    """The properties that records have, in the order they are met, with their units."""
    found: dict[str, str] = {}
    for record in records:
        for name, value in record.properties.items():
            found.setdefault(name, value.unit)
    return found


def volume_unit(metrics: RoundMetrics) -> str:
    """What a round's hypervolume is in, such as ``eV/atom · GPa``; "" without one."""
    if metrics.hypervolume is None:
        return ""
    return " · ".join(["eV/atom", *(level.unit for level in metrics.reference.values())])


def reference_text(metrics: RoundMetrics) -> str:
    """The point that a round's hypervolume is measured from, in words; "" without one."""
    if metrics.hypervolume is None or metrics.highest_above is None:
        return ""
    levels = [f"{name} {level.value:.4g} {level.unit}" for name, level in metrics.reference.items()]
    return ", ".join([f"{metrics.highest_above:g} eV/atom above hull", *levels])


def figures(record: StructureRecord, names: Iterable[str]) -> dict[str, Any]:
    """Value and unit of properties, ``density`` and ``density_unit``, None where the record has none."""
    flat: dict[str, Any] = {}
    for name in names:
        found = record.properties.get(name)
        flat |= {name: found.value if found else None, f"{name}_unit": found.unit if found else None}
    return flat


def cells(record: StructureRecord, shown: Mapping[str, str]) -> dict[str, Any]:
    """The same under headings with their unit, ``density (g/cm³)``, and which are out of range.

    shown: units by name, as ``units`` gives them.
    """
    if not shown:
        return {}
    values = {name: record.properties.get(name) for name in shown}
    out = [name for name, found in values.items() if found and found.met is False]
    headed = {f"{name} ({shown[name]})": found.value if found else None for name, found in values.items()}
    return headed | {"out of range": ", ".join(out) or None}


def rows(record: StructureRecord) -> Sequence[tuple[str, str, str]]:
    """Name, value with unit, and what it comes from or why there is none, for each property of a record."""
    said = []
    for name, found in record.properties.items():
        value = "none" if found.value is None else f"{found.value:.4g} {found.unit}"
        met = {True: "in range; ", False: "out of range; ", None: ""}[found.met]
        said.append((name, value, found.reason or f"{met}{found.source}"))
    return said
