"""What a campaign is: frozen, hashed, with extra keys forbidden."""

from __future__ import annotations

import hashlib
import json
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from niobe.config import EPOCHS
from niobe.config.elements import ELEMENTS
from niobe.config.goals.spec import Goals, default_function
from niobe.config.oracles.claims import (
    Challenging,
    Confirmation,
    default_challenge,
    default_confirmation,
    second_oracles,
)
from niobe.config.oracles.conditions import Conditions, ambient
from niobe.config.oracles.data import Options
from niobe.config.oracles.spec import Oracle
from niobe.config.plugins import AcquisitionName, GeneratorName, OracleName, SurrogateName
from niobe.config.potentials import DEFAULT_PRERELAX_POTENTIALS, PrerelaxPotential, unknown_to
from niobe.config.search.budget import Budget, Policy
from niobe.config.search.limits import Limits, amounts_in, with_elements
from niobe.config.settings import OPTIMADE_SERVERS

CAMPAIGN_ID = r"[a-z0-9][a-z0-9._-]{0,63}"
"""What an id looks like. It becomes part of paths, and may lead nowhere else."""
SCHEMA_VERSION = 6
_MAX_ELEMENTS = 5
_COMMON = {"corrections", "device", "max_steps", "retries"}
"""What an oracle for phonons has of the campaign's, where it is another one."""
_FILTERED = ("optimade", "oqmd", "niobe")
SourceKind = Literal["optimade", "mp", "oqmd", "icsd", "files", "niobe"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Seeds(_Part):
    """Where the database starts. ``exclude`` holds structure files or AFLOW prototype labels kept out.

    max_prototypes: of the system and of each subsystem of two or more elements, how many competing phases the
    oracle is asked for, lowest by the pre-relaxation potential first, and at most twice as many again by what
    it answered; 0: none.
    """

    prototypes: bool = True
    max_prototypes: Annotated[int, Field(ge=0, le=10_000)] = 16
    files: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class Source(_Part):
    """An open database or files to start from. ``at``: address, folder or file; empty for the kind's own.

    filter: an OPTIMADE filter, instead of the campaign's elements. most: entries at most. optional: where it
    does not answer, the campaign begins without.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
    kind: SourceKind
    at: str = ""
    filter: str = ""
    licence: str = ""
    most: Annotated[int, Field(ge=1)] | None = None
    optional: bool = False

    @model_validator(mode="after")
    def _somewhere(self) -> Source:
        if not self.at and self.kind in {"optimade", "niobe", "files", "icsd"}:
            raise ValueError(f"kind {self.kind} needs at: an address or a path")
        if self.kind == "optimade" and not self.at.startswith(("http://", "https://")):
            raise ValueError(f"at: {self.at!r} is no address; it begins with http:// or https://")
        if self.filter and self.kind not in _FILTERED:
            raise ValueError(f"filter: kind {self.kind} takes none; allowed for {', '.join(_FILTERED)}")
        return self


OPEN_DATABASES = tuple(
    Source(name=name, kind="optimade", at=at, licence="CC BY 4.0", most=500, optional=True)
    for name, at in OPTIMADE_SERVERS.items()
)
"""What ``sources: auto`` stands for."""


class Recompute(_Part):
    """How many structures of the sources become seeds, nearest their own hull first. window in eV/atom.

    learn: whether surrogates also learn from the sources' labels, shifted to the oracle.
    """

    budget: Annotated[int, Field(ge=0)] = 24
    window: Annotated[float, Field(ge=0)] = 0.1
    learn: bool = True


class Phonons(_Part):
    """How the dynamical verdict is reached. Lengths in Å, frequencies in THz, window in eV/atom.

    enabled: without phonons nothing is judged dynamically, and a discovery is stable, unique and novel.
    oracle: the potential that judges, unless it is the campaign's; it relaxes the structure first, to
    ``fmax`` (eV/Å). min_length: from an atom to its nearest image; confirm_length: the same in the second,
    larger cell of what is stable within ``hull_tolerance``.
    """

    enabled: bool = True
    window: Annotated[float, Field(ge=0, le=10)] = 0.1
    oracle: OracleName | None = None
    fmax: Annotated[float, Field(gt=0, le=1)] = 0.005
    min_length: Annotated[float, Field(gt=0, le=30)] = 7.5
    confirm_length: Annotated[float, Field(gt=0, le=30)] = 12.0
    displacement: Annotated[float, Field(gt=0, le=0.2)] = 0.03
    second_displacement: Annotated[float, Field(gt=0, le=0.2)] = 0.01
    tolerance: Annotated[float, Field(ge=0)] = 0.1
    max_supercell_atoms: Annotated[int, Field(ge=1)] = 256


class Prerelaxation(_Part):
    """A cheap potential that relaxes each candidate a little before the surrogate ranks it. fmax in eV/Å.

    The surrogate then learns the oracle's difference to it. It may not be the oracle itself. keep: below 1,
    each candidate gets ``first_steps``, and only as many as that share of the round's, the most promising of
    all rounds so far and no two alike, get ``steps`` more. The others wait: they are acquired by chance, as
    controls, or where too few are relaxed further; what is like another is a duplicate.
    """

    potential: PrerelaxPotential = "chgnet"
    steps: Annotated[int, Field(ge=0, le=500)] = 25
    first_steps: Annotated[int, Field(ge=1, le=500)] = 12
    keep: Annotated[float, Field(gt=0, le=1)] = 1.0
    fmax: Annotated[float, Field(gt=0, le=1)] = 0.1


def _default_prerelaxation(before: dict[str, Any]) -> Prerelaxation | None:
    """Of the fields validated before; none for a toy oracle, which no other potential foretells, for
    ``mlip_prior``, which has one of its own, and for a checkpoint, which learned no differences from one."""
    default = DEFAULT_PRERELAX_POTENTIALS.get(before["oracle"].name) if "oracle" in before else None
    if default is None or unknown_to(default, before.get("elements", ())):
        return None
    chosen = before.get("surrogate")
    does_without = chosen is not None and (chosen.model == "mlip_prior" or chosen.checkpoint is not None)
    return None if does_without else Prerelaxation(potential=default)


class GeneratorShare(_Part):
    name: GeneratorName
    share: Annotated[float, Field(gt=0)] = 1.0


class Generation(_Part):
    """How many candidates a round draws, and from which generators in what shares.

    mix: ``soft_mode`` is in it only where it is named; it was not found to help. finetune: the GAN goes on
    learning from the campaign's own relaxed records each round; that was not found to help either. bandit:
    shift shares towards generators whose candidates were discoveries. phonon_critic: the GAN draws
    ``critic_draws`` times as much, kept by the surrogate's P(dynamically stable).
    """

    candidates: Annotated[int, Field(ge=1, le=100_000)] = 120
    mix: tuple[GeneratorShare, ...] = (
        GeneratorShare(name="prototype", share=0.4),
        GeneratorShare(name="substitution", share=0.25),
        GeneratorShare(name="random", share=0.2),
        GeneratorShare(name="gan", share=0.15),
        GeneratorShare(name="offspring", share=0.4),
    )
    gan_epochs: Annotated[int, Field(ge=1)] = 30
    finetune: bool = False
    bandit: bool = False
    phonon_critic: bool = False
    critic_draws: Annotated[int, Field(ge=2, le=50)] = 4

    @field_validator("mix")
    @classmethod
    def _some(cls, mix: tuple[GeneratorShare, ...]) -> tuple[GeneratorShare, ...]:
        names = [part.name for part in mix]
        if not mix or len(set(names)) != len(names):
            raise ValueError("needs at least one generator, each named once")
        return mix


class SurrogateChoice(_Part):
    """Which registered model ranks candidates, and how many members its ensemble has.

    model: ``auto`` takes each round the one with the lowest cross-validated error. options: of a network, as
    `niobe tune` writes them. retrain: each round from all that is known; without, the first round's stays.
    checkpoint: a folder of `niobe models fit`, which ranks in every round as it is.
    """

    model: SurrogateName = "gbt"
    options: Options = {}
    members: Annotated[int, Field(ge=2, le=50)] = 4
    epochs: Annotated[int, Field(ge=1)] = EPOCHS
    retrain: bool = True
    checkpoint: str | None = None

    @model_validator(mode="after")
    def _of_one_model(self) -> SurrogateChoice:
        for name in ("model", "options", "members", "epochs") if self.checkpoint is not None else ():
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: a checkpoint has its own; leave it out")
        if self.options and self.model == "auto":
            raise ValueError("options: belong to one model; auto takes none, so name the model")
        return self


class Acquisition(_Part):
    """How a batch is chosen. ``control_share`` of it is drawn at random, to measure acceleration.

    p_hull: the probability of lying within hull_tolerance of the hull that all candidates and what is known
    make together, where what lies at the tolerance counts half; p_target: times that of being dynamically
    stable, which was not found to help. posterior: the surrogate's own ensemble, or a Gaussian process on the
    surrogate's features.
    """

    function: AcquisitionName = "p_hull"
    posterior: Literal["ensemble", "gp"] = "ensemble"
    batch: Annotated[int, Field(ge=1, le=10_000)] = 10
    control_share: Annotated[float, Field(ge=0, le=1)] = 0.1


class CampaignSpec(_Part):
    """A chemical system, a goal and a budget. Everything random follows from ``seed``.

    formula: the only one of candidates; its elements where none are named. sources: ``auto`` stands for
    ``OPEN_DATABASES``. prerelax: unless named, the default of the oracle; ``null`` for none. goals: what
    finds are wanted for besides stability. asynchronous: with ``launcher: fireworks``, go on at the quorum
    while slow validations run; what comes late counts in the next round.
    """

    id: Annotated[str, Field(pattern=rf"^{CAMPAIGN_ID}$")]
    elements: tuple[str, ...]
    formula: Annotated[str | None, Field(exclude_if=lambda formula: formula is None)] = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    limits: Limits = Limits()
    budget: Budget = Budget()
    seeds: Seeds = Seeds()
    sources: tuple[Source, ...] = OPEN_DATABASES
    recompute: Recompute = Recompute()
    corpus: str | None = None
    generation: Generation = Generation()
    oracle: Oracle = Oracle()
    goals: Goals = ()
    conditions: Annotated[Conditions, Field(exclude_if=ambient)] = Conditions()
    surrogate: SurrogateChoice = SurrogateChoice()
    prerelax: Prerelaxation | None = Field(default_factory=_default_prerelaxation)
    acquisition: Acquisition = Field(default_factory=Acquisition, validate_default=True)
    phonons: Phonons = Phonons()
    challenge: Challenging = Field(default_factory=default_challenge)
    confirm: Confirmation = Field(default_factory=default_confirmation)
    hull_tolerance: Annotated[float, Field(ge=0, le=1)] = 0.1
    quorum: Annotated[float, Field(gt=0, le=1)] = 0.8
    asynchronous: bool = False
    policy: Policy = Policy()
    launcher: Literal["local", "fireworks"] = "local"

    _of_formula = model_validator(mode="before")(with_elements)

    @field_validator("prerelax", mode="before")
    @classmethod
    def _default_potential(cls, given: object, info: ValidationInfo) -> object:
        """A pre-relaxation that names no potential has the default of the oracle."""
        default = DEFAULT_PRERELAX_POTENTIALS.get(info.data["oracle"].name) if "oracle" in info.data else None
        return {"potential": default} | given if default and isinstance(given, dict) else given

    @field_validator("confirm", mode="before")
    @classmethod
    def _default_oracles(cls, given: object, info: ValidationInfo) -> object:
        """A confirmation that names no oracles has those of the campaign's oracle."""
        if not isinstance(given, dict) or not {"oracle", "elements"} <= info.data.keys():
            return given
        return {"oracles": second_oracles(info.data["oracle"].name, info.data["elements"])} | given

    @field_validator("acquisition", mode="before")
    @classmethod
    def _default_function(cls, given: object, info: ValidationInfo) -> object:
        named = given.model_dump(exclude_unset=True) if isinstance(given, Acquisition) else given
        return default_function(info.data.get("goals", ())) | named if isinstance(named, dict) else named

    @field_validator("sources", mode="before")
    @classmethod
    def _auto(cls, given: object) -> object:
        return OPEN_DATABASES if given == "auto" else given

    @field_validator("sources")
    @classmethod
    def _named_once(cls, sources: tuple[Source, ...]) -> tuple[Source, ...]:
        if len({source.name for source in sources}) != len(sources):
            raise ValueError("names a source twice")
        return sources

    @field_validator("elements")
    @classmethod
    def _known(cls, elements: tuple[str, ...]) -> tuple[str, ...]:
        if not 1 <= len(elements) <= _MAX_ELEMENTS:
            raise ValueError(f"needs 1 to {_MAX_ELEMENTS} element symbols")
        unknown = [symbol for symbol in elements if symbol not in ELEMENTS]
        if unknown:
            raise ValueError(f"unknown element {unknown[0]!r}; allowed: symbols H to Pu")
        if len(set(elements)) != len(elements):
            raise ValueError("names an element twice")
        return tuple(sorted(elements))

    @field_validator("formula")
    @classmethod
    def _of_the_elements(cls, formula: str | None, info: ValidationInfo) -> str | None:
        if formula is not None and "elements" in info.data:
            foreign = sorted(set(amounts_in(formula)) - set(info.data["elements"]))
            if foreign:
                allowed = ", ".join(info.data["elements"])
                raise ValueError(f"holds {foreign[0]}, which is not in elements; allowed: {allowed}")
        return formula

    @model_validator(mode="after")
    def _consistent(self) -> CampaignSpec:
        allowed = ", ".join(self.elements)
        foreign = sorted(set(self.limits.fractions) - set(self.elements))
        if foreign:
            raise ValueError(f"limits.fractions: {foreign[0]!r} is not in the campaign; allowed: {allowed}")
        if self.formula is None and self.limits.formula_units is not None:
            raise ValueError("limits.formula_units: of a campaign of one formula; name it in formula")
        if self.formula is not None and self.limits.fractions:
            raise ValueError("limits.fractions: a campaign of one formula has its own; leave them out")
        if self.formula is not None:
            self.limits.of_formula(amounts_in(self.formula))
        if self.prerelax is not None and self.prerelax.potential == self.oracle.name:
            raise ValueError(
                f"prerelax.potential: {self.oracle.name} is the oracle; what ranks may not judge"
            )
        if self.oracle.name in self.confirm.oracles:
            raise ValueError(f"confirm.oracles: {self.oracle.name} is the oracle; allowed: any other")
        others = {"phonons.oracle": (self.phonons.oracle,), "confirm.oracles": self.confirm.oracles}
        for key, names in others.items():
            if self.oracle.name != "ase" and "ase" in names:
                raise ValueError(f"{key}: ase is the oracle of oracle.calculator, and there is none")
        if self.conditions.temperature and not self.phonons.enabled:
            raise ValueError("conditions.temperature: free energies need phonons; phonons.enabled is false")
        if self.asynchronous and self.launcher == "local":
            raise ValueError("asynchronous: needs launcher: fireworks; the local launcher waits for a batch")
        return self

    @property
    def chemsys(self) -> str:
        """Elements in alphabetical order, joined by hyphens, as pymatgen writes it."""
        return "-".join(self.elements)

    @property
    def phonon_oracle(self) -> Oracle:
        """What judges phonons: relaxes to ``phonons.fmax`` and answers with forces."""
        name = self.phonons.oracle or self.oracle.name
        same = name == self.oracle.name
        kept = self.oracle.model_dump(exclude={"name", "fmax"}, include=None if same else _COMMON)
        return Oracle.model_validate(kept | {"name": name, "fmax": min(self.phonons.fmax, self.oracle.fmax)})

    @property
    def sought(self) -> Limits:
        """The limits of candidates: those of the one formula where there is one."""
        return self.limits if self.formula is None else self.limits.of_formula(amounts_in(self.formula))

    @property
    def sought_elements(self) -> tuple[str, ...]:
        """What candidates are made of; what competes with them has all the campaign's elements."""
        return self.elements if self.formula is None else tuple(sorted(amounts_in(self.formula)))

    def subsystems(self) -> list[str]:
        """The chemical systems of all non-empty subsets of the elements."""
        sizes = range(1, len(self.elements) + 1)
        return ["-".join(chosen) for size in sizes for chosen in combinations(self.elements, size)]

    def digest(self) -> str:
        """SHA-256 over all that decides what the campaign finds (the launcher does not)."""
        content = self.model_dump(mode="json", exclude={"launcher"})
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()

    @property
    def draws_offspring(self) -> bool:
        """Whether a round draws offspring after all else, from what its pre-relaxation potential has relaxed
        by then."""
        return self.prerelax is not None and any(part.name == "offspring" for part in self.generation.mix)

    @property
    def challenges_finds(self) -> bool:
        """Whether finds are challenged: asked for, with a pre-relaxation potential that looks for rivals."""
        return self.challenge.enabled and self.prerelax is not None

    def derived_seed(self, round_number: int, step: str) -> int:
        """A 32-bit seed for one step of one round, derived from the campaign's id and seed."""
        text = f"{self.id}/{self.seed}/{round_number}/{step}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big")
