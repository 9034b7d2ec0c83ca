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
from niobe.loop.documents.structures import entry_structure, relaxed_structure
from niobe.loop.generators.offspring import Parent
from niobe.loop.generators.prototypes import decorate, known_prototypes, likeliest, named
from niobe.loop.generators.substitution import MOST_PARENTS
from niobe.loop.readers.disorder import AS_GIVEN
from niobe.loop.store.database import Database
from niobe.loop.store.shared import low_of_other_elements

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


def substitution_parents(database: Database, spec: CampaignSpec) -> list[Parent]:
    """Crystals that candidates may be substitutions of: prototypes, entries of other elements of any source,
    and what other campaigns validated of other elements, at most 0.1 eV/atom above their hull.

    Of entries those most like the campaign's elements, as many as are ranked when they are drawn.

    database: the campaign database. spec: the campaign.
    """
    sought, elements_of = spec.sought, spec.sought_elements
    largest, least = sought.max_atoms, len(elements_of) if sought.all_elements else 1
    parents = {parent.id: parent for parent in known_prototypes(largest)}
    for size, systems in itertools.groupby(subsets(elements_of, least), key=len):
        formulas = database.entries.formulas_of(size, _OF_ALL_CELLS * largest)
        amounts = {formula: amounts_of(formula) for formula in formulas}
        for elements in systems:
            alike = _entries_alike(database, amounts, elements, largest, MOST_PARENTS)
            parents |= {parent.id: parent for parent, _ in itertools.islice(alike, MOST_PARENTS)}
    for record in low_of_other_elements(database, spec):
        parents[record.id] = Parent(record.id, relaxed_structure(record))
    return list(parents.values())


def _of(
    database: Database,
    amounts: Mapping[str, dict[str, int]],
    elements: Sequence[str],
    largest: int,
    most: int,
) -> Iterator[tuple[str, Structure]]:
    """amounts: of each element, by formula, of the entries that have so many elements."""
    seen, kept = SeenStructures(), 0
    for parent, assigned in _entries_alike(database, amounts, elements, largest, _ALIKE * most):
        decorated = decorate(parent.structure, assigned)
        if seen.find(decorated) is None:
            seen.add(parent.id, decorated)
            yield named(parent.id, assigned), decorated
            kept += 1
        if kept == most:
            return


def _entries_alike(
    database: Database,
    amounts: Mapping[str, dict[str, int]],
    elements: Sequence[str],
    largest: int,
    most: int,
) -> Iterator[tuple[Parent, dict[str, str]]]:
    """Primitive cells of the entries whose elements are most like those given, and what takes their places.

    most: formulas, times the ways to put the elements in.
    """
    others = {formula: found for formula, found in amounts.items() if set(found) != set(elements)}
    for formula, assigned in likeliest(others, elements, most):
        for entry in database.entries.find(formulas=[formula]):
            structure = _primitive(entry, largest)
            if structure is not None:
                yield Parent(entry.id, structure), assigned


def _primitive(entry: SourceEntry, largest: int) -> Structure | None:
    if entry.treatment != AS_GIVEN or entry.set_aside or entry.n_atoms > _OF_ALL_CELLS * largest:
        return None
    primitive = entry_structure(entry).get_primitive_structure(tolerance=_SAME_PLACE)
    return primitive if len(primitive) <= largest else None
