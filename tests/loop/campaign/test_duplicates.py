"""Of two crystals that look alike the lower one stands for both, or each for itself, whatever came first."""

from __future__ import annotations

from itertools import product

import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.steps.validate import choose_phonons
from niobe.loop.campaign.closing import close_round, hits_of
from niobe.loop.campaign.duplicates import duplicates
from niobe.loop.crystals.similarity import Reduced, alike
from niobe.loop.documents.dynamics import PhononVerdict, Stability
from niobe.loop.documents.records import Choice, StructureRecord
from niobe.loop.store.database import Database
from tests.loop.factory import SPEC, element, nbo, validated

SEEDS = [validated(element("Nb"), -10.0), validated(element("O", 3.0), -5.0, index=1)]
Form = tuple[Structure, Structure]


def perovskite(a: float, b: float, cell: Lattice, low: tuple[float, float, float], *species: str) -> Form:
    """Cubic ABO3 and a polar form in which B and O move by these fractions of c: B, apical and other O."""
    sites = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.0], [0.5, 0.0, 0.5], [0.0, 0.5, 0.5]]
    moved = [[0.0, 0.0, z] for z in (0.0, low[0], low[1], low[2], low[2])]
    names = [*species, "O", "O", "O"]
    low_sites = [[x + m for x, m in zip(s, ms, strict=True)] for s, ms in zip(sites, moved, strict=True)]
    return Structure(Lattice.cubic((a * b) ** 0.5), names, sites), Structure(cell, names, low_sites)


def rocksalt_and_rhombohedral(a: float, shift: float, angle: float, *species: str) -> Form:
    """Rock salt and the R3m form in which one sublattice moves along [111]."""
    edge = a / 2**0.5
    return tuple(  # type: ignore[return-value]
        Structure(Lattice.rhombohedral(edge, alpha), species, [[0.0, 0.0, 0.0], [x, x, x]])
        for alpha, x in ((60.0, 0.5), (angle, 0.5 - shift))
    )


def hexagonal(a: float, c_flat: float, c: float, u: float, *species: str) -> Form:
    """The flat layers of P6_3/mmc and wurtzite."""
    found = []
    for height, z in ((c_flat, 0.5), (c, u)):
        sites = [[1 / 3, 2 / 3, 0.0], [2 / 3, 1 / 3, 0.5], [1 / 3, 2 / 3, z], [2 / 3, 1 / 3, z + 0.5]]
        names = [species[0]] * 2 + [species[1]] * 2
        found.append(Structure(Lattice.hexagonal(a, height), names, sites))
    return found[0], found[1]


def stretched(high: Structure, ratio: float) -> Form:
    """A cubic form, and the tetragonal one of the same volume with that c/a."""
    low = high.copy()
    low.apply_strain([ratio ** (-1 / 3) - 1, ratio ** (-1 / 3) - 1, ratio ** (2 / 3) - 1])
    return high, low


def heusler() -> Structure:
    sites = [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.25, 0.25, 0.25], [0.75, 0.75, 0.75]]
    return Structure(Lattice.cubic(5.82).get_niggli_reduced_lattice(), ["Mn", "Ga", "Ni", "Ni"], sites)


def cesium_chloride(a: float, *species: str) -> Structure:
    return Structure(Lattice.cubic(a), species, [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])


FAMILIES = {
    "PbTiO3": perovskite(3.97, 3.97, Lattice.tetragonal(3.90, 4.15), (0.04, 0.11, 0.12), "Pb", "Ti"),
    "BaTiO3": perovskite(4.03, 4.03, Lattice.tetragonal(3.99, 4.07), (0.015, -0.02, -0.015), "Ba", "Ti"),
    "KNbO3": perovskite(4.02, 4.02, Lattice.tetragonal(4.0, 4.07), (0.018, -0.03, -0.02), "K", "Nb"),
    "PbZrO3": perovskite(4.16, 4.16, Lattice.tetragonal(4.1, 4.3), (0.03, 0.08, 0.08), "Pb", "Zr"),
    "GeTe": rocksalt_and_rhombohedral(5.98, 0.03, 58.0, "Ge", "Te"),
    "SnTe": rocksalt_and_rhombohedral(6.32, 0.02, 59.5, "Sn", "Te"),
    "ZnO": hexagonal(3.3, 4.9, 5.2, 0.40, "Zn", "O"),
    "AlN": hexagonal(3.2, 4.5, 4.98, 0.41, "Al", "N"),
    "Ni2MnGa": stretched(heusler(), 1.15),
    "AuMn": stretched(cesium_chloride(3.2, "Au", "Mn"), 0.93),
    "NiTi": stretched(cesium_chloride(3.0, "Ni", "Ti"), 1.08),
    "LaN": stretched(Structure(Lattice.cubic(5.3), ["La"] * 4 + ["N"] * 4, [
        *([0.0, 0.0, 0.0], [0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0]),
        *([0.5, 0.5, 0.5], [0.5, 0.0, 0.0], [0.0, 0.5, 0.0], [0.0, 0.0, 0.5]),
    ]), 0.92),
}  # fmt: skip


def campaign_of(structure: Structure) -> tuple[CampaignSpec, list[StructureRecord]]:
    """A campaign in the elements of a crystal, and their references at 0 eV/atom."""
    symbols = sorted({site.specie.symbol for site in structure})
    spec = CampaignSpec(id="t", elements=tuple(symbols))
    return spec, [validated(element(symbol), 0.0, index=row) for row, symbol in enumerate(symbols)]


def closed(spec: CampaignSpec, records: list[StructureRecord], number: int) -> list[StructureRecord]:
    _, verdicts = close_round(spec, number, records)
    return [record.model_copy(update={"verdict": verdicts[record.id]}) for record in records]


