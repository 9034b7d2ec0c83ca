"""The structure record: one crystal in one campaign, whatever its fate."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from niobe.config.oracles.spec import unsaid
from niobe.config.spec import SCHEMA_VERSION
from niobe.loop.crystals.formulas import in_optimade_form
from niobe.loop.crystals.similarity import spacegroup_name
from niobe.loop.documents.claims import Challenge, Opinion
from niobe.loop.documents.dynamics import PhononVerdict, Stability
from niobe.loop.documents.novelty import Novelty
from niobe.loop.documents.properties import PropertyValue

ON_HULL = 1e-6
"""eV/atom: what lies less above the hull is on it."""


class Status(StrEnum):
    """Lifecycle of a structure record::

        generated ──> invalid            (distances, volume, size, composition)
            ├───────> duplicate          (of a record, a reference or a candidate in flight)
            └───────> screened ──> acquired ──> validated
                          ├──> vetoed      └──> failed
                          └──> screened (stays in the pool of later rounds)

    Seeds enter as ``acquired``. ``validated`` and ``failed`` are final; both are data.
    """

    GENERATED = "generated"
    INVALID = "invalid"
    DUPLICATE = "duplicate"
    SCREENED = "screened"
    VETOED = "vetoed"
    ACQUIRED = "acquired"
    VALIDATED = "validated"
    FAILED = "failed"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Lineage(_Part):
    """Where a structure came from. origin holds what the generator says (latent seed, prototype, mode)."""

    generator: str
    checkpoint: str | None = None
    parents: list[str] = []
    origin: dict[str, str | int | float] = {}


class PredictedValue(_Part):
    """mean and std in the target's unit; None where nothing is said. in_domain: whether the surrogate spoke;
    where it abstains an energy may be the pre-relaxation potential's, with what oracles add to it."""

    mean: float | None
    std: float | None
    in_domain: bool


class Choice(_Part):
    """Why a candidate was validated. selection: ``acquired``, ``control`` (drawn at random), ``pinned``, or
    what a hull is built from: ``seed``, ``competing``; or ``challenge``: it may take a find's claim away."""

    function: str
    selection: Literal["acquired", "control", "pinned", "seed", "competing", "challenge"]
    rank: int
    score: float | None = None


class Prerelaxed(_Part):
    """What the campaign's cheap potential answered after a short relaxation. Energies in eV/atom.

    energy_per_atom: on the campaign's scale, ``correction`` included.
    brief: a short pre-relaxation, not followed by the pre-relaxation potential's full number of steps.
    oracle: fingerprint of the campaign's own potential, where it was asked about a crystal of an element as
    that stands here; by_oracle: what it said, None where it had no answer.
    """

    potential: str
    structure: dict[str, Any]
    energy_per_atom: float
    correction: float = 0.0
    steps: int
    brief: bool = False
    oracle: str = ""
    by_oracle: float | None = None


class Refinement(_Part):
    """What became of a candidate find, relaxed tightly, as its symmetry was searched over growing tolerances.

    converged: whether forces and stress vanish as they have to for a find; else ``reason`` says why not.
    symprec, angle_tolerance: the tightest tolerances (Å, degrees) that find the space group; None where no
    symmetry could be kept, and no angle where it is the one that goes with the tolerance of edges.
    symmetry_cost: energy of the symmetrised cell above the relaxed one, eV/atom. prototype: AFLOW's label,
    mineral: what the library calls it; "" where none fits.
    """

    converged: bool
    reason: str = ""
    symprec: float | None = None
    angle_tolerance: float | None = None
    symmetry_cost: float | None = None
    prototype: str = ""
    mineral: str = ""


