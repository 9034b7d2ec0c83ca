"""Source entries of like proportions, by the fingerprint of how their atoms lie."""

from __future__ import annotations

from dataclasses import dataclass
from math import gcd

import numpy as np

from niobe.loop.crystals.formulas import amounts_of
from niobe.loop.documents.structures import entry_structure
from niobe.loop.novelty.fingerprints import fingerprint
from niobe.loop.store.database import Database
from niobe.surrogates.protocols import FloatArray

_BATCH = 500


@dataclass(frozen=True)
class Block:
    """Source entries of like proportions: ids, formulas (OPTIMADE form), fingerprints of shape (n, k)."""

    ids: list[str]
    formulas: list[str]
    frameworks: FloatArray


def anonymous(formula: str) -> str:
    """The amounts of a formula without its elements, smallest whole numbers, descending: "3-1-1"."""
    counts = list(amounts_of(formula).values())
    divisor = gcd(*counts)
    return "-".join(str(count // divisor) for count in sorted(counts, reverse=True))


def block(database: Database, amounts: str) -> Block:
    """The ordered source entries whose formula has these amounts; what has no fingerprint yet gets one.

    database: the campaign database. amounts: as ``anonymous`` gives them.
    """
    formulas = [formula for formula in database.entries.formulas() if anonymous(formula) == amounts]
    entries = database.entries.as_given(formulas)
    contents = {found["_id"]: found["fingerprint"] for found in entries}
    known = database.fingerprints.find(amounts, contents)
    missing = [key for key in contents if key not in known]
    for start in range(0, len(missing), _BATCH):
        batch = database.entries.of_ids(missing[start : start + _BATCH])
        made = {entry.id: fingerprint(entry_structure(entry), by_element=False) for entry in batch}
        database.fingerprints.store(amounts, contents, made)
        known |= made
    rows = [known[found["_id"]] for found in entries]
    return Block(list(contents), [found["formula_reduced"] for found in entries], np.array(rows))
