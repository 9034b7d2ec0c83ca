"""A formation energy that no solid has is an unphysical minimum of the potential: a failure, not a record's
energy."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from pymatgen.core import Lattice, Structure

from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.base import Answer, relaxed_by
from niobe.flows.oracles.calculation import check_bound, validate_structure
from niobe.flows.oracles.potentials import UnphysicalAnswerError
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.steps.validate import validate_slot
from niobe.loop.campaign.seeds import new_record
from niobe.loop.documents.records import Choice, Failure, Lineage, Status, Validation
from niobe.loop.documents.structures import symmetrised
from niobe.loop.stability.hull import LOWEST_FORMATION_ENERGY, formation_energy
from niobe.loop.store.database import Database
from tests.loop.factory import element, validated
from tests.loop.shared_crystals import shared_table

SPEC = CampaignSpec.model_validate({"id": "deep", "elements": ["Au", "Cu"], "oracle": {"name": "emt"}})
ALLOY = Structure(Lattice.tetragonal(2.8, 3.7), ["Au", "Cu"], [[0.0, 0.0, 0.0], [0.5, 0.5, 0.5]])


@pytest.mark.filterwarnings("ignore")  # of atomate2, about its own arguments
@pytest.mark.parametrize(
    ("references", "status"),
    [
        ({"Au": 5.2, "Cu": 5.2}, Status.FAILED),
        ({"Au": 4.0, "Cu": 4.0}, Status.VALIDATED),
        ({"Au": 99.0}, Status.VALIDATED),
    ],
)
def test_what_lies_deeper_than_any_solid_fails(
    database: Database, references: dict[str, float], status: Status
) -> None:
    """EMT has the alloy near 0 eV/atom; the seeds say where its elements are."""
    seeds = [validated(element(e), energy, index=i) for i, (e, energy) in enumerate(references.items())]
    choice = Choice(function="greedy", selection="acquired", rank=0)
    candidate = new_record(SPEC, 1, 0, ALLOY, Lineage(generator="test")).model_copy(
        update={"status": Status.ACQUIRED, "acquired_round": 1, "choice": choice}
    )
    database.campaigns.create(SPEC)
    database.records.insert([*(seed.model_copy(update={"campaign": SPEC.id}) for seed in seeds), candidate])
    database.rounds.open(SPEC.id, 1)
    database.rounds.update(SPEC.id, 1, batch=[candidate.id])
    validate_slot(database, SPEC, 1, 0, 1)
    found = database.records.get(candidate.id)
    assert found.status is status
    if found.failure:
        assert (found.failure.step, found.failure.cause, found.failure.attempts) == ("relax", "unphysical", 1)
        assert "no solid is known below -5" in found.failure.message


@pytest.mark.filterwarnings("ignore")  # of atomate2, about its own arguments
@pytest.mark.parametrize(("askew", "statics"), [(0.0, 0), (2e-3, 1)])
def test_what_relaxed_to_its_own_symmetric_cell_is_not_asked_about_again(
    askew: float, statics: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One static run of five of a DFT code; the energy is that of the symmetric cell either way."""
    oracle, asked = make_oracle(SPEC.oracle), list[int]()
    relaxed = oracle.relax(symmetrised(ALLOY), tmp_path)
    moved = relaxed.structure.copy().translate_sites([0], [0, 0, askew], frac_coords=False)
    end = replace(relaxed, structure=moved)
    static = oracle.static

    def counted(structures: Sequence[Structure], folder: Path) -> list[Answer]:
        asked.extend(map(len, structures))
        return static(structures, folder)

    monkeypatch.setattr(type(oracle), "relax", lambda _, structure, folder: end)
    monkeypatch.setattr(type(oracle), "static", lambda _, *given: counted(*given))
    found = validate_structure(SPEC, oracle, ALLOY, tmp_path)
    assert isinstance(found, Validation), found
    assert len(asked) == statics
    ends = Structure.from_dict(found.structure)
    (alone,) = static([ends], tmp_path)
    assert found.energy_per_atom == pytest.approx(alone.energy_per_atom, abs=1e-5)
    assert ends.distance_matrix[0, 1] == pytest.approx(relaxed.structure.distance_matrix[0, 1], abs=1e-3)


@pytest.mark.filterwarnings("ignore")  # of atomate2, about its own arguments
@pytest.mark.parametrize(
    "structure",
    [
        Structure(Lattice.cubic(6.6), ["Cu", "Cu"], [[0.0, 0, 0], [0.5, 0.5, 0.5]]),
        Structure(Lattice.cubic(6.6), ["Cu", "Au"], [[0.0, 0, 0], [0.5, 0.5, 0.5]]),
        Structure.from_spacegroup(225, Lattice.cubic(8.3), ["Au"], [[0.0, 0, 0]]),
    ],
)
def test_an_atom_that_the_potential_sees_alone_is_a_failure(structure: Structure, tmp_path: Path) -> None:
    """Its forces vanish, so a relaxation ends at once and calls it converged."""
    found = validate_structure(SPEC, make_oracle(SPEC.oracle), structure, tmp_path)
    assert isinstance(found, Failure)
    assert (found.step, found.cause, found.attempts) == ("relax", "unphysical", 1)
    assert "have no neighbour within the 5.38 Å that the potential sees" in found.message