class Validation(_Part):
    """What the oracle answered. Energies in eV/atom, volume in Å³/atom, force in eV/Å, seconds per step.

    energy_per_atom: on the campaign's scale, ``correction`` included; under a pressure (GPa) the enthalpy,
    E + pV. max_stress: largest component beyond the pressure, GPa, None where the oracle gives none. refined:
    of a candidate find, else None. potcars: name and hash of the POTCAR of each element, by symbol; empty
    where an oracle has none, and of an older Niobe.
    """

    oracle: str
    structure: dict[str, Any]
    spacegroup: Annotated[int, Field(ge=1, le=230)]
    energy_per_atom: float
    correction: float = 0.0
    volume_per_atom: float
    max_force: float
    max_stress: float | None = None
    pressure: float = 0.0
    steps: int
    seconds: dict[str, float]
    refined: Refinement | None = None
    phonon: PhononVerdict
    files: str | None = None
    potcars: Annotated[dict[str, str], Field(exclude_if=unsaid)] = {}

    def meets(self, other: Mapping[str, str]) -> bool:
        """Whether no element has another POTCAR here than in ``other`` (name and hash by symbol), so that the
        energies of both are on one scale; what only one of them names is no other."""
        return all(other.get(symbol, named) == named for symbol, named in self.potcars.items())


class Product(_Part):
    """A phase of the hull that a claim would fall into, with its share of the atoms.

    asked: how many structures of its composition the oracle was asked for. record_id, campaign: whose it is.
    """

    record_id: str
    campaign: str
    formula: str
    share: float
    asked: int


class Thermal(_Part):
    """What a find is at a temperature (K), by harmonic free energies; energies in eV/atom.

    oracle: fingerprint of what gave the forces. free_energy: of its vibrations, zero-point energy included.
    above: how far its Gibbs energy lies above the lowest mixture of the other phases that have free energies;
    below 0 where it is stable there. products: atomic shares of that mixture, by formula. missing: phases
    near the hull that have none, and why; they could only raise ``above``. reason: why a figure is missing.
    """

    temperature: float
    oracle: str = ""
    free_energy: float | None = None
    above: float | None = None
    products: dict[str, float] = {}
    missing: list[str] = []
    reason: str = ""


class Verdict(_Part):
    """Set when a round closes. products: of a claim (within ``hull_tolerance``), what it competes with, and
    above_products how far it lies above that mixture, eV/atom; below 0 where it is stable. error: standard
    deviation of the numbers of a claim, as far as the oracle repeats itself, eV/atom.
    opinions_agreeing of opinions_asked: of other oracles; spread: between the highest and the lowest
    above_products of all oracles, eV/atom.
    ``found`` is on the hull of the record's own round, ``now`` on the newest; hull_round: of the hull that
    last changed anything of it. novelty: of a find, what it is
    beside everything known. rediscovered: it would be a discovery, had it not been known before.
    thermal: of a find of a campaign at a temperature, what it is there.
    """

    formation_energy_per_atom: float
    e_above_hull_found: float
    e_above_hull_now: float
    hull_round: int
    products: list[Product] = Field(default_factory=list)
    above_products: float | None = None
    duplicate_of: str | None = None
    error: float | None = None
    opinions_agreeing: int = 0
    opinions_asked: int = 0
    spread: float | None = None
    discovery: bool = False
    discovery_round: int | None = None
    displaced_round: int | None = None
    novelty: Novelty | None = None
    rediscovered: bool = False
    thermal: Thermal | None = None

    def given(self, novelty: Novelty) -> Verdict:
        """The verdict of a find of this novelty: what was known before is rediscovered, and no discovery."""
        known = {"discovery": False, "discovery_round": None, "displaced_round": None}
        changed = known if novelty.is_known else {}
        return self.model_copy(update={"novelty": novelty, "rediscovered": novelty.is_known} | changed)

    @property
    def is_find(self) -> bool:
        """Whether it is stable, unique and judged by phonons as the campaign asks, known before or not."""
        return self.discovery or self.rediscovered

    @property
    def was_found(self) -> bool:
        """The same of any round: what something more stable displaced since counts too."""
        known = self.novelty is not None and self.novelty.is_known  # which only finds are asked for
        return self.discovery_round is not None or known

    @property
    def phase(self) -> str:
        """What it is now: ``stable`` (on the hull), ``metastable`` (within ``hull_tolerance``), or ""."""
        if self.e_above_hull_now <= ON_HULL:
            return "stable"
        return "metastable" if self.above_products is not None else ""


