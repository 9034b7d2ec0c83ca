"""Niobe's own generators, each made for a round of a campaign.

A generator of another package is registered under ``niobe.generators`` as a callable like these: it takes a
``RoundContext`` and returns what draws.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from niobe.config.home import work
from niobe.config.plugins import GENERATORS, load
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import Oracle
from niobe.flows.oracles.potentials import UnphysicalAnswerError
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.checkpoints import fetched_checkpoint
from niobe.flows.steps.known import records_and_known
from niobe.flows.steps.prerelax import prerelax_oracle
from niobe.loop.documents.records import StructureRecord
from niobe.loop.generators.parents import offspring_parents, soft_parents, surviving_shares
from niobe.loop.store.database import Database
from niobe.surrogates.protocols import Generator

if TYPE_CHECKING:
    from pymatgen.core import Structure


@dataclass(frozen=True)
class RoundContext:
    """What a generator may draw from: the campaign, the round it draws for, and all records before."""

    spec: CampaignSpec
    number: int
    database: Database

    def records(self) -> list[StructureRecord]:
        """All records of the campaign, by round and index, then what other campaigns validated; as they were
        when first asked for."""
        return list(self._records)

    @cached_property
    def _records(self) -> list[StructureRecord]:
        return records_and_known(self.database, self.spec)


def make_generator(context: RoundContext, name: str) -> Generator:
    """The generator of that name. Raises ConfigError where none is registered or it cannot be imported."""
    make: Callable[[RoundContext], Generator] = load(GENERATORS, name)
    return make(context)


def gan(context: RoundContext) -> Generator:
    """The round's GAN as it is, or with the round's surrogate as its phonon critic."""
    from niobe.surrogates.gan import CrystalGAN

    spec, number = context.spec, context.number
    trained = CrystalGAN.load(fetched_checkpoint(context.database, spec.id, number, "gan"))
    if not spec.generation.phonon_critic:
        return trained
    from niobe.flows.steps.train import round_surrogate
    from niobe.loop.generators import Guided

    surrogate = round_surrogate(context.database, spec, number)
    return Guided(trained, surrogate, draws=spec.generation.critic_draws)


def random(context: RoundContext) -> Generator:
    """Random symmetric structures."""
    from niobe.loop.generators import RandomSymmetric

    return RandomSymmetric()


def prototype(context: RoundContext) -> Generator:
    """Decorated prototypes."""
    from niobe.loop.generators import PrototypeSubstitution

    return PrototypeSubstitution()


def substitution(context: RoundContext) -> Generator:
    """Known crystals of other elements with the campaign's in their places."""
    from niobe.loop.campaign.seeding import substitution_parents
    from niobe.loop.generators import Substitution

    return Substitution(substitution_parents(context.database, context.spec))


def offspring(context: RoundContext) -> Generator:
    """Children of the lowest crystals known."""
    from niobe.loop.generators import Offspring

    records = context.records()
    parents = offspring_parents(records, context.spec)
    return Offspring(parents, surviving_shares(records, parents))


def soft_mode(context: RoundContext) -> Generator:
    """Children along the imaginary modes of what phonons call unstable."""
    from niobe.loop.generators import SoftModes

    parents = soft_parents(context.database, context.spec, context.number)
    return SoftModes(parents, _energy(context.spec))


def _energy(spec: CampaignSpec) -> Callable[[Structure], float]:
    """Enthalpy (eV/atom) of a structure as it stands by the pre-relaxation potential, else by the oracle.

    Infinite where the potential leaves physics.
    """
    pressure = spec.conditions.pressure
    oracle: Oracle = prerelax_oracle(spec) if spec.prerelax else make_oracle(spec.oracle, pressure)
    folder = work(spec.id) / f"soft_modes-{os.getpid()}"

    def energy(structure: Structure) -> float:
        try:
            (answer,) = oracle.static([structure], folder)
        except UnphysicalAnswerError:
            return float("inf")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return answer.enthalpy_per_atom

    return energy