@pytest.mark.parametrize("name", FAMILIES)
def test_the_two_forms_look_alike(name: str) -> None:
    high, low = map(Reduced, FAMILIES[name])
    assert len(high.cell) == len(low.cell)
    assert alike(high, low)


@pytest.mark.parametrize(
    ("name", "lower_first", "rounds", "of_high"),
    list(product(FAMILIES, (True, False), (1, 2), (Stability.UNSTABLE, Stability.UNDECIDED))),
)
def test_the_lower_stable_form_is_the_find(
    name: str, lower_first: bool, rounds: int, of_high: Stability
) -> None:
    """39 meV/atom apart, as the two of PbTiO3 are by 7net-0."""
    high, low = FAMILIES[name]
    spec, records = campaign_of(high)
    forms = [(low, -1.039, Stability.STABLE), (high, -1.0, of_high)]
    for place, (structure, energy, outcome) in enumerate(forms if lower_first else reversed(forms)):
        number = 1 + place * (rounds - 1)
        records.append(validated(structure, energy, round_number=number, index=place, outcome=outcome))
        if rounds == 2:
            records = closed(spec, records, number)
    verdicts = {
        r.validation.energy_per_atom: r.verdict for r in closed(spec, records, rounds) if r.validation
    }
    found, other = verdicts[-1.039], verdicts[-1.0]
    assert found is not None and other is not None
    assert (found.discovery, found.duplicate_of, found.e_above_hull_now) == (True, None, 0.0)
    assert (other.discovery, other.duplicate_of) == (False, None)


@pytest.mark.parametrize("lower_first", [True, False])
def test_both_forms_get_phonons_in_one_round(database: Database, lower_first: bool) -> None:
    high, low = FAMILIES["PbTiO3"]
    spec, references = campaign_of(high)
    waiting = [pending(low, -1.039, 1 - lower_first), pending(high, -1.0, int(lower_first))]
    database.campaigns.create(spec)
    database.records.insert([*references, *waiting])
    choose_phonons(database, spec, database.rounds.open(spec.id, 1))
    assert set(database.rounds.get(spec.id, 1).phonons) == {record.id for record in waiting}


def pending(structure: Structure, energy: float, index: int) -> StructureRecord:
    record = validated(structure, energy, round_number=1, index=index)
    assert record.validation is not None
    verdict = PhononVerdict(outcome=Stability.PENDING, tolerance=0.1)
    choice = Choice(function="greedy", selection="acquired", rank=index)
    still = record.validation.model_copy(update={"phonon": verdict})
    return record.model_copy(update={"validation": still, "choice": choice})


def test_of_one_crystal_the_lower_of_a_later_round_takes_over() -> None:
    """3 meV/atom apart: one crystal, relaxed better the second time; it counts once."""
    first = chosen(validated(nbo(), -9.5, round_number=1), 0)
    records = closed(SPEC, [*SEEDS, first], 1)
    assert records[2].verdict and records[2].verdict.discovery
    better = chosen(validated(nbo(4.21), -9.503, round_number=2), 0)
    records = closed(SPEC, [*records, better], 2)
    before, now = records[2].verdict, records[3].verdict
    assert before and now
    assert (before.discovery, before.duplicate_of, before.displaced_round) == (False, better.id, 2)
    assert (now.discovery, now.duplicate_of, now.discovery_round) == (True, None, 2)
    assert hits_of(records, "acquired") == (1, 2)
    assert closed(SPEC, records, 2) == records


def test_what_lies_lower_by_noise_takes_no_place() -> None:
    records = closed(SPEC, [*SEEDS, validated(nbo(), -9.5, round_number=1)], 1)
    again = validated(nbo(4.21), -9.5006, round_number=2)
    records = closed(SPEC, [*records, again], 2)
    assert records[2].verdict and records[2].verdict.discovery
    assert records[3].verdict and records[3].verdict.duplicate_of == records[2].id


def test_a_duplicate_is_none_any_more_when_its_crystal_proves_unstable() -> None:
    """A copy of what was thought one crystal is judged again at each closing."""
    first = validated(nbo(), -9.5, round_number=1, outcome=Stability.UNDECIDED)
    copy = validated(nbo(4.21), -9.4995, round_number=1, index=1)
    records = closed(SPEC, [*SEEDS, first, copy], 1)
    assert [r.verdict.duplicate_of for r in records[2:] if r.verdict] == [copy.id, None]
    unstable = validated(nbo(), -9.5, round_number=1, outcome=Stability.UNSTABLE)
    records = closed(SPEC, [*SEEDS, unstable, copy], 1)
    assert [r.verdict.duplicate_of for r in records[2:] if r.verdict] == [None, None]


@pytest.mark.parametrize(("known", "expected"), [(-9.497, True), (-9.503, True), (-9.46, False)])
def test_a_find_is_a_copy_of_what_is_known_wherever_of_the_two_lies_lower(
    known: float, expected: bool
) -> None:
    """But 40 meV/atom above the find a known crystal is another one."""
    seed = validated(nbo(4.19), known, index=2, outcome=Stability.UNDECIDED)
    find = validated(nbo(), -9.5, round_number=1)
    assert duplicates([*SEEDS, seed, find])[find.id] == (seed.id if expected else None)
    assert duplicates([*SEEDS, find], elsewhere=[seed])[find.id] == (seed.id if expected else None)


def chosen(record: StructureRecord, rank: int) -> StructureRecord:
    choice = Choice(function="greedy", selection="acquired", rank=rank)
    return record.model_copy(update={"choice": choice})
