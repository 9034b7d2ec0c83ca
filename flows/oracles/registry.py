"""Oracles by the name a campaign file gives them: the entry points ``niobe.oracles``."""

from __future__ import annotations

from collections.abc import Callable

from niobe.config.plugins import ORACLES, load
from niobe.config.spec import CampaignSpec
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import Oracle


def make_oracle(spec: OracleSpec) -> Oracle:
    """The oracle registered under that name: a callable that takes the spec of an oracle.

    Raises ConfigError where none is, or where a package that it needs is missing.
    """
    make: Callable[[OracleSpec], Oracle] = load(ORACLES, spec.name)
    return make(spec)


def check_machine(spec: CampaignSpec) -> None:
    """Raises ConfigError where this machine cannot ask the campaign's oracles (VASP command, POTCARs)."""
    names = {spec.oracle.name} | ({spec.phonon_oracle.name} if spec.phonons.enabled else set())
    names |= set(spec.confirm.oracles) if spec.confirm.enabled else set()
    for name in sorted(names):
        check = getattr(load(ORACLES, name), "check_machine", None)
        if check is not None:
            check(spec)
