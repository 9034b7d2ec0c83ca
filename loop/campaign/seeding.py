"""What the database holds that a campaign begins with."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from niobe.config.spec import CampaignSpec
from niobe.loop.campaign.seeds import LIKELY_EACH, largest_prototype, subsets
from niobe.loop.crystals.formulas import amounts_of
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.structures import entry_structure
from niobe.loop.generators.prototypes import decorate, likeliest, named
from niobe.loop.readers.disorder import AS_GIVEN
from niobe.loop.store.database import Database

if TYPE_CHECKING:
    from pymatgen.core import Structure

_OF_ALL_CELLS = 4  # a conventional cell holds up to four primitive ones
_SAME_PLACE = 0.01  # Å: what is displaced further makes a crystal of its own, and a larger cell
_ALIKE = 5  # entries looked at for each one kept: many have one structure


def source_entries(database: Database, spec: CampaignSpec) -> list[SourceEntry]:
    """What the campaign's sources hold of its elements and their subsystems."""
    if not spec.sources:
        return []
    return database.entries.find(sources=[source.name for source in spec.sources], systems=spec.subsystems())


def substituted_entries(database: Database, spec: CampaignSpec) -> Iterator[tuple[str, Structure]]:
    """Entries of any source, of other elements, with the campaign's in their places: likeliest first.

    Of the system and each subsystem as many as of the encyclopedia's prototypes, of their size, no two alike.
    What has the very elements is no substitution: it is a seed where the campaign names its source.
    """
    most = LIKELY_EACH * spec.seeds.max_prototypes if spec.seeds.prototypes else 0
    if most and database.entries.count():
        largest = largest_prototype(spec)
        for size, systems in itertools.groupby(subsets(spec.elements, 2), key=len):
            formulas = database.entries.formulas_of(size, _OF_ALL_CELLS * largest)
            amounts = {formula: amounts_of(formula) for formula in formulas}
            for elements in systems:
                yield from _of(database, amounts, elements, largest, most)


def _of(
    database: Database,
    amounts: Mapping[str, dict[str, int]],
    elements: Sequence[str],
    largest: int,
    most: int,
) -> Iterator[tuple[str, Structure]]:
    """amounts: of each element, by formula, of the entries that have so many elements."""
    others = {formula: found for formula, found in amounts.items() if set(found) != set(elements)}
    seen, kept = SeenStructures(), 0
    for formula, assigned in likeliest(others, elements, _ALIKE * most):
        for entry in database.entries.find(formulas=[formula]):
            structure = _primitive(entry, largest)
            if structure is None:
                continue
            decorated = decorate(structure, assigned)
            if seen.find(decorated) is None:
                seen.add(entry.id, decorated)
                yield named(entry.id, assigned), decorated
                kept += 1
            if kept == most:
                return


def _primitive(entry: SourceEntry, largest: int) -> Structure | None:
    if entry.treatment != AS_GIVEN or entry.set_aside or entry.n_atoms > _OF_ALL_CELLS * largest:
        return None
    primitive = entry_structure(entry).get_primitive_structure(tolerance=_SAME_PLACE)
    return primitive if len(primitive) <= largest else None
