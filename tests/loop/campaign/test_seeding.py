"""Source entries of other elements as prototypes of a campaign's system."""

from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.steps.seed import seed_campaign
from niobe.loop.campaign.seeding import substituted_entries, substitution_parents
from niobe.loop.documents.entries import Found, Origin, new_entry
from niobe.loop.documents.records import Verdict
from niobe.loop.store.database import Database
from tests.loop.factory import rocksalt, validated

ORIGIN = Origin("mp", "https://example.org", "CC BY 4.0", "2026-11-28")


def spec(*elements: str, **seeds: object) -> CampaignSpec:
    content = {
        "id": "t",
        "elements": elements,
        "oracle": {"name": "emt"},
        "seeds": {"max_prototypes": 1} | seeds,
    }
    return CampaignSpec.model_validate(content)


def chain(first: str, second: str, edge: float = 3.0) -> Structure:
    """A crystal that no library holds."""
    places = [[0.0, 0.0, 0.0], [0.3, 0.4, 0.5], [0.7, 0.1, 0.2]]
    return Structure(Lattice.from_parameters(edge, 3.7, 4.9, 80, 95, 105), [first, first, second], places)


def know(database: Database, *structures: Structure) -> None:
    database.entries.store([new_entry(ORIGIN, Found(str(i), s)) for i, s in enumerate(structures)])


def test_entries_of_other_elements_lend_their_structure(database: Database) -> None:
    know(database, chain("Ag", "Pt"), chain("K", "F"), chain("Cu", "Pd"), rocksalt())
    found = dict(substituted_entries(database, spec("Cu", "Pd")))
    assert next(iter(found)) == "mp:0 Cu-Pd"  # Silver and platinum stand nearest.
    assert all(structure.chemical_system == "Cu-Pd" for structure in found.values())
    assert not any(label.startswith("mp:2 ") for label in found)  # It has the very elements.


def test_a_small_displacement_makes_a_crystal_of_its_own(database: Database) -> None:
    """Its parent's cell is half as large."""
    places = [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.25, 0.5, 0.5], [0.765, 0.5, 0.5]]
    know(database, Structure(Lattice.orthorhombic(6.4, 3.2, 3.2), ["Ag", "Ag", "Pt", "Pt"], places))
    sizes = {len(found) for _, found in substituted_entries(database, spec("Cu", "Pd"))}
    assert sizes == {4}


def test_one_structure_comes_once_and_subsystems_have_theirs(database: Database) -> None:
    know(database, chain("Ag", "Pt"), chain("Ag", "Pt", 3.02), chain("Au", "Pt"))
    systems = [s.chemical_system for _, s in substituted_entries(database, spec("Cu", "Pd", "Ni"))]
    assert {name: systems.count(name) for name in set(systems)} == {"Cu-Pd": 2, "Cu-Ni": 2, "Ni-Pd": 2}


def test_none_where_there_is_nothing_or_nobody_asks(database: Database) -> None:
    assert list(substituted_entries(database, spec("Cu", "Pd"))) == []
    know(database, chain("Ag", "Pt"))
    assert list(substituted_entries(database, spec("Cu", "Pd", prototypes=False))) == []
    assert list(substituted_entries(database, spec("Cu", "Pd", max_prototypes=0))) == []


def test_they_are_competing_phases_of_round_0(database: Database) -> None:
    know(database, chain("Ag", "Pt"))
    database.campaigns.create(spec("Cu", "Pd"))
    seed_campaign(database, spec("Cu", "Pd"), database.rounds.open("t", 0))
    labels = {record.lineage.origin["label"]: record for record in database.records.find("t")}
    assert labels["mp:0 Cu-Pd"].lineage.generator == "prototype"


def test_substitutions_are_of_prototypes_entries_and_finds_of_other_elements(database: Database) -> None:
    know(database, chain("Ag", "Pt"), chain("Cu", "Pd"), chain("Ag", "F"))
    for elements, above in ((("K", "F"), 0.02), (("Na", "F"), 0.4), (("Cu", "Pd"), 0.0)):
        find(database, chain(*elements), above)
    ids = {parent.id: parent for parent in substitution_parents(database, spec("Cu", "Pd"))}
    assert {"mp:0", "mp:2", "AB_cF8_225_a_b", "F-K"} <= ids.keys()
    assert not {"mp:1", "F-Na", "Cu-Pd"} & ids.keys()  # The very elements, and what lies high.
    assert max(len(parent.structure) for parent in ids.values()) <= 12


def find(database: Database, structure: Structure, above: float) -> None:
    """A result of another campaign, its elements as its id."""
    verdict = Verdict(
        formation_energy_per_atom=-0.1, e_above_hull_found=above, e_above_hull_now=above, hull_round=1
    )
    update = {"id": structure.chemical_system, "campaign": "other", "verdict": verdict}
    database.records.insert([validated(structure, -1.0).model_copy(update=update)])
