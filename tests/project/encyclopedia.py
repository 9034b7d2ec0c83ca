"""``python -m tests.project.encyclopedia FOLDER``: writes ``loop/crystals/encyclopedia.json`` again.

FOLDER holds an unpacked kim-tools (0.4.15 from PyPI), which ships labels and parameters of the AFLOW
Encyclopedia of Crystallographic Prototypes and no coordinates. Here they are made: a label names the Wyckoff
letters of each element, the parameters are numbered by letter, then by element; rhombohedral ones belong to
rhombohedral axes. What does not have the space group, the number of atoms or the composition that it claims,
holds two atoms too near each other, was only computed, or is in pymatgen's library already, is left out.
"""

from __future__ import annotations

import argparse
import functools
import json
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Composition, Element, Lattice, Structure

from niobe.loop.crystals.prototypes import ENCYCLOPEDIA, library
from niobe.loop.crystals.similarity import matcher
from niobe.loop.crystals.symmetry import dataset

_LARGEST = 24  # atoms of the primitive cell
_LETTERS = "ABCDEFG"
_ANGLES = ("alpha", "beta", "gamma")
_RHOMBOHEDRAL = {
    146: "a x,x,x; b x,y,z",
    148: "a 0,0,0; b 1/2,1/2,1/2; c x,x,x; d 1/2,0,0; e 0,1/2,1/2; f x,y,z",
    155: "a 0,0,0; b 1/2,1/2,1/2; c x,x,x; d 0,y,-y; e 1/2,y,-y; f x,y,z",
    160: "a x,x,x; b x,x,z; c x,y,z",
    161: "a x,x,x; b x,y,z",
    166: "a 0,0,0; b 1/2,1/2,1/2; c x,x,x; d 1/2,0,0; e 0,1/2,1/2; f x,-x,0; g x,-x,1/2; h x,x,z; i x,y,z",
    167: "a 1/4,1/4,1/4; b 0,0,0; c x,x,x; d 1/2,0,0; e x,1/2-x,1/4; f x,y,z",
}
"""The first representative of each Wyckoff position on rhombohedral axes (International Tables A)."""
_TO_HEXAGONAL = np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3
_SYMPREC = 1e-3


def main() -> None:
    """Read every entry, keep what is sound and new, write the file."""
    parser = argparse.ArgumentParser(prog="python -m tests.project.encyclopedia")
    parser.add_argument("folder", type=Path)
    kept: dict[str, Any] = {}
    alike = unlike = 0
    for file in sorted(parser.parse_args().folder.glob("**/aflow_prototype_encyclopedia/data/*/info.json")):
        entry = json.loads(file.read_text(encoding="utf-8"))
        structure = made(entry)
        known = [] if structure is None else _in_library(entry)
        if structure is None or any(matcher().fit_anonymous(structure, one) for one in known):
            alike += structure is not None
            continue
        unlike += bool(known)
        kept[_label(entry, kept)] = _compact(structure)
    lines = json.dumps(kept, separators=(",", ":")).replace('}},"', '}},\n"')
    ENCYCLOPEDIA.write_text(lines + "\n", encoding="utf-8")
    print(f"{len(kept)} kept; {alike} are pymatgen's, {unlike} differ from pymatgen's of the same name")


def made(entry: dict[str, Any]) -> Structure | None:
    """The primitive cell of an entry, or None where it is not kept."""
    formula, _, group, *wyckoff = entry["label"].rsplit("-", 1)[0].split("_")
    elements = sorted(set(re.findall(r"[A-Z][a-z]?", entry["prototype"])))
    size = int(re.sub(r"\D", "", entry["pearson_symbol"]))
    told = " ".join(str(entry[name]) for name in ("title", "notes", "comments"))
    plain = re.fullmatch(r"([A-Z][a-z]?\d*)+", entry["prototype"]) and all(
        map(Element.is_valid_symbol, elements)
    )
    if not plain or re.search("omputational|ypothetical|roposed|GPa", told):
        return None
    if not 2 <= entry["number_of_species"] == len(elements) <= len(_LETTERS) or size > 4 * _LARGEST:
        return None
    values = dict(zip(entry["parameter_symbols"], entry["parameter_values"], strict=True))
    sites = sorted(_sites(formula, wyckoff), key=lambda site: (site[0] == "A", *site))
    species: list[str] = []
    positions: list[np.ndarray] = []
    for number, (letter, kind) in enumerate(sites, 1):
        orbit = _orbit(int(group), letter, {axis: values.get(f"{axis}{number}") for axis in "xyz"})
        species += [elements[_LETTERS.index(kind)]] * len(orbit)
        positions += list(orbit)
    whole = Structure(_lattice(entry["pearson_symbol"], values), species, positions)
    return _sound(whole, int(group), Composition(entry["prototype"]))


