"""Energy and forces by the potentials as they ship and as Niobe runs them, side by side, against size."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pytest
from ase import Atoms
from ase.calculators.calculator import Calculator
from numpy.typing import NDArray
from pymatgen.io.ase import AseAtomsAdaptor

from niobe.flows.oracles.potentials import potential
from tests.benchmarks.publish import publish
from tests.loop.factory import nbo

pytestmark = [pytest.mark.benchmark, pytest.mark.timeout(3000)]
REPEATS, CELLS = 6, ((1, 1, 1), (2, 1, 1), (2, 2, 1), (2, 2, 2))


@pytest.mark.filterwarnings("ignore")
def test_fused_convolutions_answer_the_same_sooner() -> None:
    from sevenn.calculator import SevenNetCalculator

    warnings.simplefilter("ignore")
    _compare(
        SevenNetCalculator("7net-0", device="cpu"),
        potential("7net-0"),
        figures="potential-speed",
        title="One evaluation of 7net-0: convolutions as shipped and fused",
        now="fused",
        tolerance=1e-4,
    )


@pytest.mark.filterwarnings("ignore")
def test_lean_chgnet_answers_the_same_sooner() -> None:
    dynamics = pytest.importorskip("chgnet.model.dynamics")
    _compare(
        dynamics.CHGNetCalculator(use_device="cpu"),
        potential("chgnet"),
        figures="potential-speed-chgnet",
        title="One evaluation of CHGNet: as shipped and lean",
        now="lean",
        tolerance=3e-4,
    )


def _compare(
    plain: Calculator, ours: Calculator, *, figures: str, title: str, now: str, tolerance: float
) -> None:
    started = time.monotonic()
    rows = []
    for cell in CELLS:
        structure = nbo(4.3).make_supercell(cell, in_place=False)
        atoms = AseAtomsAdaptor.get_atoms(structure.perturb(0.05, seed=1), msonable=False)
        pairs = [(_seconds(plain, atoms, seed), _seconds(ours, atoms, seed)) for seed in range(REPEATS)]
        before, after = np.min(pairs, axis=0)
        difference = np.abs(_forces(plain, atoms) - _forces(ours, atoms)).max()
        assert difference < tolerance
        rows.append(
            {
                "atoms": len(atoms),
                "as shipped, ms": 1e3 * before,
                f"{now}, ms": 1e3 * after,
                "ratio": before / after,
                "largest difference of a force, eV/Å": float(difference),
            }
        )
    publish(
        figures,
        page="potentials",
        headline="{3[atoms]} atoms: {3[ratio]} times as fast as shipped",
        title=title,
        command="python -m pytest -m benchmark tests/benchmarks/test_potential.py",
        rows=rows,
        seconds=time.monotonic() - started,
        notes=[f"NbO supercells, sites displaced by 0.05 Å; best of {REPEATS} taken in turns; one thread."],
        order=19,
    )


def _seconds(calculator: Calculator, atoms: Atoms, seed: int) -> float:
    moved = atoms.copy()
    moved.rattle(0.001, seed=seed)
    moved.calc = calculator
    started = time.perf_counter()
    moved.get_forces()
    return time.perf_counter() - started


def _forces(calculator: Calculator, atoms: Atoms) -> NDArray[np.float64]:
    still = atoms.copy()
    still.calc = calculator
    return np.asarray(still.get_forces())
