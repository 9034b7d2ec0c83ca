"""Mutated CIF, POSCAR and CSV files: each is read as it stands, or reported with file and line; no crash.

What is read is right where it is the original, or where a reader that shares no code with Niobe's finds
the same sites in the mutated file: gemmi for CIF, a few lines here for POSCAR and CSV.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Structure
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp import Poscar

from niobe.loop.readers.structure_files import iterate_structures
from tests.loop.factory import element, nbo, rocksalt, rutile

SPGLIB = "ignore:Set OLD_ERROR_HANDLING:DeprecationWarning"
Sites = tuple[float, list[tuple[str, np.ndarray]]]
JUNK = (
    "",
    "nan",
    "inf",
    "-",
    "1e999",
    "x",
    "'",
    '"',
    "\x00",
    "é",
    "0",
    "-1",
    "99999999",
    "data_",
    "loop_",
    "_cell_length_a",
)


def seeds_of_files() -> list[tuple[str, str]]:
    """Name and text of files of each kind, of crystals that differ in symmetry and size."""
    kinds = [nbo(), rutile(), rocksalt(), element("Nb")]
    files = [(f"c{i}.cif", str(CifWriter(s, symprec=0.01 if i % 2 else None))) for i, s in enumerate(kinds)]
    files += [(f"POSCAR-{i}", Poscar(s.get_sorted_structure()).get_str()) for i, s in enumerate(kinds)]
    rows = io.StringIO()
    writer = csv.writer(rows)
    writer.writerow(["name", "lattice", "species", "coords"])
    for number, s in enumerate(kinds):
        columns = (s.lattice.matrix.tolist(), [e.symbol for e in s.species], s.frac_coords.tolist())
        writer.writerow([f"k{number}", *(json.dumps(column) for column in columns)])
    return [*files, ("t.csv", rows.getvalue())]


def mutated(text: str, rng: np.random.Generator) -> str:
    """One to three small accidents: bytes, words or lines lost, doubled, swapped, replaced."""
    for _ in range(rng.integers(1, 4)):
        text = ACCIDENTS[rng.integers(len(ACCIDENTS))](text, rng)
    return text


def _letter(text: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(max(len(text), 1)))
    return text[:place] + chr(int(rng.integers(32, 127))) + text[place + 1 :]


def _lost(text: str, rng: np.random.Generator) -> str:
    place = int(rng.integers(max(len(text), 1)))
    return text[:place] + text[place + int(rng.integers(1, 6)) :]


def _word(text: str, rng: np.random.Generator) -> str:
    words = list(re.finditer(r"[^\s,]+", text))
    if not words:
        return text
    word = words[rng.integers(len(words))]
    return text[: word.start()] + JUNK[rng.integers(len(JUNK))] + text[word.end() :]


def _line(text: str, rng: np.random.Generator) -> str:
    lines = text.splitlines(keepends=True) or [""]
    place, other = int(rng.integers(len(lines))), int(rng.integers(len(lines)))
    accident = rng.integers(3)
    if accident == 0:
        del lines[place]
    elif accident == 1:
        lines.insert(place, lines[other])
    else:
        lines[place], lines[other] = lines[other], lines[place]
    return "".join(lines)


def _cut(text: str, rng: np.random.Generator) -> str:
    return text[: int(rng.integers(len(text) + 1))]


def _endings(text: str, rng: np.random.Generator) -> str:
    return text.replace("\n", "\r\n")


ACCIDENTS: list[Callable[[str, np.random.Generator], str]] = [
    _letter,
    _lost,
    _word,
    _word,
    _line,
    _cut,
    _endings,
]


def sites_of(structure: Structure) -> Sites:
    return structure.volume, [(str(site.specie.symbol), site.frac_coords) for site in structure]


def by_gemmi(text: str) -> Sites:
    """Volume (Å³) and sites (symbol, fractions) of the cell, from gemmi's own expansion by symmetry."""
    import gemmi

    small = gemmi.make_small_structure_from_block(gemmi.cif.read_string(text).sole_block())
    sites = small.get_all_unit_cell_sites()
    return small.cell.volume, [(site.element.name, np.array(site.fract.tolist())) for site in sites]


