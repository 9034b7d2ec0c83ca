"""Oracles by the name a campaign file gives them."""

from __future__ import annotations

from config.spec import Oracle as OracleSpec
from flows.oracles.base import Oracle


def make_oracle(spec: OracleSpec) -> Oracle:
    """The oracle of that name. Raises ConfigError where its optional package is missing."""
    from flows.oracles.force_field import ForceFieldOracle

    return ForceFieldOracle(spec)
