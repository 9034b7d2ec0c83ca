"""Finds against what a database knows: known, and what they come from otherwise."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from niobe.loop.documents.entries import Found, Origin, new_entry
from niobe.loop.documents.novelty import Novelty
from niobe.loop.documents.records import Verdict
from niobe.loop.novelty.catalogue import Catalogue
from niobe.loop.novelty.judging import judge, judge_again
from niobe.loop.novelty.matching import Crystal
from niobe.loop.store.database import Database
from tests.benchmarks.novelty.cases import disguised, rattled
from tests.loop.factory import SPEC, nbo, rutile, validated

crystal: Any = Structure
"""Species may be occupancies and places lists of whole numbers, which its own types leave out."""
spacegroup: Any = Structure.from_spacegroup
ORIGIN = Origin("mp", "https://example.org", "CC-BY-4.0", "2026-11-01")


def know(database: Database, structures: Sequence[Structure]) -> None:
    database.entries.store([new_entry(ORIGIN, Found(str(i), s)) for i, s in enumerate(structures)])


def novelty(database: Database, find: Structure, held_out: Sequence[tuple[str, Structure]] = ()) -> Novelty:
    return judge(Crystal("find", "campaign t", find), Catalogue(database, "t", held_out))


def perovskite(a: float = 4.1, c: float = 4.1, off: float = 0.0) -> Structure:
    places = [[0, 0, 0], [0.5, 0.5, 0.5 + off], [0.5, 0.5, 0], [0.5, 0, 0.5], [0, 0.5, 0.5]]
    made: Structure = crystal(Lattice.tetragonal(a, c), ["Rb", "Ta", "O", "O", "O"], places)
    return made


def stacked(order: str, metal: str = "Zn", other: str = "Se") -> Structure:
    """A tetrahedral polytype by its layers, such as ABC (zinc blende) or AB (wurtzite)."""
    at = {"A": (0, 0), "B": (1 / 3, 2 / 3), "C": (2 / 3, 1 / 3)}
    places = [(*at[layer], (i + s) / len(order)) for i, layer in enumerate(order) for s in (0, 0.75)]
    lattice = Lattice.hexagonal(4.0, 4.0 * np.sqrt(2 / 3) * len(order))
    made: Structure = crystal(lattice, [metal, other] * len(order), places)
    return made


def test_a_known_phase_that_was_never_recomputed_is_known(database: Database) -> None:
    know(database, [rutile(), perovskite()])
    found = novelty(database, disguised(perovskite(), np.random.default_rng(1)))
    assert (found.kind, found.of, found.source, found.formula) == ("known", "mp:1", "mp", "O3RbTa")
    assert found.structure_matcher == found.minimum_distances == "mp:1"
    assert found.words == "known (mp:1)"


def test_the_compound_that_a_prototype_is_named_after_is_known(database: Database) -> None:
    found = novelty(database, nbo())
    assert (found.kind, found.source, found.of) == ("known", "AFLOW prototypes", "AB_cP6_221_c_d")


def test_what_a_campaign_holds_out_is_known(database: Database) -> None:
    found = novelty(database, perovskite(), [("label O-Rb-Ta", perovskite(4.2))])
    assert (found.kind, found.of, found.source) == ("known", "label O-Rb-Ta", "held out")


def test_other_elements_in_a_known_structure_are_a_substitution(database: Database) -> None:
    """Of what has most elements in common where several have the structure."""
    others = [perovskite(), perovskite()]
    others[0].replace_species({"Rb": "Cs", "Ta": "Nb"})
    others[1].replace_species({"Ta": "Nb"})
    know(database, others)
    found = novelty(database, rattled(perovskite(4.0), np.random.default_rng(0)))
    assert (found.kind, found.of, found.formula) == ("substitution", "mp:1", "NbO3Rb")
    assert found.prototype == "AB3C_cP5_221_a_c_b (CaO3Ti)"
    assert novelty(database, perovskite(4.0)).of == "mp:1"  # From the fingerprints that are stored by now.


def test_an_entry_that_changed_gets_another_fingerprint(database: Database) -> None:
    other = stacked("AB", "Cd", "Te")
    know(database, [stacked("ABC", "Cd", "Te")])
    assert novelty(database, stacked("AB", "Cd", "Se")).source == "AFLOW prototypes"
    know(database, [other])
    assert novelty(database, stacked("AB", "Cd", "Se")).of == "mp:0"


def test_an_ordering_of_a_disordered_crystal_is_no_new_one(database: Database) -> None:
    """Metals on one site, and charged ones that are ordered as they are read."""
    mixed = {"Rh": 0.5, "Ir": 0.5}
    alloy = spacegroup(225, Lattice.cubic(3.83), [mixed], [[0, 0, 0]])
    salt = spacegroup(225, Lattice.cubic(6.4), [{"K+": 0.5, "Rb+": 0.5}, "Cl-"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    know(database, [alloy, salt])
    tetragonal = crystal(Lattice.tetragonal(2.71, 3.8), ["Rh", "Ir"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    layered = crystal(
        Lattice.tetragonal(4.52, 6.4),
        ["K", "Rb", "Cl", "Cl"],
        [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0], [0, 0, 0.5]],
    )
    found = [novelty(database, structure) for structure in (tetragonal, layered)]
    assert [(one.kind, one.of) for one in found] == [("ordering", "mp:0"), ("ordering", "mp:1")]


def test_an_ordering_of_vacancies_has_the_framework_of_its_parent(database: Database) -> None:
    parent = spacegroup(
        227, Lattice.cubic(8.2), [{"Na": 0.5}, "Rh", "O"], [[0.125] * 3, [0.5] * 3, [0.2625] * 3]
    )
    know(database, [parent])
    ordered = spacegroup(227, Lattice.cubic(8.2), ["Na", "Rh", "O"], [[0.125] * 3, [0.5] * 3, [0.2625] * 3])
    ordered.remove_sites([i for i, site in enumerate(ordered) if site.specie.symbol == "Na"][::2])
    found = novelty(database, ordered)
    assert (found.kind, found.of) == ("ordering", "mp:0")


@pytest.mark.parametrize(("c", "off"), [(4.4, 0.03), (4.15, 0.03), (4.35, 0.0)])
def test_a_lower_symmetry_of_a_known_crystal_is_a_distortion_of_it(
    database: Database, c: float, off: float
) -> None:
    know(database, [perovskite()])
    found = novelty(database, perovskite(4.05, c, off))
    assert (found.kind, found.of) == ("distortion", "mp:0")


def test_a_doubled_cell_is_a_distortion_too(database: Database) -> None:
    """Octahedra turned against each other: P4/mbm of a cubic perovskite."""
    know(database, [perovskite()])
    places = [[0, 0.5, 0.5], [0, 0, 0], [0, 0, 0.5], [0.235, 0.735, 0]]
    lattice = Lattice.tetragonal(4.1 * np.sqrt(2), 4.1)
    found = novelty(database, spacegroup(127, lattice, ["Rb", "Ta", "O", "O"], places))
    assert (found.kind, found.of) == ("distortion", "mp:0")


def test_two_polytypes_are_disputed_where_only_distances_call_them_one(database: Database) -> None:
    """Layers in cubic and hexagonal surroundings in equal shares: 4H, and a longer one."""
    know(database, [stacked("ABCB")])
    found = novelty(database, stacked("ABCACBCABACB"))
    assert found.kind == "disputed"
    assert (found.structure_matcher, found.minimum_distances) == ("", "mp:0")
    assert found.words == "disputed: perhaps SeZn (mp:0)"


def test_what_nothing_is_like_is_new(database: Database) -> None:
    know(database, [nbo(), rutile()])
    rng = np.random.default_rng(3)
    places = (np.indices((2, 2, 2)).reshape(3, -1).T + rng.uniform(0, 0.3, (8, 3))) / 2
    found = novelty(database, crystal(Lattice.cubic(5.2), ["Nb"] * 5 + ["O"] * 3, places))
    assert (found.kind, found.of, found.words) == ("new", "", "new")


def test_a_find_of_another_campaign_is_known_and_the_first_stays_the_first(database: Database) -> None:
    find = validated(perovskite(), -9.5, round_number=1)
    verdict: dict[str, Any] = {"formation_energy_per_atom": -1.0, "e_above_hull_found": 0.0}
    verdict |= {"e_above_hull_now": 0.0, "hull_round": 1, "discovery": True, "discovery_round": 1}
    document = find.model_dump(mode="json") | {"verdict": verdict, "campaign": "first"}
    database.records.insert([type(find).model_validate(document)])
    again = novelty(database, perovskite(4.2))
    assert (again.kind, again.of, again.source) == ("known", find.id, "campaign first")
    verdict |= {"discovery": False, "rediscovered": True, "novelty": again.model_dump(mode="json")}
    second = type(find).model_validate(document | {"id": "0" * 16, "campaign": "t", "verdict": verdict})
    database.records.insert([second])
    assert not judge(Crystal(find.id, "campaign first", perovskite()), Catalogue(database, "first")).is_known


def test_finds_are_judged_again_when_the_catalogue_has_grown(database: Database) -> None:
    """A discovery that a later ingest knows is taken back; what no one knows stays."""
    database.campaigns.create(SPEC)
    verdict = Verdict(
        formation_energy_per_atom=-1.0, e_above_hull_found=0.0, e_above_hull_now=0.0, hull_round=1
    ).model_copy(update={"discovery": True, "discovery_round": 1})
    finds = [
        validated(stacked(order, "Nb", "O"), -9.5, round_number=1, index=i)
        for i, order in enumerate(("AB", "ABCB"))
    ]
    database.records.insert([find.model_copy(update={"verdict": verdict}) for find in finds])
    know(database, [stacked("AB", "Nb", "O")])
    assert judge_again(database) == 2
    known, other = (database.records.get(find.id).verdict for find in finds)
    assert known and other and known.novelty and other.novelty
    assert (known.rediscovered, known.discovery, known.discovery_round) == (True, False, None)
    assert known.novelty.of == "mp:0"
    assert (other.rediscovered, other.discovery, other.discovery_round) == (False, True, 1)
    assert judge_again(database) == 0
