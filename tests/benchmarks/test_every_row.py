"""Every crystal gets one code whatever its description, and no row ends a model. Figures: docs."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from moyopy import MoyoDataset, Setting
from moyopy.interface import MoyoAdapter
from pymatgen.core import Structure
from pymatgen.core.operations import SymmOp
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from niobe.surrogates.models import make_surrogate, models
from niobe.surrogates.models.prior import PRIOR
from niobe.surrogates.representations.sequence import wyckoff_sequence
from tests.benchmarks.materials import TARGET, materials
from tests.benchmarks.publish import publish

pytestmark = [
    pytest.mark.benchmark,
    pytest.mark.timeout(2 * 3600),
    pytest.mark.filterwarnings("ignore:Set OLD_ERROR_HANDLING"),
]
SEED = 7
COMMAND = "python -m pytest tests/benchmarks/test_every_row.py -m benchmark"
CODED, TRAIN, SYMPREC = 1000, 200, 0.01
ROWS = int(os.environ.get("NIOBE_BENCHMARK_ROWS", "0"))
"""Of the table, drawn by the seed, that go through every model; 0: all."""
Describe = Callable[[Structure, np.random.Generator], Structure]


def conventional(structure: Structure) -> Structure:
    """By spglib, which Niobe's codes do not use."""
    return SpacegroupAnalyzer(structure, symprec=SYMPREC).get_conventional_standard_structure()


def reordered(structure: Structure, rng: np.random.Generator) -> Structure:
    return Structure.from_sites([structure[i] for i in rng.permutation(len(structure))])


def rotated(structure: Structure, rng: np.random.Generator) -> Structure:
    turn = SymmOp.from_axis_angle_and_translation(rng.normal(size=3), float(rng.uniform(10, 170)))
    return structure.copy().apply_operation(turn)


def doubled(structure: Structure, rng: np.random.Generator) -> Structure:
    return structure.copy().make_supercell(1 + np.eye(3, dtype=int)[rng.integers(3)])


DESCRIPTIONS: dict[str, Describe] = {
    "primitive cell": lambda s, _: s.get_primitive_structure(tolerance=1e-3),
    "as it is in the table": lambda s, _: s,
    "atoms reordered": reordered,
    "rotated": rotated,
    "supercell of two": doubled,
}


def unlike_spglib(cell: Structure) -> bool:
    """Whether spglib's space group, or letters of elements, are none that the code's normalizer leaves."""
    theirs = SpacegroupAnalyzer(cell, symprec=SYMPREC).get_symmetry_dataset()
    try:
        found = MoyoDataset(MoyoAdapter.from_structure(cell), symprec=SYMPREC, setting=Setting.standard())
    except RuntimeError:
        return True
    equal = found.normalizer_wyckoff_positions().coset_representatives
    letters = [sorted(zip(found.std_cell.numbers, (p.letter for p in s[1]), strict=True)) for s in equal]
    return (
        theirs.number != found.number
        or sorted(zip(cell.atomic_numbers, theirs.wyckoffs, strict=True)) not in letters
    )


def test_one_code_of_every_description() -> None:
    started, data, rng = time.monotonic(), materials(), np.random.default_rng(SEED)
    other, raised, unlike = Counter[str](), Counter[str](), 0
    for index in rng.permutation(len(data.ids))[:CODED]:
        structure = data.structures[index]
        cell = conventional(structure)
        right = wyckoff_sequence(cell)
        unlike += unlike_spglib(cell)
        for name, describe in DESCRIPTIONS.items():
            try:
                other[name] += wyckoff_sequence(describe(structure, rng)) != right
            except (ValueError, LookupError, TypeError, RuntimeError):
                raised[name] += 1
    rows = [
        {
            "description": name,
            "crystals": CODED,
            "other code": other[name],
            "exceptions": raised[name],
        }
        for name in DESCRIPTIONS
    ]
    publish(
        "surrogates-codes",
        page="surrogates",
        title="Wyckoff codes of one crystal by description",
        command=COMMAND,
        rows=rows,
        seconds=time.monotonic() - started,
        seeds=[SEED],
        order=45,
        headline="{1[other code]} of 1,000 as they are in the table have another code (bar: 0)",
        notes=[
            f"Drawn by the seed; compared with the conventional cell by spglib, {SYMPREC} Å, which idealises "
            "it: two of the crystals (mp-1271352, mp-19424) have more symmetry there than in the table.",
            f"Space group, or letters up to its normalizer, unlike spglib's: {unlike} conventional cells.",
        ],
    )
    assert not raised.total()


def test_every_row_through_every_model() -> None:
    started, data = time.monotonic(), materials()
    order = np.random.default_rng(SEED).permutation(len(data.ids))
    known, asked = order[:TRAIN], order[: ROWS or None]
    structures = [data.structures[i] for i in asked]
    rows = []
    for name in sorted(set(models()) - {PRIOR}):
        model = make_surrogate(name, members=1, epochs=1)
        model.fit([data.structures[i] for i in known], {TARGET: data.e_form[known]}, seed=SEED)
        since = time.monotonic()
        answer = model.predict(structures)[TARGET]
        finite = np.isfinite(answer.mean) & np.isfinite(answer.std)
        rows.append(
            {
                "model": name,
                "rows": len(answer.mean),
                "neither answered nor abstained from": int((finite != answer.in_domain).sum()),
                "abstained, %": 100 * float((~answer.in_domain).mean()),
                "seconds": time.monotonic() - since,
            }
        )
    publish(
        "surrogates-every-row",
        page="surrogates",
        title="Rows of the shared table through every model",
        command=(f"NIOBE_BENCHMARK_ROWS={ROWS} " if ROWS else "") + COMMAND + " -k every_model",
        rows=rows,
        seconds=time.monotonic() - started,
        seeds=[SEED],
        order=46,
        headline=f"{len(asked)} of {len(data.ids)} rows through every model without an exception",
        notes=[
            f"Trained on {TRAIN} rows for one epoch: that they answer, not how well.",
            f"{PRIOR} is left out: CHGNet takes half an hour for as many.",
        ],
    )
