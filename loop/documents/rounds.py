"""What is kept of each round besides its structure records: state, metrics, hull and phonon bands."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from niobe.config.oracles.spec import unsaid
from niobe.loop.documents.claims import Agreement, Attack
from niobe.loop.documents.dynamics import SoftMode
from niobe.loop.documents.properties import Level
from niobe.loop.documents.records import ON_HULL, Choice, StructureRecord

_MOST_MODES = 100
_Vector = Annotated[list[int], Field(min_length=3, max_length=3)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Diversity(_Part):
    """How varied the GAN's samples of a round were. Entropies in nats.

    asked, drawn: samples wanted, and got after repetitions were left out. novelty: median distance to the
    nearest structure known before, in standard deviations per feature of the descriptor. critic_gap: how far
    apart the critic held real and made crystals when training ended.
    """

    asked: int
    drawn: int
    compositions: float
    space_groups: float
    sites: float
    novelty: float | None = None
    critic_gap: float | None = None


class FurtherDraw(_Part):
    """What one more part of a large round draws: its first record's index, samples by generator, and by what
    for; those that were rejected, by generator and reason, once it has."""

    start: int
    samples: dict[str, int]
    rejected: dict[str, int] = {}


class RoundMetrics(_Part):
    """Counts of one round, errors in eV/atom, rates and coverage between 0 and 1, seconds by step.

    stable: on the hull when found; metastable: above it, within ``hull_tolerance``. discoveries are either.
    miscalibration: area between expected and observed coverage of all central intervals, 0 to 0.5.
    challenged, survived, challenge_seconds: of all finds so far.
    agreements: other oracles' with the campaign's finds. confirm_seconds: what all their answers took so far.
    answered: finds among the finished validations so far, and how many those are, by what chose them.
    out_of_range: candidates so far that were set aside for a goal, by its name. hypervolume: that results so
    far dominate in e_above_hull (eV/atom) and the campaign's objectives, in the product of their units, from
    ``highest_above`` (eV/atom) and the ``reference`` of each objective on.
    """

    generated: int = 0
    invalid: int = 0
    duplicates: int = 0
    screened: int = 0
    validated: int = 0
    failed: int = 0
    stable: int = 0
    metastable: int = 0
    dynamically_stable: int = 0
    discoveries: int = 0
    displaced: int = 0
    hit_rate: float | None = None
    control_hit_rate: float | None = None
    mae: float | None = None
    coverage: float | None = None
    miscalibration: float | None = None
    failures_by_cause: dict[str, int] = {}
    rejected_by_generator: dict[str, int] = {}
    diversity: Diversity | None = None
    seconds: dict[str, float] = {}
    best_e_above_hull: float | None = None
    challenged: int = 0
    survived: int = 0
    challenge_seconds: float = 0.0
    agreements: list[Agreement] = []
    confirm_seconds: float = 0.0
    answered: Annotated[dict[str, tuple[int, int]], Field(exclude_if=unsaid)] = {}
    out_of_range: Annotated[dict[str, int], Field(exclude_if=unsaid)] = {}
    hypervolume: Annotated[float | None, Field(exclude_if=unsaid)] = None
    highest_above: Annotated[float | None, Field(exclude_if=unsaid)] = None
    reference: Annotated[dict[str, Level], Field(exclude_if=unsaid)] = {}


class AskedForForces(_Part):
    """What asking for the force constants of a phase took (s), and where there are none the cause, as of a
    failure or ``no_phonons``, and the reason in words."""

    seconds: float
    cause: str = ""
    reason: str = ""


class AskedRival(_Part):
    """What a challenge set out to ask the oracle about, written before it is asked: whoever goes on with the
    challenge asks the same.

    target: id of what it challenges. below: eV/atom, by the pre-relaxation potential. record: id of its
    record. choice: by which it is asked. made: that record, where it is no candidate of the pool.
    """

    attack: Attack
    target: str
    below: float
    record: str
    choice: Choice
    made: StructureRecord | None = None


class RoundState(StrEnum):
    """A round is open until its verdicts stand; open -> closed."""

    OPEN = "open"
    CLOSED = "closed"


class CampaignState(StrEnum):
    """running -> finished or stopped (by a person) -> running again where it is launched again."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"


