"""One crystal has one phonon verdict, however it is described."""

from __future__ import annotations

import functools
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from pymatgen.core import Lattice, Structure
from pymatgen.io.ase import AseAtomsAdaptor

from niobe.config.spec import CampaignSpec, Oracle, Phonons
from niobe.flows.oracles.calculation import phonons
from niobe.flows.oracles.potentials import potential
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.records import Failure
from niobe.loop.stability.phonons import dynamics, looked_at_again
from tests.benchmarks.phonons.crystals import descriptions
from tests.benchmarks.phonons.textbook import TEXTBOOK

SETTINGS = Phonons(min_length=5.0)
METALS = {"Al": 4.0, "Ni": 3.5, "Cu": 3.6, "Pd": 3.9, "Ag": 4.1, "Pt": 3.9, "Au": 4.1}


@functools.cache
def crystals() -> list[Structure]:
    """Metals and alloys that EMT knows, in structures of five crystal systems, not relaxed."""
    cubic, tetragonal, hexagonal = Lattice.cubic, Lattice.tetragonal, Lattice.hexagonal
    of = Structure.from_spacegroup
    found = [of(225, cubic(a), [metal], [[0] * 3]) for metal, a in METALS.items()]
    found += [of(229, cubic(2.9), ["Cu"], [[0] * 3]), of(229, cubic(3.2), ["Al"], [[0] * 3])]
    found += [of(221, cubic(3.8), ["Au", "Cu"], [[0] * 3, [0, 0.5, 0.5]])]
    found += [of(221, cubic(3.0), ["Ni", "Al"], [[0] * 3, [0.5] * 3]), of(221, cubic(2.6), ["Ag"], [[0] * 3])]
    found += [of(194, hexagonal(2.6, 4.2), ["Cu"], [[1 / 3, 2 / 3, 0.25]])]
    found += [of(194, hexagonal(2.9, 4.7), ["Pd"], [[1 / 3, 2 / 3, 0.25]])]
    found += [of(123, tetragonal(2.8, 3.7), ["Au", "Cu"], [[0] * 3, [0.5] * 3])]
    found += [of(139, tetragonal(3.9, 8.9), ["Ni", "Al"], [[0] * 3, [0, 0, 0.33]])]
    found += [of(216, cubic(5.6), ["Cu", "Au"], [[0] * 3, [0.25] * 3])]
    found += [of(63, Lattice.orthorhombic(2.9, 8.4, 4.3), ["Pt"], [[0, 0.11, 0.25]])]
    found += [of(12, Lattice.monoclinic(8.2, 2.8, 5.1, 104), ["Cu", "Au"], [[0] * 3, [0.33, 0, 0.35]])]
    triclinic = Lattice.from_parameters(3.9, 4.3, 5.2, 80, 95, 103)
    found += [of(2, triclinic, ["Ag", "Pd"], [[0.21, 0.3, 0.26], [0] * 3])]
    return found


def emt_forces(cells: list[Structure]) -> list[NDArray[np.float64]]:
    found = []
    for cell in cells:
        atoms = AseAtomsAdaptor.get_atoms(cell)
        atoms.calc = potential("emt")
        found.append(atoms.get_forces())
    return found


@pytest.mark.parametrize("index", range(len(crystals())))
def test_five_descriptions_of_a_crystal_have_one_verdict(index: int) -> None:
    found = []
    for structure in descriptions(crystals()[index]):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            first = dynamics(structure, emt_forces, SETTINGS)  # type: ignore[arg-type]
            again = looked_at_again(first, emt_forces, SETTINGS, find=False)  # type: ignore[arg-type]
            found.append(again.verdict)
    one = found[0]
    assert one.lowest_frequency is not None
    for other in found[1:]:
        assert other.outcome is one.outcome
        assert other.image_distance == pytest.approx(one.image_distance, abs=1e-3)
        assert other.lowest_frequency == pytest.approx(one.lowest_frequency, abs=0.02)


SMALL = (
    *("Si diamond", "GaAs zincblende", "ZnO wurtzite", "Al fcc", "Nb bcc", "Ti hcp", "Mg hcp"),
    *("NaCl rocksalt", "GeTe rocksalt", "CaF2 fluorite", "ZrO2 fluorite", "MgB2", "NiAl B2", "NiTi B2"),
    *("WO3 cubic", "SrTiO3 cubic", "PbTiO3 P4mm", "BaTiO3 R3m", "CsPbCl3 cubic", "La bcc", "TiSe2 1T"),
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", SMALL)
def test_five_descriptions_have_one_verdict_by_the_default_potential(name: str, tmp_path: Path) -> None:
    """From what is given to the verdict, the judge's own relaxation between."""
    (crystal,) = (entry.structure() for entry in TEXTBOOK if entry.name == name)
    elements = tuple(sorted({site.specie.symbol for site in crystal}))
    spec = CampaignSpec(id="d", elements=elements, oracle=Oracle(wall_time=500), prerelax=None)
    judge = make_oracle(spec.phonon_oracle)
    found = []
    for structure in descriptions(crystal):
        answer = phonons(spec, judge, structure, tmp_path)
        assert not isinstance(answer, Failure), answer
        found.append(answer[0].verdict)
    assert len({verdict.outcome for verdict in found}) == 1
    assert all(verdict.oracle == judge.fingerprint for verdict in found)
    frequencies = [verdict.lowest_frequency for verdict in found]
    assert frequencies == pytest.approx([frequencies[0]] * 5, abs=0.05)
