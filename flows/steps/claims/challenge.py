"""Challenge: the cheap potential looks for what may take a find away, the campaign's oracle judges that."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import correction_of
from niobe.flows.oracles.calculation import check_physics
from niobe.flows.steps.claims.finds import Known, judged, seconds_for_challenges
from niobe.flows.steps.known import competitors_elsewhere, kept_comparisons
from niobe.flows.steps.prerelax import prerelax_oracle
from niobe.flows.steps.requests import is_sought
from niobe.flows.steps.validate import settle, validate_records, work_folder
from niobe.loop.campaign import closing
from niobe.loop.campaign.challenging import (
    LEAVES,
    Rival,
    attempt_of,
    doubled_along_the_softest,
    drawn_at,
    lower_in_the_pool,
    outcome,
    rival_of,
)
from niobe.loop.campaign.duplicates import SURELY_LOWER
from niobe.loop.campaign.seeds import new_record
from niobe.loop.crystals.displaced import displaced
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.claims import Attack, Challenge
from niobe.loop.documents.records import Choice, Lineage, Prerelaxed, Status, StructureRecord
from niobe.loop.documents.rounds import AskedRival
from niobe.loop.documents.structures import (
    candidate_structure,
    phonon_structure,
    relaxed_structure,
    symmetrised,
)
from niobe.loop.store.database import Database

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from niobe.flows.oracles.force_field import ForceFieldOracle

_STEPS, _WALL_SECONDS = 60, 60.0
_TIME_IS_UP = "its part of the time was used up"
_ATTACKS: tuple[Attack, ...] = ("saddle", "larger_cell", "polymorphs", "products")


def challenge_slot(database: Database, spec: CampaignSpec, number: int, slot: int, slots: int) -> None:
    """Challenge every ``slots``-th find from ``slot`` on that the round chose, unless that is stored.

    What a challenge that was cut short set out to ask about is asked first. What ``challenge.share`` leaves
    is divided among the round's finds that still wait; once its part is used up a search goes no further.

    database: the campaign database. spec: the campaign. number: of the round.
    """
    chosen = database.rounds.get(spec.id, number).finds
    for identifier in chosen[slot::slots]:
        if database.records.get(identifier).challenge is not None:
            continue
        before = _asked_before(database, spec, number, identifier)
        part = _seconds_for_one(database, spec, chosen)
        if part <= 0:
            return
        find, known = _find_without_its_rivals(database, spec, number, identifier)
        if find is None:
            continue  # what was found meanwhile takes its place, as closing will say
        challenge = _Search(database, spec, number, find, known, part, before).challenge()
        if challenge is not None:
            database.rounds.update(spec.id, number, **{_rivals_of(identifier): []})
            database.records.update_if(identifier, {"challenge": None}, challenge=challenge)


def _find_without_its_rivals(
    database: Database, spec: CampaignSpec, number: int, identifier: str
) -> tuple[StructureRecord | None, Known]:
    """A find as it was before its own challenge asked the oracle, which may have been killed since; and all
    that is validated, the answers to that challenge too."""
    records, elsewhere = database.records.finished(spec.id), competitors_elsewhere(database, spec)
    name = _name_of(identifier)
    others = [record for record in records if record.choice is None or record.choice.function != name]
    finds, known = judged(spec, number, others, elsewhere, kept_comparisons(database, spec))
    known |= {record.id: record for record in records if record.validation is not None}
    return next((find for find in finds if find.id == identifier), None), known


def _asked_before(
    database: Database, spec: CampaignSpec, number: int, find: str
) -> list[tuple[Rival, StructureRecord]]:
    """What a challenge that was cut short set out to ask about, with the records that hold the answers."""
    asked: list[tuple[Rival, StructureRecord]] = []
    for one in database.rounds.get(spec.id, number).rivals.get(find, ()):
        _ask(database, spec, number, one)
        record = database.records.get(one.record)
        structure = candidate_structure(record)
        asked.append((Rival(one.attack, one.target, structure, one.below, record=record.id), record))
    return asked


def _ask(database: Database, spec: CampaignSpec, number: int, one: AskedRival) -> None:
    """Have the oracle answer for a rival; what is done of it is not done again."""
    if one.made is None:
        database.candidates.choose(number, {one.record: one.choice})
    else:
        database.records.insert([one.made])
    validate_records(database, spec, [one.record])


def _rivals_of(find: str) -> str:
    return f"rivals__{find}"


def _name_of(find: str) -> str:
    """By which a challenge finds again, after a kill, what it chose from the pool."""
    return f"challenge of {find}"


def _seconds_for_one(database: Database, spec: CampaignSpec, chosen: Sequence[str]) -> float:
    """What each of the finds of a round that wait for their challenge may take."""
    waiting = database.records.count(spec.id, _id={"$in": list(chosen)}, challenge=None)
    return seconds_for_challenges(database, spec) / max(waiting, 1)


@dataclass
class _Search:
    """One find's challenge. limit: s. before: what it asked before it was cut short. seconds, tried: by
    attack. own: what the potential makes of its targets. gaps: what the search did not do, and why."""

    database: Database
    spec: CampaignSpec
    number: int
    find: StructureRecord
    known: Known
    limit: float
    before: list[tuple[Rival, StructureRecord]]
    seconds: dict[Attack, float] = field(default_factory=dict)
    tried: dict[Attack, int] = field(default_factory=dict)
    own: dict[str, Prerelaxed | None] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)

    def challenge(self) -> Challenge | None:
        """Search, ask the oracle about the lowest that was found, judge; None where nothing could be tried:
        what nothing challenged has not been challenged."""
        potential = prerelax_oracle(self.spec, steps=_STEPS)
        self._end = time.monotonic() + self.limit
        rivals: list[Rival] = []
        for attack in _ATTACKS:
            started = time.monotonic()
            rivals += self._lower(potential, attack)
            self.seconds[attack] = time.monotonic() - started
        rivals.sort(key=lambda rival: -rival.below)
        asked = list(self.before)
        for rival in rivals:
            if len(asked) < self.spec.challenge.asks and (not asked or not self._is_over()):
                asked += self._asked(rival, len(asked))
        if silent := sum(record.validation is None for _, record in asked) if asked else len(rivals):
            self._lacks(f"{silent} lower by the potential, without an answer of the oracle")
        return self._judged(asked) if asked or any(self.tried.values()) else None

    def _lower(self, potential: ForceFieldOracle, attack: Attack) -> Iterator[Rival]:
        """What one attack finds that the potential holds to be lower than what it challenges; where it has no
        answer for that, all that the oracle itself may leave it from."""
        self.tried[attack] = 0
        for target in self._targets(attack):
            if self._is_over():
                continue
            if (own := self._own(potential, target)) is None:
                self._lacks(f"the potential has no answer for {target.formula}")
                starts = self._starts(attack, target) if attack in LEAVES else []
                yield from (Rival(attack, target.id, start, below=0.0) for start in starts)
                continue
            if attack in {"polymorphs", "products"}:
                formula = target.formula_reduced
                pool = self.database.records.find(self.spec.id, formula_reduced=formula)
                yield from lower_in_the_pool(attack, target, own, pool, _name_of(self.find.id))
            for start in self._starts(attack, target):
                if self._is_over():
                    return
                self.tried[attack] += 1
                answer = _relaxed(self.spec, potential, target, start)
                below = own.energy_per_atom - answer.energy_per_atom if answer else 0.0
                if answer is not None and below > SURELY_LOWER:
                    yield rival_of(attack, target.id, answer, below, start)

    def _is_over(self) -> bool:
        """Whether its part of the time is used up; the challenge says so then."""
        over = time.monotonic() >= self._end
        if over:
            self._lacks(_TIME_IS_UP)
        return over

    def _lacks(self, gap: str) -> None:
        if gap not in self.gaps:
            self.gaps.append(gap)

    def _own(self, potential: ForceFieldOracle, target: StructureRecord) -> Prerelaxed | None:
        """The potential's answer for what is challenged, asked for once."""
        if target.id not in self.own:
            self.own[target.id] = _relaxed(self.spec, potential, target, relaxed_structure(target))
        return self.own[target.id]

    def _targets(self, attack: Attack) -> list[StructureRecord]:
        """The find, or the compounds that it would fall into at other compositions."""
        if attack != "products":
            return [self.find]
        names = [product.record_id for product in self.find.verdict.products] if self.find.verdict else []
        found = [self.known[name] for name in names if name in self.known]
        return [record for record in found if record.nelements > 1 and record.formula != self.find.formula]

    def _starts(self, attack: Attack, target: StructureRecord) -> list[Structure]:
        """What the potential relaxes."""
        asked, seed = self.spec.challenge, self.spec.derived_seed(self.number, f"challenge/{target.id}")
        structure = relaxed_structure(target)
        if attack == "saddle":
            return [displaced(structure, asked.displacement, seed=seed)]
        if attack == "larger_cell":
            phonons = self.database.phonons.find_one(target.id)
            if phonons is None or not phonons.phonopy or phonons.structure is None:
                return []
            primitive = phonon_structure(target, phonons)
            return [doubled_along_the_softest(primitive, phonons.phonopy, 2 * asked.displacement)]
        return drawn_at(structure, asked.draws, most_atoms=self.spec.limits.max_atoms, seed=seed)

    def _asked(self, rival: Rival, rank: int) -> list[tuple[Rival, StructureRecord]]:
        """A rival with the record that holds the oracle's answer for it, a known one where it is alike; none
        where it was asked before the challenge was cut short."""
        started = time.monotonic()
        one = self._to_ask(rival, rank)
        if any(one.record == record.id for _, record in self.before):
            return []
        if one.record not in self.known:
            set_out = self.database.rounds.get(self.spec.id, self.number).rivals.get(self.find.id, [])
            named = {_rivals_of(self.find.id): [*set_out, one]}
            self.database.rounds.update(self.spec.id, self.number, **named)
            _ask(self.database, self.spec, self.number, one)
        self.seconds[rival.attack] += time.monotonic() - started
        return [(rival, self.database.records.get(one.record))]

    def _to_ask(self, rival: Rival, rank: int) -> AskedRival:
        last = len(self.database.rounds.get(self.spec.id, self.number).batch)  # one crystal is the find's
        choice = Choice(
            function=_name_of(self.find.id), selection="challenge", rank=last + rank, score=-rival.below
        )
        asked = partial(
            AskedRival, attack=rival.attack, target=rival.target, below=rival.below, choice=choice
        )
        if rival.record:
            return asked(record=rival.record)
        chosen = {"status": Status.ACQUIRED, "acquired_round": self.number, "choice": choice}
        made = self._made(rival, rank).model_copy(update=chosen | {"prerelaxed": rival.prerelaxed})
        seen = SeenStructures((r.id, relaxed_structure(r)) for r in self.known.values() if r.id != made.id)
        same = seen.find(candidate_structure(made)) if rival.prerelaxed else None
        return asked(record=made.id, made=made) if same is None else asked(record=same)

    def _made(self, rival: Rival, rank: int) -> StructureRecord:
        index = self.database.records.count(self.spec.id, round=self.number) + rank
        origin: dict[str, str | int | float] = {"attack": rival.attack}
        if not is_sought(self.spec, rival.structure):
            origin["subsystem"] = rival.structure.composition.chemical_system
        lineage = Lineage(generator="challenge", parents=[rival.target], origin=origin)
        return new_record(self.spec, self.number, index, rival.structure, lineage)

    def _judged(self, asked: Sequence[tuple[Rival, StructureRecord]]) -> Challenge:
        records = self.database.results.finished(self.spec.id)
        elsewhere = competitors_elsewhere(self.database, self.spec)
        comparisons = kept_comparisons(self.database, self.spec)
        _, verdicts = closing.close_round(self.spec, self.number, records, elsewhere, comparisons=comparisons)
        verdict = verdicts[self.find.id]
        survived, reason, by = outcome(self.find, verdict, asked, self.known, self.spec.hull_tolerance)
        attempts = [
            attempt_of(attack, asked, self.known, tried=self.tried[attack], seconds=self.seconds[attack])
            for attack in _ATTACKS
        ]
        if survived:
            reason = "; ".join(filter(None, [reason, *(f"cut short: {gap}" for gap in self.gaps)]))
        self._settle([r for _, r in asked if r.id in by and r.formula == self.find.formula])
        return Challenge(
            survived=survived, cut_short=bool(self.gaps), reason=reason, by=by, attempts=attempts
        )

    def _settle(self, records: Sequence[StructureRecord]) -> None:
        """What takes a find's place, the lowest of all, is judged as the find was."""
        same = {r.validation.energy_per_atom: r.id for r in records if r.phonons_pending and r.validation}
        if same:
            lowest = [same[min(same)]]
            settle(self.database, self.spec, lowest, lowest)


def _relaxed(
    spec: CampaignSpec, potential: ForceFieldOracle, record: StructureRecord, structure: Structure
) -> Prerelaxed | None:
    """What the potential makes of a structure; None where it cannot answer for it."""
    try:
        with work_folder(spec, record, "challenge") as folder, potential.within(_WALL_SECONDS):
            answer = potential.relax_briefly(structure, folder)
            check_physics(answer)
            correction = correction_of(potential, answer)
    except (OSError, ImportError, ConfigError):
        raise  # the machine's fault, not the crystal's: the job says so
    except Exception:  # noqa: BLE001 - whatever was raised, there is no rival
        return None
    return Prerelaxed(
        potential=potential.fingerprint,
        structure=symmetrised(answer.structure).as_dict(),
        energy_per_atom=answer.enthalpy_per_atom + correction,
        correction=correction,
        steps=answer.steps,
    )