class RoundRecord(_Part):
    """``batch_digest`` hashes the ids of the validated batch in order.

    wanted: candidates asked of each generator, once soft modes have been followed.
    asked_again: ids that a person asked the oracle for once more, in that order.
    promising: ids of those candidates that the pre-relaxation potential relaxes further in this round.
    phonons: ids of those validated structures whose phonons are run in this round; candidate_finds: of those
    of them that are relaxed as tightly as a find has to be. finds: of those finds that it challenges.
    asked_for_goals: of those that the oracle is asked about for the campaign's goals. force_constants: what
    became of the phases that those of finds at a temperature were asked for in this round, by id.
    expected_finds: of its batch, by the surrogate; nothing_left: P(no candidate drawn so far lies on the
    hull); None where there was nothing to rank by.
    steps: seconds of each finished step, named as ``step_and_batch`` reads it; a step named here is not run
    again. further: what the parts of a large round after the first draw, by number. claims: what each
    unfinished step, or slot of one, was last claimed by, by its name. taken: how often a step that chooses
    candidates was taken from another worker. rivals: what unfinished challenges set out to ask the oracle
    about, by find. doing: how far the running step has come, in words. closed_at: ISO 8601 in UTC; "" until
    then, and of an older Niobe.
    """

    campaign: str
    number: int
    state: RoundState = RoundState.OPEN
    batch: list[str] = []
    batch_digest: str = ""
    asked_again: list[str] = []
    wanted: dict[str, int] = {}
    further: Annotated[dict[str, FurtherDraw], Field(exclude_if=unsaid)] = {}
    promising: list[str] = []
    expected_finds: Annotated[float | None, Field(exclude_if=unsaid)] = None
    nothing_left: Annotated[float | None, Field(exclude_if=unsaid)] = None
    phonons: list[str] = []
    candidate_finds: list[str] = []
    finds: list[str] = []
    asked_for_goals: Annotated[list[str], Field(exclude_if=unsaid)] = []
    force_constants: Annotated[dict[str, AskedForForces], Field(exclude_if=unsaid)] = {}
    steps: dict[str, float] = {}
    claims: dict[str, str] = {}
    taken: Annotated[int, Field(exclude_if=lambda count: count == 0)] = 0
    rivals: Annotated[dict[str, list[AskedRival]], Field(exclude_if=unsaid)] = {}
    doing: str = ""
    metrics: RoundMetrics = RoundMetrics()
    notes: list[str] = []
    closed_at: str = ""

    @property
    def rejected(self) -> dict[str, int]:
        """Samples that no record holds, of all parts of its drawing, by generator and reason."""
        parts = (part.rejected for part in self.further.values())
        return self.metrics.rejected_by_generator | {
            key: lost for part in parts for key, lost in part.items()
        }

    @property
    def closed(self) -> bool:
        """Whether its verdicts stand."""
        return self.state is RoundState.CLOSED


def step_and_batch(name: str) -> tuple[str, str]:
    """A step as it is named in ``RoundRecord.steps``: "offspring_2" is the step offspring of batch 2."""
    step, _, number = name.rpartition("_")
    return (step, number) if number.isdigit() else (name, "")


def batch_digest(batch: Sequence[str]) -> str:
    """12 hex digits over the ids of a validated batch in order."""
    return hashlib.sha256("\n".join(batch).encode()).hexdigest()[:12]


class HullEntry(_Part):
    """One validated structure on the hull diagram; energies in eV/atom.

    campaign: whose record it is; generator: what drew it (``prototype``, ``reference``, ``file``, …).
    """

    record_id: str
    campaign: str = ""
    generator: str = ""
    formula: str
    n_atoms: int
    composition: dict[str, float]
    energy_per_atom: float
    formation_energy_per_atom: float
    e_above_hull: float


class SearchedSystem(_Part):
    """How well a chemical system was searched: phases pre-relaxed, asked of the oracle, and failed there."""

    chemsys: str
    ranked: int
    asked: int
    failed: int


