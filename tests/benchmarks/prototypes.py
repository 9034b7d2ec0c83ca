"""``python -m tests.benchmarks.prototypes``: how many known ground states have a structure that competes.

Ground states of Materials Project of at most 12 atoms (development rows), drawn by the seed: is their
prototype in pymatgen's library, or in the encyclopedia, and how many of the encyclopedia's decorations are
likelier in their system than the right one?
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from pymatgen.core import Composition, Structure

from niobe.loop.crystals.prototypes import encyclopedia, library, prototype_of
from niobe.loop.generators.prototypes import likeliest
from tests.benchmarks.materials import structure_of, table
from tests.benchmarks.publish import publish

SEED, DRAWN, LARGEST = 1, 250, 12
AMONG = (50, 100, 160, 320)
_ON_HULL = 1e-6


def main() -> None:
    """Two and three elements; publish."""
    warnings.simplefilter("ignore")
    started = time.monotonic()
    publish(
        "prototypes",
        page="discovery",
        title="Known ground states whose structure is among the competing phases",
        command="python -m tests.benchmarks.prototypes",
        rows=[row(count) for count in (2, 3)],
        seconds=time.monotonic() - started,
        seeds=[SEED],
        order=6,
        headline="of {1[drawn]} ternary ones {1[library]} in pymatgen's library, {1[encyclopedia]} more in "
        "the encyclopedia, {1[among the first 160]} of these among the likeliest 160",
        notes=[f"Materials Project's ground states of at most {LARGEST} atoms, development rows"],
    )


def row(count: int) -> dict[str, Any]:
    """Of crystals of so many elements."""
    found = {"library": 0, "encyclopedia": 0}
    places = []
    for structure in drawn(count):
        label, _ = prototype_of(structure)
        if label in library():
            found["library"] += 1
        elif label:
            found["encyclopedia"] += 1
            places.append(place(structure))
    among = {f"among the first {most}": sum(one < most for one in places) for most in AMONG}
    return {"elements": count, "drawn": DRAWN, **found, **among}


def drawn(count: int) -> Iterator[Structure]:
    """Crystals by the seed."""
    rows = table("dev_mp_structures.parquet")
    small = rows[(rows.numbers.map(len) <= LARGEST) & (rows.e_hull <= _ON_HULL)]
    chosen = small[small.numbers.map(lambda numbers: len(set(numbers)) == count)]
    for index in np.random.default_rng(SEED).permutation(len(chosen))[:DRAWN]:
        yield structure_of(chosen.iloc[int(index)])


def place(structure: Structure) -> float:
    """How many decorations are likelier than the first that has the crystal's prototype and formula."""
    small = {name: one.structure for name, one in encyclopedia().items() if len(one.structure) <= LARGEST}
    amounts = {name: one.composition.get_el_amt_dict() for name, one in small.items()}
    elements = sorted(structure.composition.get_el_amt_dict())
    formula, parts = structure.composition.reduced_formula, prototype_of(structure)[0].split("-")[0]
    for number, (name, taken) in enumerate(likeliest(amounts, elements, len(amounts) * 24)):
        decorated = Composition({taken[symbol]: count for symbol, count in amounts[name].items()})
        if name.split("-")[0] == parts and decorated.reduced_formula == formula:
            return number
    return float("inf")


if __name__ == "__main__":
    main()