def in_a_box(atoms: Sequence[str], points: Sequence[Sequence[float]], *edges: float) -> Structure:
    return Structure(Lattice(np.diag(edges)), atoms, points, coords_are_cartesian=True)


PIECES = {
    "molecules": in_a_box(["Cu", "Cu"], [[0, 0, 0], [2.3, 0, 0]], 9, 9, 9),
    "molecules of two kinds": in_a_box(
        ["Cu", "Cu", "Au", "Au"], [[0, 0, 0], [2.3, 0, 0], [7, 7, 7], [9.4, 7, 7]], 14, 14, 14
    ),
    "chains": in_a_box(["Cu"], [[0, 0, 0]], 2.5, 9, 9),
    "layers": in_a_box(["Cu", "Au"], [[0, 0, 0], [1.3, 1.3, 1.9]], 2.6, 2.6, 9),
    "a layer and chains": in_a_box(["Cu", "Au"], [[0, 0, 0], [1.3, 0, 8]], 2.6, 2.6, 16),
}


@pytest.mark.filterwarnings("ignore")  # of atomate2, about its own arguments
@pytest.mark.parametrize("kind", PIECES)
def test_pieces_that_the_potential_sees_apart_are_a_failure(kind: str, tmp_path: Path) -> None:
    """Each has its neighbours, and relaxes as if the others were not there: what had dissociated."""
    found = validate_structure(SPEC, make_oracle(SPEC.oracle), PIECES[kind], tmp_path)
    assert isinstance(found, Failure)
    assert (found.step, found.cause, found.attempts) == ("relax", "unphysical", 1)
    with pytest.raises(UnphysicalAnswerError, match=r"lie farther apart than the 5\.38 Å that the potential"):
        check_bound(PIECES[kind], PIECES[kind], 5.38)


def test_molecular_and_layered_crystals_are_bound() -> None:
    """Graphite's layers are 3.35 Å apart, solid nitrogen's molecules 4 Å; a cell of one atom is enough."""
    graphite = Structure.from_spacegroup(
        194, Lattice.hexagonal(2.46, 6.71), ["C", "C"], [[0, 0, 0.25], [1 / 3, 2 / 3, 0.25]]
    )
    nitrogen = in_a_box(["N", "N"], [[0, 0, 0], [1.1, 0, 0]], 4.0, 4.0, 4.0)
    copper = Structure(Lattice.cubic(3.61).get_niggli_reduced_lattice(), ["Cu"], [[0, 0, 0]])
    for crystal in (graphite, nitrogen, copper, graphite.make_supercell(2, in_place=False)):
        check_bound(crystal, crystal, 5.0)
        moved = crystal.copy()
        moved.translate_sites(range(len(moved)), [0.37, 0.81, 0.59], to_unit_cell=True)
        check_bound(moved, moved, 5.0)


def test_a_metal_whose_atoms_lie_beyond_the_reach_is_bound_by_its_radii() -> None:
    """bcc caesium, a = 6.14 Å: neighbours at 5.32 Å, and 7net-0 sees 5 Å."""
    caesium = Structure(Lattice.cubic(6.14), ["Cs", "Cs"], [[0.0, 0, 0], [0.5, 0.5, 0.5]])
    check_bound(caesium, caesium, 5.0)
    caesium.scale_lattice(1.5 * caesium.volume)
    with pytest.raises(UnphysicalAnswerError, match=r"2 atoms \(Cs\) have no neighbour within the 5 Å"):
        check_bound(caesium, caesium, 5.0)


def test_a_cell_that_doubles_came_apart() -> None:
    grown = ALLOY.copy()
    grown.scale_lattice(2.3 * ALLOY.volume)
    with pytest.raises(UnphysicalAnswerError, match=r"grew to 2\.3 × its volume: it came apart"):
        check_bound(grown, ALLOY, 5.38)
    grown.scale_lattice(1.5 * ALLOY.volume)
    check_bound(grown, ALLOY, 5.38)
    check_bound(
        Structure(Lattice.cubic(12), ["Cu"], [[0.0, 0, 0]]), grown.make_supercell(20, in_place=False), None
    )


def test_no_solid_of_materials_project_lies_so_low() -> None:
    energies = pq.read_table(shared_table(), columns=["e_form"])["e_form"].to_pylist()
    assert len(energies) == 14_590
    assert min(energies) == pytest.approx(-4.47, abs=0.005)
    assert min(energies) > LOWEST_FORMATION_ENERGY


def test_formation_energy_by_hand() -> None:
    assert formation_energy({"Nb": 2, "O": 4}, -9.0, {"Nb": -10.0, "O": -5.0}) == pytest.approx(-7 / 3)
    assert math.isnan(formation_energy({"Nb": 1}, -9.0, {}))


def test_a_relaxation_run_twice_took_the_steps_of_both() -> None:
    still = np.zeros((len(ALLOY), 3))
    answers = [Answer(ALLOY, -1.0, still + 0.3, steps=40), Answer(ALLOY, -1.1, still, steps=7)]
    assert relaxed_by(lambda _: answers.pop(0), ALLOY, 0.05).steps == 47
