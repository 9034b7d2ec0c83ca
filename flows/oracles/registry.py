"""Oracles by the name a campaign file gives them: the entry points ``niobe.oracles``."""

from __future__ import annotations

from collections.abc import Callable

from niobe.config.errors import ConfigError
from niobe.config.plugins import ORACLES, load
from niobe.config.spec import CampaignSpec
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import Oracle
from niobe.flows.oracles.calculators import check_installed


def make_oracle(spec: OracleSpec) -> Oracle:
    """The oracle registered under that name: a callable that takes the spec of an oracle.

    Raises ConfigError where none is, or where a package that it needs is missing.
    """
    make: Callable[[OracleSpec], Oracle] = load(ORACLES, spec.name)
    return make(spec)


def missing_here(spec: CampaignSpec) -> str:
    """What this machine lacks to ask the campaign's oracles, or "". No calculator by path is imported.

    spec: the campaign.
    """
    try:
        if "ase" in _names(spec):
            check_installed(spec.oracle)
        else:
            check_machine(spec)
    except ConfigError as error:
        return str(error)
    return ""


def _names(spec: CampaignSpec) -> set[str]:
    names = {spec.oracle.name} | ({spec.phonon_oracle.name} if spec.phonons.enabled else set())
    return names | (set(spec.confirm.oracles) if spec.confirm.enabled else set())


def check_machine(spec: CampaignSpec) -> None:
    """Raises ConfigError where this machine cannot ask the campaign's oracles.

    That is a VASP command or POTCARs, a GPU that is named, a calculator by path that cannot be made.
    """
    for name in sorted(_names(spec)):
        check = getattr(load(ORACLES, name), "check_machine", None)
        if check is not None:
            check(spec)