class Failure(_Part):
    """A failed validation is data: the step, a cause from a short list, the exception and its message.

    files: the folder, inside Niobe's home, that holds what the oracle had written.
    """

    step: str
    cause: str
    exception: str
    message: str
    seconds: float = 0.0
    attempts: int = 1
    files: str | None = None


class StructureRecord(_Part):
    """One structure of one campaign and round. ``id`` is a hash of campaign, round and content.

    structure: a pymatgen Structure as its ``as_dict`` gives it. formula: pymatgen's reduced formula;
    formula_reduced: OPTIMADE's. chemsys: symbols in alphabetical order, joined by hyphens.
    challenge, opinions: of finds only. properties: by name, of what the oracle relaxed, those that the
    campaign has goals in.
    """

    id: str
    schema_version: int = SCHEMA_VERSION
    campaign: str
    round: int
    index: int
    status: Status
    structure: dict[str, Any]
    formula: str
    chemsys: str
    formula_reduced: str = Field(default_factory=lambda known: in_optimade_form(known["formula"]))
    nelements: int = Field(default_factory=lambda known: len(known["chemsys"].split("-")))
    n_atoms: int
    spacegroup: Annotated[int, Field(ge=1, le=230)]
    fingerprint: str
    lineage: Lineage
    reason: str = ""
    duplicate_of: str | None = None
    pinned: bool = False
    note: str = ""
    prerelaxed: Prerelaxed | None = None
    prediction: dict[str, PredictedValue] = {}
    prediction_round: int | None = None
    choice: Choice | None = None
    acquired_round: int | None = None
    validation: Validation | None = None
    verdict: Verdict | None = None
    challenge: Challenge | None = None
    opinions: list[Opinion] = []
    properties: Annotated[dict[str, PropertyValue], Field(exclude_if=unsaid)] = {}
    failure: Failure | None = None

    @property
    def competing(self) -> bool:
        """Whether it is a competing phase, there so that the hull is complete, and never a find."""
        return self.round == 0 or "subsystem" in self.lineage.origin

    @property
    def challenges(self) -> bool:
        """Whether the oracle was asked for it to challenge a find, beside what a round's batch holds."""
        return self.choice is not None and self.choice.selection == "challenge"

    @property
    def group(self) -> int:
        """Number of its space group: as relaxed where it was."""
        return self.validation.spacegroup if self.validation else self.spacegroup

    @property
    def space_group(self) -> str:
        """Symbol and number of its space group, such as ``Pm-3m (221)``."""
        return spacegroup_name(self.group)

    def value_of(self, name: str) -> float | None:
        """What it has of a property, in the unit of that; None where it has no value. name: of the goal."""
        found = self.properties.get(name)
        return None if found is None else found.value

    @property
    def asked(self) -> bool:
        """Whether the oracle answered for it or failed on it."""
        return self.status in {Status.VALIDATED, Status.FAILED}

    @property
    def unasked(self) -> bool:
        """Whether it is a competing phase that the oracle was not asked for so far."""
        return self.competing and self.status is Status.SCREENED

    @property
    def dynamically_stable(self) -> bool:
        """Whether phonons say that it is stable."""
        return self._dynamics is Stability.STABLE

    @property
    def dynamically_unstable(self) -> bool:
        """Whether phonons say that it is no minimum at 0 K, held by its motion or not."""
        return self._dynamics in {Stability.UNSTABLE, Stability.STABILISED}

    @property
    def phonons_pending(self) -> bool:
        """Whether it waits for its dynamical verdict."""
        return self._dynamics is Stability.PENDING

    @property
    def _dynamics(self) -> Stability | None:
        return self.validation.phonon.outcome if self.validation else None


def is_own_folder(record: StructureRecord, files: str) -> bool:
    """Whether a folder, relative to Niobe's home, is where the files of a step of this record are kept."""
    own = re.escape(f"failed/{record.campaign}/{record.id}")
    return re.fullmatch(own + "(/[a-z_]{1,40})?", files) is not None and "/../" not in files


def record_id(campaign: str, round_number: int, content: str) -> str:
    """16 hex digits, the same for the same campaign, round and content.

    round_number: the round.
    """
    return hashlib.sha256(f"{campaign}\n{round_number}\n{content}".encode()).hexdigest()[:16]
