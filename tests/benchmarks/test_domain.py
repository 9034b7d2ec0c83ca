"""Whether a surrogate knows what it does not know: crystals unlike any it was trained on. Figures: docs."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from pymatgen.core import Element, Structure

from niobe.loop.benchmark.replay_tables import chemical_class
from niobe.surrogates.calibration import coverage
from niobe.surrogates.models import make_surrogate
from niobe.surrogates.protocols import Surrogate
from tests.benchmarks.materials import TARGET, Materials, materials
from tests.benchmarks.publish import publish

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3600)]
SEED = 7
COMMAND = "python -m pytest tests/benchmarks/test_domain.py -m benchmark"
TRAIN, TEST, FEW, SHAKEN = 1200, 300, 60, 0.6
CLASSES = {"gbt": ("oxide", "halide", "chalcogenide", "pnictide"), "moments": ("oxide", "halide")}
ELEMENT = "Fe"
MODELS = {"gbt": (4, 60), "moments": (2, 8)}  # members and epochs
Indices = NDArray[np.int64]


def scaled(structure: Structure, factor: float) -> Structure:
    """The crystal with its volume multiplied."""
    return structure.copy().scale_lattice(factor * structure.volume)


def shaken(structure: Structure, rng: np.random.Generator) -> Structure:
    """The crystal with every atom moved by 0.6 Å in a direction of its own."""
    moves = rng.normal(size=(len(structure), 3))
    moves *= SHAKEN / np.linalg.norm(moves, axis=1)[:, None]
    places = structure.cart_coords + moves
    return Structure(structure.lattice, structure.species, places, coords_are_cartesian=True)


def fitted(model: str, data: Materials, rows: Indices) -> Surrogate:
    members, epochs = MODELS[model]
    found = make_surrogate(model, members=members, epochs=epochs)
    found.fit([data.structures[i] for i in rows], {TARGET: data.e_form[rows]}, seed=SEED)
    return found


def judged(
    case: str, model: Surrogate, structures: list[Structure], truth: NDArray[np.float64] | None
) -> dict[str, object]:
    """One row of the table; without ``truth`` (a crystal that was moved has no label) what is answered."""
    answer = model.predict(structures)[TARGET]
    inside = answer.in_domain
    row: dict[str, object] = {
        "crystals": case,
        "asked": len(structures),
        "abstained, %": 100 * float((~inside).mean()),
    }
    if truth is None or not inside.any():
        return row | {"90 % interval covers, %": None, "MAE, eV/atom": None}
    errors = answer.mean[inside] - truth[inside]
    held = 100 * coverage(errors, answer.std[inside])
    return row | {"90 % interval covers, %": held, "MAE, eV/atom": float(np.abs(errors).mean())}


def left_out(data: Materials, classes: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """Which rows, (n,), are of each chemistry that is left out: a class, or all that hold one element."""
    held = [{e.symbol for e in s.composition} for s in data.structures]
    kinds = np.array([chemical_class(symbols) for symbols in held])
    found = {kind: kinds == kind for kind in classes}
    found["intermetallic"] = np.array([all(Element(symbol).is_metal for symbol in one) for one in held])
    return found | {f"holding {ELEMENT}": np.array([ELEMENT in one for one in held])}


def cases(model: str, data: Materials) -> list[dict[str, object]]:
    rng = np.random.default_rng(SEED)
    order = rng.permutation(len(data.ids))
    test, pool = order[:TEST], order[TEST:]
    chemistries = left_out(data, CLASSES[model])
    known = fitted(model, data, pool[:TRAIN])
    asked = [data.structures[i] for i in test]
    moves: dict[str, Callable[[Structure], Structure]] = {
        "half the volume": lambda s: scaled(s, 0.5),
        "double the volume": lambda s: scaled(s, 2.0),
        "atoms moved by 0.6 Å": lambda s: shaken(s, rng),
    }
    rows = [judged("rows not trained on", known, asked, data.e_form[test])]
    rows += [judged(case, known, [move(s) for s in asked], None) for case, move in moves.items()]
    for chemistry, of in chemistries.items():
        inside, others = pool[of[pool]], pool[~of[pool]][: TRAIN - FEW]
        for few, case in ((FEW, f"{chemistry}, {FEW} trained on"), (0, f"{chemistry}, none trained on")):
            model_of = fitted(model, data, np.concatenate([others, inside[:few]]))
            left = inside[FEW : FEW + TEST]
            rows.append(judged(case, model_of, [data.structures[i] for i in left], data.e_form[left]))
    return rows


@pytest.mark.parametrize("model", MODELS)
def test_what_is_unlike_the_training_rows(model: str) -> None:
    started = time.monotonic()
    rows = cases(model, materials())
    publish(
        f"surrogates-domain-{model}",
        page="surrogates",
        title=f"What {model} does not know",
        command=COMMAND,
        rows=rows,
        seconds=time.monotonic() - started,
        seeds=[SEED],
        order=44,
        headline="{1[crystals]}: {1[abstained, %]} % abstained from; {3[crystals]}: {3[abstained, %]} %; "
        "{4[crystals]}: 90 % interval covers {4[90 % interval covers, %]} %",
        notes=[
            f"{TRAIN} relaxed Materials Project rows trained on; a class is that of the replay tables.",
            "Coverage and error are of the crystals answered for. A crystal that was moved has no label.",
            "A bar of each row: abstained from, or the 90 % interval covers 80 to 95 %.",
            "An intermetallic holds metals only.",
        ],
    )
    abstained = {str(row["crystals"]): float(str(row["abstained, %"])) for row in rows}
    assert abstained["rows not trained on"] < 10