def by_lines(text: str) -> Sites:
    """Volume (Å³) and sites of a POSCAR."""
    lines = text.splitlines()
    scale = float(lines[1])
    matrix = np.array([[float(x) for x in line.split()] for line in lines[2:5]])
    volume = abs(float(np.linalg.det(matrix)))
    factor = (-scale / volume) ** (1 / 3) if scale < 0 else scale
    counts = zip(lines[5].split(), map(int, lines[6].split()), strict=True)
    symbols = [word.split("_")[0].split("/")[0] for word, count in counts for _ in range(count)]
    first = 8 if lines[7].strip()[0] in "dDcCkK" else 9
    rows = [[float(x) for x in line.split()[:3]] for line in lines[first : first + len(symbols)]]
    cartesian = lines[first - 1].strip()[0] in "cCkK"
    coords = np.array(rows) @ np.linalg.inv(matrix) if cartesian else np.array(rows)
    return volume * factor**3, list(zip(symbols, coords, strict=True))


def by_rows(text: str) -> list[Sites]:
    """Volume (Å³) and sites of each readable row of a table."""
    found = []
    for row in csv.DictReader(io.StringIO(text, newline="")):
        try:
            matrix = np.ravel(json.loads(row["lattice"])).astype(float).reshape(3, 3)
            coords = np.ravel(json.loads(row["coords"])).astype(float).reshape(-1, 3)
            sites = list(zip(json.loads(row["species"]), coords, strict=True))
            found.append((abs(float(np.linalg.det(matrix))), sites))
        except (KeyError, TypeError, ValueError):
            continue
    return found


def same(one: Sites, other: Sites) -> bool:
    """Whether volumes agree to 1 % and every site has its own of the same element within 0.002 fractions."""
    left = list(other[1])
    if abs(one[0] - other[0]) > 0.01 * other[0] or len(one[1]) != len(left):
        return False
    for symbol, coords in one[1]:
        apart = [np.abs((coords - c + 0.5) % 1 - 0.5).max() if s == symbol else 1.0 for s, c in left]
        if min(apart) > 0.002:
            return False
        left.pop(int(np.argmin(apart)))
    return True


def is_right(name: str, text: str, original: Structure | None, structure: Structure) -> bool:
    """Whether a structure is what the original was, or what another reader finds in the mutated file."""
    have = sites_of(structure)
    if original is not None and same(have, sites_of(original)):
        return True
    if name.endswith(".csv"):
        return any(same(have, row) for row in by_rows(text))
    return same(have, by_gemmi(text) if name.endswith(".cif") else by_lines(text))


def fuzz(folder: Path, count: int, seed: int) -> Counter[str]:
    """Read ``count`` mutated files; how many structures were right, and how many problems were reported."""
    rng = np.random.default_rng(seed)
    originals = seeds_of_files()
    outcomes: Counter[str] = Counter()
    for number in range(count):
        name, text = originals[number % len(originals)]
        first = next(iter(iterate_structures(_written(folder / name, text)))).structure
        harmed = mutated(text, rng)
        file = _written(
            folder / f"{number}-{name}" if name[0] != "P" else folder / f"{name}-{number}", harmed
        )
        for row in iterate_structures(file):
            if row.structure is None:
                line = f"{row.label}: {row.problem}"
                named = (
                    rf"{re.escape(str(file))}:\d+|{re.escape(str(file))}.*( line \d+| apart, nearer than in)"
                )
                assert re.search(named, line), line
                outcomes["reported"] += 1
            else:
                assert row.structure.is_ordered, harmed
                right = is_right(name, harmed, first if name[-3:] != "csv" else None, row.structure)
                assert right, f"{file}: {sites_of(row.structure)}\n{harmed}"
                outcomes["right"] += 1
        file.unlink()
    return outcomes


def _written(file: Path, text: str) -> Path:
    file.write_bytes(text.encode())
    return file


@pytest.mark.filterwarnings(SPGLIB)
def test_two_hundred_mutated_files(tmp_path: Path) -> None:
    outcomes = fuzz(tmp_path, 200, seed=1)
    assert outcomes["right"] > 50 and outcomes["reported"] > 50
