"""From the goals of a campaign to what computes their properties."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from niobe.config.errors import ConfigError
from niobe.config.extras import DISTRIBUTION
from niobe.config.goals.spec import Goal
from niobe.config.plugins import PROPERTIES, load, registered
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles import calculators
from niobe.flows.trusted import is_trusted, trust
from niobe.loop.goals.properties import Property
from niobe.loop.goals.tables import property_in


def trust_named(spec: CampaignSpec) -> None:
    """Let this machine import what the user's own campaign file names by path: calculator and properties.

    spec: the campaign, as the file has it.
    """
    calculators.trust(spec.oracle)
    for goal in spec.goals:
        if goal.is_path:
            trust(_asked(goal))


def check_goals(spec: CampaignSpec) -> None:
    """Raises ConfigError for a goal whose property is not there. What is named by path is not imported.

    spec: the campaign.
    """
    for goal in spec.goals:
        package = goal.property.partition(":")[0].partition(".")[0]
        if not goal.is_path:
            property_of(goal)
        elif find_spec(package) is None:
            raise ConfigError(f"goals: {goal.property}: no package {package!r} is installed here")


def properties_of(spec: CampaignSpec) -> dict[str, Property]:
    """What computes the property of each goal, by name. Raises ConfigError for one that cannot be had here.

    spec: the campaign.
    """
    return {goal.name: property_of(goal) for goal in spec.goals}


def property_of(goal: Goal) -> Property:
    """What computes a goal's property.

    Raises ConfigError, in one line, where its file cannot be read, or code that it names by path is not
    trusted here, cannot be imported or has no unit.
    """
    if goal.file:
        return property_in(Path(goal.file), goal.name, goal.unit)
    if goal.is_path:
        return _imported(goal)
    found, package = load(PROPERTIES, goal.property), registered(PROPERTIES)[goal.property].dist
    if not isinstance(found, Property):
        raise ConfigError(f"goals: {goal.name}: what is registered under that name is no Property")
    if package is None or package.name == DISTRIBUTION:
        return found
    return replace(found, source=f"{found.source}; {package.name} {package.version}")


def _asked(goal: Goal) -> str:
    return json.dumps({"property": goal.property})


def _imported(goal: Goal) -> Property:
    if not is_trusted(_asked(goal)):
        raise ConfigError(
            f"goals: {goal.property} is code that nobody here has named in a campaign file of their own; "
            "launch such a file to trust it"
        )
    module, _, attribute = goal.property.partition(":")
    try:
        found: Any = getattr(import_module(module), attribute)
        source = f"{goal.property} {calculators.version_of(module)}"
    except Exception as error:
        raise ConfigError(f"goals: {goal.property}: {type(error).__name__}: {error}") from error
    if isinstance(found, Property):
        return replace(found, unit=goal.unit or found.unit, source=f"{source}: {found.source}")
    if not callable(found):
        raise ConfigError(f"goals: {goal.property}: is no function")
    if not goal.unit:
        raise ConfigError(f"goals: {goal.property}: unit: missing; say what its values are in")
    return Property(goal.unit, source, "structure", found)
