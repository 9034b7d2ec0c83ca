"""Partial occupancies and ICSD exports."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymatgen.core import Composition, Lattice, Structure
from pymatgen.io.cif import CifWriter

from niobe.config.errors import ConfigError
from niobe.config.spec import Source
from niobe.loop.readers.disorder import AS_GIVEN, ordered
from niobe.loop.sources.ingest import ingest
from niobe.loop.sources.reading import ReadOptions
from niobe.loop.store.database import Database
from tests.loop.factory import nbo

ICSD = """data_1234-ICSD
_database_code_ICSD 1234
_chemical_name_mineral 'Made up'
_cell_length_a 4.2
_cell_length_b 4.2
_cell_length_c 4.2
_cell_angle_alpha 90.
_cell_angle_beta 90.
_cell_angle_gamma 90.
_cell_measurement_temperature 298
_symmetry_space_group_name_H-M 'F m -3 m'
loop_
_atom_type_symbol
_atom_type_oxidation_number
Nb4+ 4
Ti2+ 2
O2- -2
loop_
_atom_site_label
_atom_site_type_symbol
_atom_site_fract_x
_atom_site_fract_y
_atom_site_fract_z
_atom_site_occupancy
Nb1 Nb4+ 0 0 0 {nb}
Ti1 Ti2+ 0 0 0 {ti}
O1 O2- 0.5 0.5 0.5 {o}
"""


def test_ordered_structures_stay_as_they_are_without_charges() -> None:
    charged = nbo().copy()
    charged.add_oxidation_state_by_element({"Nb": 2, "O": -2})
    answer = ordered(charged)
    assert (answer.treatment, answer.set_aside) == (AS_GIVEN, "")
    assert answer.structure == nbo()


def test_half_occupancies_are_ordered_in_whole_atoms() -> None:
    salt = Structure.from_spacegroup(
        225,
        Lattice.cubic(4.2),
        [Composition({"Ti3+": 0.5, "Nb3+": 0.5}), Composition({"N3-": 1})],
        [[0, 0, 0], [0.5, 0.5, 0.5]],
    )
    answer = ordered(salt)
    assert answer.set_aside == ""
    assert answer.treatment == "ordered by Ewald energy in 8 sites"
    assert answer.structure.is_ordered
    assert answer.structure.composition.reduced_formula == "TiNbN2"
    assert answer.structure.lattice.abc == pytest.approx((4.2, 4.2, 4.2))


@pytest.mark.parametrize(
    ("share", "reason"), [(0.5, "ordered"), (0.4999, "ordered"), (0.46, "no fraction"), (1 / 11, "need 88")]
)
def test_what_cannot_be_ordered_is_set_aside_with_the_reason(share: float, reason: str) -> None:
    sites = [Composition({"Nb5+": share, "Ti5+": 1 - share}), Composition({"N5-": 1})]
    answer = ordered(Structure.from_spacegroup(225, Lattice.cubic(4.2), sites, [[0, 0, 0], [0.5, 0.5, 0.5]]))
    if reason == "ordered":
        assert answer.structure.is_ordered and reason in answer.treatment
    else:
        assert reason in answer.set_aside and not answer.structure.is_ordered


def test_icsd_exports_keep_codes_charges_and_what_was_done(database: Database, tmp_path: Path) -> None:
    (tmp_path / "a.cif").write_text(ICSD.format(nb="0.5", ti="0.5", o="1"))
    (tmp_path / "b.cif").write_text(ICSD.replace("1234", "77").format(nb="0.46", ti="0.54", o="1"))
    (tmp_path / "c.cif").write_text("data_x\nloop_\n_a\n_b\n1 2 3\n")
    CifWriter(nbo()).write_file(tmp_path / "d.cif")
    source = Source(name="icsd", kind="icsd", at=str(tmp_path))
    done = ingest(database, source, (), ReadOptions(tmp_path / "home"))
    assert (done.new, done.set_aside, done.partial) == (3, 1, "")
    assert len(done.broken) == 1 and f"{tmp_path / 'c.cif'}:" in done.broken[0]
    found = {entry.source_id: entry for entry in database.entries.find()}
    whole = found["1234"]
    assert whole.references == {"icsd": "1234", "mineral": "Made up", "temperature (K)": "298"}
    assert whole.oxidation_states == {"Nb": 4.0, "O": -2.0, "Ti": 2.0}
    assert whole.treatment.startswith("ordered by Ewald energy")
    assert (whole.formula_reduced, whole.nelements, whole.set_aside) == ("NbO2Ti", 3, "")
    assert "no fraction" in found["77"].set_aside and found["77"].group == "icsd:77"
    assert "not to be passed on" in whole.licence


def test_a_missing_folder_is_a_clear_error(database: Database, tmp_path: Path) -> None:
    source = Source(name="icsd", kind="icsd", at=str(tmp_path / "none"))
    with pytest.raises(ConfigError, match="no such file or folder"):
        ingest(database, source, (), ReadOptions(tmp_path))
