"""Thermal expansion and free energy of four crystals by the quasi-harmonic approximation, beside literature.

``python -m tests.benchmarks.thermal`` relaxes MgO, Al, Si and NaCl by 7net-0, computes their phonons at seven
volumes or more as ``niobe thermo --quasi-harmonic`` does, and publishes; what is computed stays in
``.niobe/benchmarks``, so that it can be interrupted and goes on.
"""

from __future__ import annotations

import functools
import shutil
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, NamedTuple

import numpy as np
from pymatgen.core import Lattice, Structure

from niobe.config.loading import with_changes
from niobe.flows.oracles.refinement import tight
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.claims.volumes import strained
from niobe.loop.stability.free_energies import KJ_PER_MOL, Harmonic
from niobe.loop.stability.quasi_harmonic import Strained, grid, quasi_harmonic
from tests.benchmarks.publish import publish
from tests.benchmarks.relaxations import KEPT, Answer, kept, spec_of

COMMAND = "python -m tests.benchmarks.thermal"
ROOM = 298.15
_ROCKSALT = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]]


class Measured(NamedTuple):
    """A crystal and what was measured of it at 298.15 K, a mole of formula units.

    expansion: linear, 1e-6/K, Touloukian et al., vol. 12 and 13. entropy: J/K. enthalpy: above that of 0 K,
    kJ; both of CODATA, of NaCl NIST-JANAF.
    """

    structure: Structure
    expansion: float
    entropy: float
    enthalpy: float

    @property
    def free_energy(self) -> float:
        """Above that of 0 K, kJ."""
        return self.enthalpy - ROOM * self.entropy / 1e3


def _cubic(group: int, a: float, species: list[str], sites: list[list[float]]) -> Structure:
    return Structure.from_spacegroup(group, Lattice.cubic(a), species, sites)


CRYSTALS = {
    "MgO": Measured(_cubic(225, 4.21, ["Mg", "O"], _ROCKSALT), 10.5, 26.95, 5.160),
    "Al": Measured(_cubic(225, 4.05, ["Al"], _ROCKSALT[:1]), 23.1, 28.30, 4.540),
    "Si": Measured(_cubic(227, 5.43, ["Si"], _ROCKSALT[:1]), 2.6, 18.81, 3.217),
    "NaCl": Measured(_cubic(225, 5.64, ["Na", "Cl"], _ROCKSALT), 39.6, 72.11, 10.611),
}


def computed(structure: Structure) -> Answer:
    """Volumes (Å³/atom), static energies (eV/atom) and vibrations of a crystal by 7net-0, and seconds."""
    elements = sorted(structure.composition.get_el_amt_dict())
    spec, work = with_changes(spec_of("7net-0"), {"elements": elements}), KEPT / "thermal-work"
    started = time.monotonic()
    relaxed = make_oracle(tight(spec)).relax(structure.get_primitive_structure(), work).structure
    points = strained(spec, relaxed, work, grid(ROOM))
    shutil.rmtree(work, ignore_errors=True)
    return {
        "points": [
            {
                "volume": point.volume,
                "energy": point.energy,
                "harmonic": {name: value.tolist() for name, value in asdict(point.harmonic).items()},
            }
            for point in points
        ],
        "seconds": time.monotonic() - started,
    }


def _points(answer: Answer) -> list[Strained]:
    return [
        Strained(
            point["volume"],
            point["energy"],
            Harmonic(**{name: np.array(value) for name, value in point["harmonic"].items()}),
        )
        for point in answer["points"]
    ]


def row(name: str, answer: Answer) -> dict[str, Any]:
    """The figures of one crystal beside what was measured."""
    known, found = CRYSTALS[name], quasi_harmonic(_points(answer))
    atoms = known.structure.composition.reduced_composition.num_atoms

    def at_room(values: Any) -> float:
        return found.at(ROOM, values)

    free = (at_room(found.gibbs) - float(found.gibbs[0])) * KJ_PER_MOL * atoms
    return {
        "crystal": name,
        "linear expansion (1e-6/K)": round(at_room(found.expansion) / 3 * 1e6, 1),
        "measured": known.expansion,
        "F(298 K) − F(0 K) (kJ/mol)": round(free, 2),
        "measured ": round(known.free_energy, 2),
        "S(298 K) (J/K/mol)": round(at_room(found.entropy) * atoms, 1),
        "measured  ": known.entropy,
        "bulk modulus (GPa)": round(at_room(found.bulk_modulus)),
        "seconds": round(answer["seconds"]),
    }


def notes(answers: Mapping[str, Answer]) -> list[str]:
    """What the figures are measured against, and where the potential is known to fail them."""
    volumes = ", ".join(f"{len(answer['points'])} of {name}" for name, answer in answers.items())
    shells = ", ".join(f"{name} {third_neighbours(name, answers[name]):.2f} Å" for name in ("Al", "NaCl"))
    return [
        f"7net-0; volumes from −3 % up in steps of 1.5 % ({volumes}), images at least 12 Å apart, one "
        "supercell for all volumes of a crystal, Vinet's equation of state.",
        "Measured expansion at 293 to 300 K: Touloukian et al., Thermophysical Properties of Matter 12 "
        "(1975; Al) and 13 (1977; Si, MgO, NaCl).",
        "Measured F(T) − F(0) is H(T) − H(0) − T·S, and S, at 298.15 K, a mole of formula units: CODATA Key "
        "Values (Cox, Wagman and Medvedev, 1989); of NaCl the NIST-JANAF tables (Chase, 1998).",
        "The zero-point energy is in F(0) and is not compared; electrons, which are left out, add −0.06 "
        "kJ/mol and 0.4 J/K/mol to Al.",
        "Entropies are too high as 7net-0's frequencies are too low (`niobe oracles`). It sees 5 Å, and "
        f"third neighbours ({shells} at 0 K) leave that as these crystals expand: near there the free energy "
        "has a kink over the volume, and their expansion and bulk modulus are worth nothing.",
    ]


def third_neighbours(name: str, answer: Answer) -> float:
    """Distance of the third shell of neighbours where the static energy is lowest, Å."""
    lowest = min(answer["points"], key=lambda point: float(point["energy"]))
    structure = CRYSTALS[name].structure.copy()
    structure.scale_lattice(float(lowest["volume"]) * len(structure))
    found = np.unique(np.round([n.nn_distance for n in structure.get_neighbors(structure[0], 6.0)], 3))
    return float(found[2])


def main() -> None:
    """Compute what is not kept yet, and publish."""
    answers = {
        name: kept("thermal", name, functools.partial(computed, known.structure))
        for name, known in CRYSTALS.items()
    }
    publish(
        "thermal",
        page="potentials",
        title="Thermal expansion and free energies by the quasi-harmonic approximation",
        command=COMMAND,
        rows=[row(name, answer) for name, answer in answers.items()],
        seconds=sum(answer["seconds"] for answer in answers.values()),
        headline="MgO: {0[linear expansion (1e-6/K)]}e-6/K against {0[measured]}e-6/K, "
        "NaCl: {3[linear expansion (1e-6/K)]}e-6/K against {3[measured]}e-6/K",
        notes=notes(answers),
        order=37,
    )


if __name__ == "__main__":
    main()