class HullRecord(_Part):
    """The convex hull as it stood when a round closed, for one oracle fingerprint.

    searched: how well each system was, the elements first. excluded: labels of what ``seeds.exclude`` holds
    out, which the hull lacks as long as it is not found again. noise: median difference between energies of
    crystals that were relaxed from two starts, eV/atom; None where hardly any was. pressure: under which
    its energies are enthalpies, GPa. phases: how many came from where, of a hull that keeps only its lowest
    entries.
    """

    campaign: str
    round: int
    oracle: str
    entries: list[HullEntry]
    searched: list[SearchedSystem] = []
    excluded: list[str] = []
    noise: float | None = None
    pressure: float = 0.0
    phases: Annotated[dict[str, int], Field(exclude_if=unsaid)] = {}

    @property
    def quantity(self) -> str:
        """What phases compete by: ``formation energy``, or ``formation enthalpy at 5 GPa``."""
        return f"formation enthalpy at {self.pressure:g} GPa" if self.pressure else "formation energy"

    def built_from(self) -> dict[str, int]:
        """How many phases came from where: generators of this campaign, and other campaigns by name."""
        if self.phases:
            return self.phases
        names = [
            entry.generator if entry.campaign in {"", self.campaign} else f"campaign {entry.campaign}"
            for entry in self.entries
        ]
        return dict(Counter(names).most_common())

    def lowest(self, most: int) -> HullRecord:
        """The hull with its lowest entries alone, all vertices among them, and the count of all; as it is
        where it has no more.

        most: entries, vertices aside.
        """
        if len(self.entries) <= most:
            return self
        limit = sorted(entry.e_above_hull for entry in self.entries)[most - 1]
        kept = [entry for entry in self.entries if entry.e_above_hull <= max(limit, ON_HULL)]
        return self.model_copy(update={"entries": kept, "phases": self.built_from()})

    def vertices(self) -> list[HullEntry]:
        """What lies on it."""
        return [entry for entry in self.entries if entry.e_above_hull <= ON_HULL]


class PhononRecord(_Part):
    """Phonon bands and what a soft mode needs. frequencies[q][branch] in THz, distances in 1/Å.

    supercell_matrix: the supercell's vectors as rows. modes: imaginary ones. structure: the primitive cell
    that q and modes belong to; what the oracle relaxed where an older Niobe stored none.
    phonopy: its cells, displacements and forces, as ``loop.stability.force_constants`` packs them. oracle:
    fingerprint of what gave the forces; "" of an older Niobe.
    """

    record_id: str
    campaign: str
    distances: list[float]
    frequencies: list[list[float]]
    ticks: list[tuple[float, str]]
    dos_frequencies: list[float]
    dos: list[float]
    supercell_matrix: Annotated[list[_Vector], Field(min_length=3, max_length=3)]
    modes: Annotated[list[SoftMode], Field(max_length=_MOST_MODES)] = []
    structure: dict[str, Any] | None = None
    phonopy: str = ""
    oracle: str = ""

    @model_validator(mode="after")
    def _even(self) -> PhononRecord:
        even = (
            len({len(row) for row in self.frequencies}) <= 1
            and len(self.distances) == len(self.frequencies)
            and len(self.dos) == len(self.dos_frequencies)
            and all(len(mode["real"]) == len(mode["imag"]) for mode in self.modes)
            and len({len(mode["real"]) for mode in self.modes}) <= 1
            and all(mode["real"] and len(mode["real"]) % 3 == 0 for mode in self.modes)
        )
        if not even:
            raise ValueError("bands, density of states or modes have uneven lengths")
        return self


class CampaignRecord(_Part):
    """A campaign as the database knows it: its spec, and what a person asked for between rounds."""

    id: str
    spec: dict[str, Any]
    spec_digest: str
    schema_version: int
    state: CampaignState = CampaignState.RUNNING
    reason: str = ""
    stop: bool = False
    extra_validations: int = 0
    extra_rounds: int = 0
    extra_oracle_seconds: float = 0.0
