"""A source entry: one structure as an open database, a file or another Niobe gave it, and what that says.

Entries are no structure records: their energies are labels, each with its own fingerprint, and no hull reads
them. The structures enter a campaign as seeds, and its oracle answers for them anew.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from niobe.config.spec import SCHEMA_VERSION
from niobe.loop.crystals.formulas import optimade_formula
from niobe.loop.readers.disorder import AS_GIVEN

if TYPE_CHECKING:
    from pymatgen.core import Structure

Quantity = Literal["energy_per_atom", "formation_energy_per_atom", "e_above_hull", "band_gap"]
UNITS: dict[str, str] = {
    "energy_per_atom": "eV/atom",
    "formation_energy_per_atom": "eV/atom",
    "e_above_hull": "eV/atom",
    "band_gap": "eV",
}

# As many as a campaign's limits allow; two cells of thousands take minutes to compare.
MOST_SITES = 200


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Label(_Part):
    """What a source says of a structure. fingerprint: code, functional and corrections behind the value."""

    quantity: Quantity
    value: float
    unit: str
    fingerprint: str


class SourceEntry(_Part):
    """One structure of one source. ``id`` is ``source:source_id``; ``group`` the id that represents it.

    treatment: what was done to make it comparable. set_aside: why it can be no seed, "" where it can.
    disordered: as the source gave it, where partial occupancies were ordered here.
    digest: a hash of all but ``retrieved`` and ``group``, by which a change at the source is seen.
    """

    id: str
    schema_version: int = SCHEMA_VERSION
    source: str
    source_id: str
    url: str
    licence: str
    retrieved: str
    structure: dict[str, Any]
    formula: str
    formula_reduced: str
    chemsys: str
    elements: list[str]
    nelements: int
    n_atoms: int
    spacegroup: int
    fingerprint: str
    labels: list[Label] = []
    references: dict[str, str] = {}
    oxidation_states: dict[str, float] = {}
    treatment: str = AS_GIVEN
    disordered: dict[str, Any] | None = None
    set_aside: str = ""
    digest: str = ""
    group: str = ""

    def label(self, quantity: Quantity) -> Label | None:
        """The first label of a quantity, or None."""
        return next((label for label in self.labels if label.quantity == quantity), None)


@dataclass(frozen=True)
class Origin:
    """Where entries come from: the source's name, its address, its licence, and the day (ISO)."""

    source: str
    url: str
    licence: str
    retrieved: str


@dataclass(frozen=True)
class Found:
    """What a source said about one structure, before it becomes an entry."""

    source_id: str
    structure: Structure
    labels: Sequence[Label] = ()
    references: Mapping[str, str] = field(default_factory=dict)


def new_entry(origin: Origin, found: Found) -> SourceEntry:
    """The entry of a found structure: partial occupancies ordered, or set aside with the reason."""
    from niobe.loop.crystals.similarity import content_hash, spacegroup_number
    from niobe.loop.readers.disorder import ordered

    answer = ordered(found.structure)
    structure = answer.structure
    is_large = len(structure) > MOST_SITES
    composition = structure.composition.element_composition
    entry = SourceEntry(
        id=f"{origin.source}:{found.source_id}",
        source=origin.source,
        source_id=found.source_id,
        url=origin.url,
        licence=origin.licence,
        retrieved=origin.retrieved,
        structure=structure.as_dict(),
        formula=composition.reduced_formula,
        formula_reduced=optimade_formula(composition.get_el_amt_dict()),
        chemsys=composition.chemical_system,
        elements=sorted(composition.get_el_amt_dict()),
        nelements=len(composition),
        n_atoms=len(structure),
        spacegroup=spacegroup_number(structure) if structure.is_ordered and not is_large else 0,
        fingerprint=content_hash(structure) if structure.is_ordered else _hash(structure.as_dict()),
        labels=list(found.labels),
        references=dict(found.references),
        oxidation_states=oxidation_states(found.structure),
        treatment=answer.treatment,
        disordered=None if answer.treatment == AS_GIVEN else found.structure.as_dict(),
        set_aside=f"more than {MOST_SITES} sites" if is_large else answer.set_aside,
    )
    return entry.model_copy(update={"digest": _digest(entry)})


def label(quantity: Quantity, value: object, fingerprint: str) -> list[Label]:
    """The label as a list, empty where the value is missing or not finite.

    quantity: what the label is of. fingerprint: code and functional behind it.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return []
    return [Label(quantity=quantity, value=float(value), unit=UNITS[quantity], fingerprint=fingerprint)]


def oxidation_states(structure: Structure) -> dict[str, float]:
    """Mean oxidation state of each element that has one in the structure, by symbol."""
    amounts: dict[str, list[tuple[float, float]]] = {}
    for species, amount in structure.composition.items():
        state = getattr(species, "oxi_state", None)
        if state is not None:
            amounts.setdefault(str(species.symbol), []).append((float(state), amount))
    return {
        symbol: round(sum(state * amount for state, amount in parts) / sum(a for _, a in parts), 4)
        for symbol, parts in sorted(amounts.items())
    }


def preference(entry: SourceEntry) -> tuple[bool, int, str]:
    """Who represents a group: as given before ordered here, then the fewest atoms, then the id."""
    return entry.treatment != AS_GIVEN, entry.n_atoms, entry.id


def _digest(entry: SourceEntry) -> str:
    left_out = {"retrieved", "group", "digest"} | ({"disordered"} if entry.disordered is None else set())
    return _hash(entry.model_dump(mode="json", exclude=left_out))


def _hash(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()