def _sound(whole: Structure, group: int, formula: Composition) -> Structure | None:
    radii = [float(site.specie.atomic_radius or 1.0) for site in whole]
    apart = whole.distance_matrix + np.diag([np.inf] * len(whole))
    if (apart < 0.6 * np.add.outer(radii, radii)).any():
        return None
    data = dataset(whole, _SYMPREC)
    if data is None or data.number != group or whole.composition.reduced_formula != formula.reduced_formula:
        return None
    primitive = whole.get_primitive_structure(_SYMPREC)
    return primitive if len(primitive) == len(data.prim_std_cell.numbers) <= _LARGEST else None


def _sites(formula: str, wyckoff: list[str]) -> Iterator[tuple[str, str]]:
    """Wyckoff letter and kind of atom, A, B, ..., of each site."""
    for kind, letters in zip(re.findall("[A-Z]", formula), wyckoff, strict=True):
        for count, letter in re.findall(r"(\d*)([A-Za-z])", letters):
            yield from [(letter, kind)] * int(count or 1)


def _lattice(pearson: str, values: dict[str, float]) -> Lattice:
    a = values["a"]
    angles = [values.get(name, 90.0) for name in _ANGLES]
    if pearson[0] == "h":
        angles[2] = 120.0
    return Lattice.from_parameters(a, a * values.get("b/a", 1.0), a * values.get("c/a", 1.0), *angles)


def _orbit(group: int, letter: str, at: dict[str, float | None]) -> np.ndarray:
    """Fractional coordinates of a Wyckoff position, conventional cell, origin choice 2, hexagonal axes."""
    if group in _RHOMBOHEDRAL:
        return _rhombohedral(group, letter, at)
    point = [value or 0.0 for value in at.values()]
    return np.array([operation.operate(point) for operation in _positions(group)[letter]])


def _rhombohedral(group: int, letter: str, at: dict[str, float | None]) -> np.ndarray:
    triplet = dict(one.split() for one in _RHOMBOHEDRAL[group].split("; "))[letter]
    if triplet == "x,x,x" and at["x"] is None:  # some entries name it by the hexagonal axis
        at = at | {"x": at["z"]}
    point = np.array([_term(term, at) for term in triplet.split(",")]) @ _TO_HEXAGONAL
    return Structure.from_spacegroup(group, Lattice.hexagonal(1, 1), ["H"], [point], tol=1e-4).frac_coords


def _term(term: str, at: dict[str, float | None]) -> float:
    """The value of a term such as ``1/2-x``."""
    total = 0.0
    for sign, axis, number in re.findall(r"([+-]?)(?:([xyz])|([\d/]+))", term):
        value = (at[axis] or 0.0) if axis else float(Fraction(number))
        total += -value if sign == "-" else value
    return total


@functools.cache
def _positions(group: int) -> dict[str, Any]:
    from pyxtal.symmetry import Group

    return {position.letter: position.ops for position in Group(group)}


def _in_library(entry: dict[str, Any]) -> list[Structure]:
    """What pymatgen's library holds under the entry's names."""
    return [library()[name].structure for name in entry["alias"] or [] if name in library()]


def _label(entry: dict[str, Any], kept: dict[str, Any]) -> str:
    """AFLOW's label without its running number, unless another prototype has it."""
    plain = entry["label"].rsplit("-", 1)[0]
    return entry["label"] if plain in kept or plain in library() else plain


def _compact(structure: Structure) -> dict[str, Any]:
    """Lattice vectors in Å, and of each element its fractional coordinates."""
    coordinates: dict[str, list[list[float]]] = {}
    for site in structure:
        coordinates.setdefault(site.specie.symbol, []).append(np.round(site.frac_coords % 1, 6).tolist())
    return {"lattice": np.round(structure.lattice.matrix, 6).tolist(), "sites": coordinates}


if __name__ == "__main__":
    main()
