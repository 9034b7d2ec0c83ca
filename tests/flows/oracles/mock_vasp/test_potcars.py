"""Made-up POTCARs: there for every element and input set, read by pymatgen, and never taken for real ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from pymatgen.io.vasp.inputs import PotcarSingle, UnknownPotcarWarning

from niobe.config.elements import ELEMENTS
from niobe.flows.oracles.mock_vasp.potcars import FUNCTIONALS, potcar, valence, write_potcars


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("potcars")
    write_potcars(made)
    return made


@pytest.mark.parametrize("name", ["MPRelaxSet", "MPScanRelaxSet", "MP24RelaxSet"])
def test_every_potcar_an_input_set_names_is_there(folder: Path, name: str) -> None:
    from pymatgen.io.vasp import sets
    from pymatgen.io.vasp.inputs import POTCAR_FUNCTIONAL_MAP

    config = getattr(sets, name).CONFIG
    place = folder / POTCAR_FUNCTIONAL_MAP[config["POTCAR_FUNCTIONAL"]]
    wanted = [s for element, s in config["POTCAR"].items() if element in ELEMENTS]
    assert len(wanted) > 80
    assert [symbol for symbol in wanted if not (place / f"POTCAR.{symbol}").is_file()] == []


def test_pymatgen_reads_one_and_knows_it_is_none_of_vasps(folder: Path) -> None:
    with pytest.warns(UnknownPotcarWarning):
        single = PotcarSingle.from_file(folder / FUNCTIONALS[0] / "POTCAR.Nb_pv")
    assert single.element == "Nb"
    assert single.functional == "PBE"
    assert single.nelectrons == 11
    assert "MOCK" in single.TITEL
    assert "not a pseudopotential" in potcar("O")


@pytest.mark.parametrize(("symbol", "electrons"), [("O", 6), ("H", 1), ("Nb_pv", 11), ("Hf", 4), ("Er_3", 3)])
def test_valence(symbol: str, electrons: float) -> None:
    assert valence(symbol) == electrons
