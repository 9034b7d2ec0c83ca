"""AFLOW's crystallographic prototypes, and which of them a crystal is.

Those of the library that pymatgen ships (Mehl et al., Comput. Mater. Sci. 136, S1, 2017), and the smaller
ones of the Encyclopedia's later parts (Hicks et al., Comput. Mater. Sci. 161, S1, 2019; 199, 110450, 2021;
Eckert et al., 240, 112988, 2024), by their parameters as kim-tools 0.4.15 lists them.
"""

from __future__ import annotations

import functools
import gzip
import json
from collections import defaultdict
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from niobe.loop.crystals.decoding import decoded
from niobe.loop.crystals.similarity import matcher
from niobe.loop.crystals.symmetry import SYMPREC, dataset, symmetric_cell

if TYPE_CHECKING:
    from pymatgen.core import Structure

_Kind = tuple[int, str, int]
ENCYCLOPEDIA = Path(__file__).parent / "encyclopedia.json"
"""What the library does not hold, of at most 24 atoms and at least two elements, as
``tests/project/encyclopedia.py`` writes it."""


@dataclass(frozen=True)
class Prototype:
    """label: AFLOW's, such as ``AB_cF8_225_a_b``. mineral: what the library calls it, or ""."""

    label: str
    mineral: str
    structure: Structure


@functools.cache
def library() -> dict[str, Prototype]:
    """Each ordered prototype by label, as it is stored.

    Read from its file: importing pymatgen's module parses 288 bibliographies, which takes 7 s.
    """
    file = files("pymatgen.analysis") / "prototypes" / "aflow_prototypes.json.gz"
    entries = json.loads(gzip.decompress(file.read_bytes()))
    found = [Prototype(e["tags"]["aflow"], e["tags"]["mineral"], decoded(e["snl"])) for e in entries]
    return {prototype.label: prototype for prototype in found if prototype.structure.is_ordered}


@functools.cache
def encyclopedia() -> dict[str, Prototype]:
    """Each prototype beyond the library by label, as a primitive cell of the elements it is known of."""
    entries = json.loads(ENCYCLOPEDIA.read_text(encoding="utf-8"))
    return {label: Prototype(label, "", _built(**entry)) for label, entry in entries.items()}


def _built(lattice: list[list[float]], sites: dict[str, list[list[float]]]) -> Structure:
    from pymatgen.core import Structure

    species = [symbol for symbol, coordinates in sites.items() for _ in coordinates]
    return Structure(lattice, species, [xyz for coordinates in sites.values() for xyz in coordinates])


def prototype_of(structure: Structure) -> tuple[str, str]:
    """AFLOW label and mineral name of the prototype that an ordered crystal has, ("", "") where none fits.

    Only prototypes of its space group, anonymous formula and number of sites in the primitive cell are
    compared, by StructureMatcher whatever the elements; of several the nearest.
    """
    best = ("", "")
    least = float("inf")
    reduced = symmetric_cell(structure)
    for prototype in _by_kind().get(_kind(structure), []):
        distance = matcher().get_rms_anonymous(reduced, symmetric_cell(prototype.structure))[0]
        if distance is not None and distance < least:
            least, best = distance, (prototype.label, prototype.mineral)
    return best


@functools.cache
def _by_kind() -> dict[_Kind, list[Prototype]]:
    """Without the few that as stored have more symmetry than their label says: they are like another one."""
    found: dict[_Kind, list[Prototype]] = defaultdict(list)
    for prototype in library().values():
        kind = _kind(prototype.structure)
        if _group(prototype) == kind[0]:
            found[kind].append(prototype)
    for prototype in encyclopedia().values():
        structure = prototype.structure
        found[_group(prototype), structure.composition.anonymized_formula, len(structure)].append(prototype)
    return dict(found)


def _group(prototype: Prototype) -> int:
    """The number of the space group that the label names."""
    return int(prototype.label.split("_")[2])


def _kind(structure: Structure) -> _Kind:
    """Space group, anonymous formula and number of sites in the primitive cell."""
    data = dataset(structure, SYMPREC)
    group, sites = (1, len(structure)) if data is None else (data.number, len(data.prim_std_cell.numbers))
    return group, structure.composition.anonymized_formula, sites
