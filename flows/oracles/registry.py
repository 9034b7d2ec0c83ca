"""Oracles by the name a campaign file gives them."""

from __future__ import annotations

from niobe.config.spec import CampaignSpec
from niobe.config.spec import Oracle as OracleSpec
from niobe.flows.oracles.base import Oracle


def make_oracle(spec: OracleSpec) -> Oracle:
    """The oracle of that name. Raises ConfigError where its optional package is missing."""
    if spec.name == "vasp":
        from niobe.flows.oracles.vasp import VaspOracle

        return VaspOracle(spec)
    from niobe.flows.oracles.force_field import ForceFieldOracle

    return ForceFieldOracle(spec)


def check_machine(spec: CampaignSpec) -> None:
    """Raises ConfigError where this machine cannot ask the campaign's oracles (VASP command, POTCARs)."""
    if "vasp" in (spec.oracle.name, spec.phonons.enabled and spec.phonon_oracle.name):
        from niobe.flows.oracles import vasp

        vasp.check_machine(spec)
