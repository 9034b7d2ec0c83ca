"""Oracles by the name a campaign file gives them: the entry points ``niobe.oracles``."""

from __future__ import annotations

import inspect
from collections.abc import Callable

from niobe.config.errors import ConfigError
from niobe.config.plugins import ORACLES, load
from niobe.config.spec import CampaignSpec
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import Oracle
from niobe.flows.oracles.calculators import check_installed


def make_oracle(spec: OracleSpec, pressure: float = 0.0) -> Oracle:
    """The oracle registered under that name: a callable that takes the spec of an oracle, and a ``pressure``
    if it can relax under one.

    pressure: GPa. Raises ConfigError where none is, where a package that it needs is missing, or where it
    answers at 0 GPa only.
    """
    make: Callable[..., Oracle] = load(ORACLES, spec.name)
    if not pressure:
        return make(spec)
    _require_pressure(spec.name, make, pressure)
    return make(spec, pressure=pressure)


def _require_pressure(name: str, make: Callable[..., Oracle], pressure: float) -> None:
    if "pressure" not in inspect.signature(make).parameters:
        raise ConfigError(
            f"conditions.pressure: {pressure:g} GPa, and oracle {name} relaxes at 0 GPa only; allowed: "
            "Niobe's own potentials, name: ase"
        )


def check_pressure(spec: CampaignSpec) -> None:
    """Raises ConfigError where an oracle of the campaign cannot relax under its pressure."""
    for name in sorted(_names(spec)) if spec.conditions.pressure else ():
        _require_pressure(name, load(ORACLES, name), spec.conditions.pressure)


def missing_here(spec: CampaignSpec) -> str:
    """What this machine lacks to ask the campaign's oracles, or "". No calculator by path is imported.

    spec: the campaign.
    """
    names = _names(spec)
    try:
        if "ase" in names:  # with whose class all potentials are checked, by loading them
            check_installed(spec.oracle)
            names = {name for name in names if load(ORACLES, name) is not load(ORACLES, "ase")}
        for name in sorted(names):
            _check(name, spec)
    except ConfigError as error:
        return str(error)
    return ""


def _names(spec: CampaignSpec) -> set[str]:
    names = {spec.oracle.name} | ({spec.phonon_oracle.name} if spec.phonons.enabled else set())
    return names | (set(spec.confirm.oracles) if spec.confirm.enabled else set())


def check_machine(spec: CampaignSpec) -> None:
    """Raises ConfigError where this machine cannot ask the campaign's oracles.

    That is a VASP command or POTCARs, a GPU that is named, a calculator by path that cannot be made, a
    program that relaxes at 0 GPa only.
    """
    check_pressure(spec)
    for name in sorted(_names(spec)):
        _check(name, spec)


def _check(name: str, spec: CampaignSpec) -> None:
    check = getattr(load(ORACLES, name), "check_machine", None)
    if check is not None:
        check(spec)
