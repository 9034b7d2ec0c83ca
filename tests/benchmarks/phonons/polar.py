"""``python -m tests.benchmarks.phonons.polar``: what the field of polar crystals adds, by formal charges.

Verdicts do without it (decision 0152); bands and free energies near Γ lack its splitting of optical modes.
"""

from __future__ import annotations

import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np

from niobe.config.spec import CampaignSpec, Oracle
from niobe.flows.oracles.calculation import phonons
from niobe.flows.oracles.registry import make_oracle
from niobe.loop.documents.records import Failure
from tests.benchmarks.phonons.textbook import TEXTBOOK
from tests.benchmarks.publish import publish

NAME = "7net-0"
_FACTOR = 14.399652  # e²/4πε0, eV Å


class Polar(NamedTuple):
    """A cubic crystal: formal charges, refractive index, transverse and longitudinal mode (THz), source."""

    crystal: str
    charges: dict[str, float]
    refraction: float
    transverse: float
    longitudinal: float
    source: str


CRYSTALS = (
    Polar("NaCl rocksalt", {"Na": 1, "Cl": -1}, 1.53, 4.92, 7.91, "Raunio et al., Phys. Rev. 178, 1496"),
    Polar("MgO rocksalt", {"Mg": 2, "O": -2}, 1.72, 12.0, 21.6, "Sangster et al., J. Phys. C 3, 1026"),
    Polar("CaF2 fluorite", {"Ca": 2, "F": -1}, 1.43, 7.7, 13.9, "Kaiser et al., Phys. Rev. 127, 1950"),
)


def main() -> None:
    started = time.monotonic()
    rows = [_row(polar) for polar in CRYSTALS]
    sources = "; ".join(f"{polar.crystal}: {polar.source}" for polar in CRYSTALS)
    publish(
        "phonons-polar",
        page="potentials",
        title="Splitting of optical modes at Γ by formal charges",
        command="python -m tests.benchmarks.phonons.polar",
        rows=rows,
        seconds=time.monotonic() - started,
        headline="with formal charges the longitudinal mode of MgO is at {1[longitudinal, THz]} THz "
        "(literature {1[literature, longitudinal]}), without the field at {1[transverse, THz]}",
        notes=[
            f"by {NAME}; phonopy's correction after Gonze and Lee at q → 0 along x; charges: formal; "
            "dielectric constant: the square of the refractive index; rutile is no row: this potential has "
            "it unstable",
            "literature (THz, and refractive indices, from memory of the sources): " + sources,
        ],
    )


def _row(polar: Polar) -> dict[str, Any]:
    (crystal,) = (entry.structure() for entry in TEXTBOOK if entry.name == polar.crystal)
    elements = tuple(sorted(polar.charges))
    spec = CampaignSpec(id="polar", elements=elements, oracle=Oracle(name=NAME, wall_time=900), prerelax=None)
    with TemporaryDirectory() as work:
        found = phonons(spec, make_oracle(spec.phonon_oracle), crystal, Path(work))
    if isinstance(found, Failure) or found[0].phonon is None:
        raise RuntimeError(f"{polar.crystal}: no phonons")
    phonon = found[0].phonon
    without = _at_gamma(phonon, None)
    phonon.nac_params = {
        "born": np.array([np.eye(3) * polar.charges[symbol] for symbol in phonon.primitive.symbols]),
        "dielectric": np.eye(3) * polar.refraction**2,
        "factor": _FACTOR,
        "method": "gonze",
    }
    along = _at_gamma(phonon, [1, 0, 0])
    return {
        "crystal": polar.crystal,
        "transverse, THz": round(_infrared(without, along), 2),
        "literature, transverse": polar.transverse,
        "longitudinal, THz": round(float(along.max()), 2),
        "literature, longitudinal": polar.longitudinal,
        "lowest optical, THz": float(without[3]),
        "the same with the field, THz": float(along[3]),
    }


def _at_gamma(phonon: Any, direction: list[int] | None) -> Any:
    phonon.run_qpoints([[0, 0, 0]], nac_q_direction=direction)
    return np.sort(phonon.get_qpoints_dict()["frequencies"][0])


def _infrared(without: Any, along: Any) -> float:
    """The mode without the field from which the longitudinal one rises: the one that is there once less."""
    left = list(along.round(3))
    for frequency in without.round(3):
        near = min(left, key=lambda other: abs(other - frequency))
        if abs(near - frequency) > 0.02:
            return float(frequency)
        left.remove(near)
    return float(without[-1])


if __name__ == "__main__":
    main()
