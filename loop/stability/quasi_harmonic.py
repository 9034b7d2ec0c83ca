"""Quasi-harmonic: a free energy at each of some volumes, and the lowest of them at each temperature."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from niobe.loop.stability.free_energies import KJ_PER_MOL, Array, Harmonic

STEP = 10.0
"""K between the temperatures that are fitted."""
_BEYOND = 3


class OutOfRangeError(ValueError):
    """At a temperature the crystal is larger or smaller than all that was computed, or none was fitted."""


class OtherCrystalError(ValueError):
    """At a volume the crystal is another one, and no equation of state joins the two."""


@dataclass(frozen=True)
class Strained:
    """A crystal at one volume: Å³/atom, eV/atom at 0 K without vibrations, and its vibrations."""

    volume: float
    energy: float
    harmonic: Harmonic


@dataclass(frozen=True)
class QuasiHarmonic:
    """Equilibrium properties, each of shape (n,), of as many temperatures (K).

    volume: Å³/atom. gibbs: eV/atom, the static energy, vibrations and pV included. expansion: of the volume,
    1/K. bulk_modulus: isothermal, GPa. heat_capacity: at constant pressure, entropy: J/K a mole of atoms.
    """

    temperatures: Array
    volume: Array
    gibbs: Array
    expansion: Array
    bulk_modulus: Array
    heat_capacity: Array
    entropy: Array

    def at(self, temperature: float, values: Array) -> float:
        """One of its properties between the temperatures of the fit, by linear interpolation.

        temperature: K. values: shape (n,). Raises OutOfRangeError beyond the temperatures of the fit.
        """
        lowest, highest = self.temperatures[0], self.temperatures[-1]
        if not lowest <= temperature <= highest:
            raise OutOfRangeError(f"{temperature:g} K lies beyond the fit, {lowest:g} to {highest:g} K")
        return float(np.interp(temperature, self.temperatures, values))


def grid(highest: float) -> list[float]:
    """Temperatures (K) that a fit needs which answers from 0 to ``highest``, that included."""
    return [STEP * number for number in range(math.ceil(highest / STEP) + 1 + _BEYOND)]


def quasi_harmonic(points: Sequence[Strained], pressure: float = 0.0) -> QuasiHarmonic:
    """The crystal's own volume at each temperature of its vibrations, by Vinet's equation of state (phonopy;
    Vinet et al., J. Phys. Condens. Matter 1, 1941, 1989).

    points: at five volumes or more, with vibrations at the temperatures of ``grid``; the last ones serve for
    differences and have no answer. pressure: GPa.

    Raises OutOfRangeError where the crystal leaves the volumes that are given.
    """
    from phonopy import PhonopyQHA

    ordered = sorted(points, key=lambda point: point.volume)
    temperatures = ordered[0].harmonic.temperatures
    fitted = PhonopyQHA(
        volumes=[point.volume for point in ordered],
        electronic_energies=[point.energy for point in ordered],
        temperatures=temperatures,
        free_energy=np.array([point.harmonic.free_energy for point in ordered]).T * KJ_PER_MOL,
        cv=np.array([point.harmonic.heat_capacity for point in ordered]).T,
        entropy=np.array([point.harmonic.entropy for point in ordered]).T,
        pressure=pressure,
        eos="vinet",
    )
    kept = temperatures[:-_BEYOND]
    asked = slice(len(kept))
    volume, gibbs = np.asarray(fitted.volume_temperature)[asked], np.asarray(fitted.gibbs_temperature)
    outside = (volume < ordered[0].volume) | (volume > ordered[-1].volume)
    if outside.any():
        raise OutOfRangeError(f"at {kept[outside][0]:g} K the volume lies beyond what was computed")
    entropy = -np.gradient(gibbs, temperatures[: len(gibbs)]) * KJ_PER_MOL * 1e3
    return QuasiHarmonic(
        temperatures=kept,
        volume=volume,
        gibbs=gibbs[asked],
        expansion=np.asarray(fitted.thermal_expansion)[asked],
        bulk_modulus=np.asarray(fitted.bulk_modulus_temperature)[asked],
        heat_capacity=np.asarray(fitted.heat_capacity_P_numerical)[asked],
        entropy=entropy[asked],
    )


def grows_further(points: Sequence[Strained], pressure: float = 0.0) -> bool:
    """Whether at the highest temperature the lowest free energy is that of one of the two largest volumes.

    points: in the order of their volumes. pressure: GPa.
    """
    from ase.units import GPa

    free = [p.energy + pressure * GPa * p.volume + p.harmonic.free_energy[-1] for p in points]
    return int(np.argmin(free)) >= len(points) - 2
