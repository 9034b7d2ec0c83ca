"""What may take a find away: rivals of lower energy, and what became of it. Pure: no oracle is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from niobe.loop.campaign.duplicates import SURELY_LOWER
from niobe.loop.documents.claims import Attack, Attempt
from niobe.loop.documents.records import ON_HULL, Prerelaxed, Status, StructureRecord, Verdict
from niobe.loop.generators import RandomSymmetric
from niobe.loop.generators.soft_modes import Direction, follow
from niobe.surrogates.protocols import SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure

LEAVES: dict[Attack, str] = {
    "saddle": "displaced off its symmetry",
    "larger_cell": "displaced in a cell twice as large",
}
_HALVES = [np.array([x, y, z]) / 2 for x in (0, 1) for y in (0, 1) for z in (0, 1) if x or y or z]


@dataclass(frozen=True)
class Rival:
    """A crystal that the pre-relaxation potential holds to be lower than what it challenges, or, where it has
    no answer for that, one displaced from it.

    target: id of the find, or of a phase that the find would fall into. structure: what the oracle relaxes;
    displaced from the target where it was found downhill from there, for the potential may slide where the
    oracle sees a barrier. below: by how much, eV/atom. prerelaxed: of a structure that the potential relaxed.
    record: of the pool that it comes from, if it does.
    """

    attack: Attack
    target: str
    structure: Structure
    below: float
    prerelaxed: Prerelaxed | None = None
    record: str = ""


def rival_of(attack: Attack, target: str, answer: Prerelaxed, below: float, start: Structure) -> Rival:
    """A rival that the potential found from ``start``.

    target: id of what it challenges. answer: of the potential. below: eV/atom.
    """
    from niobe.loop.crystals.decoding import decoded

    if attack in LEAVES:
        return Rival(attack, target, start, below)
    return Rival(attack, target, decoded(answer.structure), below, answer)


def doubled_along_the_softest(structure: Structure, phonopy: str, distance: float) -> Structure:
    """A cell twice as large, displaced by ``distance`` (Å, of the atom that moves most) along the softest
    mode of the seven points at which two cells are held.

    structure: the primitive cell that the force constants belong to. phonopy: these, as a PhononRecord has
    them.
    """
    from niobe.loop.stability.force_constants import loaded

    phonon = loaded(phonopy)
    phonon.run_qpoints(np.array(_HALVES), with_eigenvectors=True)
    found = phonon.get_qpoints_dict()
    frequencies = np.asarray(found["frequencies"])
    point = int(frequencies.min(axis=1).argmin())
    branch = int(frequencies[point].argmin())
    vector = np.asarray(found["eigenvectors"])[point][:, branch]
    x, y, z = _HALVES[point].tolist()
    return follow(structure, Direction("0", (x, y, z), float(frequencies[point, branch]), vector), distance)


def drawn_at(structure: Structure, count: int, *, most_atoms: int, seed: int) -> list[Structure]:
    """Up to ``count`` random symmetric crystals of the composition of a structure.

    most_atoms: in the primitive cell, no fewer than the formula needs. seed: of all draws.
    """
    shares = structure.composition.fractional_composition.get_el_amt_dict()
    least = int(structure.composition.reduced_composition.num_atoms)
    request = SampleRequest(
        elements=tuple(sorted(shares)),
        min_atoms=least,
        max_atoms=max(most_atoms, least),
        fractions={symbol: (share, share) for symbol, share in shares.items()},
    )
    return [sample.structure for sample in RandomSymmetric().sample(request, count, seed=seed).samples]


def lower_in_the_pool(
    attack: Attack,
    target: StructureRecord,
    own: Prerelaxed,
    records: Sequence[StructureRecord],
    challenge: str,
) -> Iterator[Rival]:
    """Candidates and competing phases of one composition that nobody was asked about, held to be lower.

    own: the answer of the same potential for the target. records: of the campaign. challenge: the function
    by which those were chosen that it asked for before it was killed.
    """
    from niobe.loop.crystals.decoding import decoded

    for record in records:
        answer = record.prerelaxed
        chosen = record.choice is not None and record.choice.function == challenge
        waits = chosen or record.status is Status.SCREENED
        if not waits or record.formula != target.formula or record.lineage.generator == "challenge":
            continue
        if answer is None or answer.brief or answer.potential != own.potential:
            continue
        below = own.energy_per_atom - answer.energy_per_atom
        if below > SURELY_LOWER:
            yield Rival(attack, target.id, decoded(answer.structure), below, answer, record.id)


def attempt_of(
    attack: Attack,
    asked: Sequence[tuple[Rival, StructureRecord]],
    known: Mapping[str, StructureRecord],
    *,
    tried: int,
    seconds: float,
) -> Attempt:
    """One attack as it is kept.

    asked: its rivals with the records that hold the oracle's answers. known: validated records by id. tried:
    how many structures the potential relaxed. seconds: that it took.
    """
    found = [pair for pair in asked if pair[0].attack == attack]
    heights = [_against(record, known[rival.target]) for rival, record in found if record.validation]
    return Attempt(
        attack=attack,
        tried=tried,
        asked=len(found),
        lowest=min(heights, default=None),
        records=[record.id for _, record in found],
        seconds=round(seconds, 3),
    )


def _against(record: StructureRecord, target: StructureRecord) -> float:
    energies = [found.validation.energy_per_atom for found in (record, target) if found.validation]
    return energies[0] - energies[1]


def outcome(
    find: StructureRecord,
    verdict: Verdict,
    asked: Sequence[tuple[Rival, StructureRecord]],
    known: Mapping[str, StructureRecord],
    tolerance: float,
) -> tuple[bool, str, list[str]]:
    """Whether a find survives, why not or what changed, and the ids of the records that did it.

    find: with its verdict before. verdict: by the hull that what was asked is part of. known: validated
    records by id. tolerance: eV/atom above the hull within which it is a find.
    """
    answered = [(rival, record) for rival, record in asked if record.validation]
    lower = [(_against(record, known[rival.target]), rival, record.id) for rival, record in answered]
    lower = sorted((found for found in lower if found[0] < -SURELY_LOWER), key=lambda found: found[0])
    left = [found for found in lower if found[1].attack in LEAVES]
    height, by = verdict.e_above_hull_now, [identifier for *_, identifier in lower]
    if left:
        gain, rival, identifier = left[0]
        return (
            False,
            f"no minimum: {LEAVES[rival.attack]} it relaxes to {-gain:.3f} eV/atom lower",
            [identifier],
        )
    if height > tolerance:
        return False, f"{height:.3f} eV/atom above the hull once its challengers are part of it", by
    if find.verdict and find.verdict.e_above_hull_now <= ON_HULL < height:
        return True, f"no longer on the hull: {height:.3f} eV/atom above it", by
    return True, "", []
