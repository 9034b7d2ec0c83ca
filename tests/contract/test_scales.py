"""Every oracle says on what scale its energies are, and what is stored is on the campaign's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Structure

from niobe.config.oracles.cards import CARDS
from niobe.config.plugins import ORACLES, registered
from niobe.config.potentials import LABELS
from niobe.config.spec import CampaignSpec, Oracle
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.force_field import ForceFieldOracle
from niobe.flows.oracles.potentials import POTENTIALS
from niobe.flows.oracles.registry import make_oracle
from niobe.flows.oracles.vasp import mock_labels
from niobe.loop.documents.records import Validation
from niobe.loop.stability.corrections import scheme

pytestmark = pytest.mark.filterwarnings("ignore")  # of atomate2, emmet and pymatgen, see test_vasp
MNO = Structure(
    np.array([[0, 2.2, 2.2], [2.2, 0, 2.2], [2.2, 2.2, 0]]),
    ["Mn", "O"],
    np.array([[0, 0, 0], [0.5, 0.5, 0.5]]),
)
MNO_CORRECTION = (-1.668 - 0.687) / 2  # eV/atom, MP2020's


def test_every_oracle_states_its_labels() -> None:
    assert set(LABELS) == set(registered(ORACLES))
    assert set(POTENTIALS) == set(LABELS) - {"ase", "gpaw", "vasp"}


@pytest.mark.parametrize("name", POTENTIALS)
def test_raw_energies_are_corrected_and_no_others(name: str) -> None:
    oracle, before = (
        ForceFieldOracle(Oracle(name=name)),
        ForceFieldOracle(Oracle(name=name, corrections="legacy")),
    )
    raw = LABELS[name] == "GGA/GGA+U"
    assert oracle.corrected is raw and not before.corrected
    assert before.fingerprint.startswith(f"force-field {name} ") and "MP2020" not in before.fingerprint
    assert oracle.fingerprint == (f"{before.fingerprint}, {scheme()}" if raw else before.fingerprint)


@pytest.mark.parametrize("name", POTENTIALS)
def test_the_mock_is_on_the_scale_of_its_potential(name: str) -> None:
    assert mock_labels(f"6.0.0-mock {name}-0123456789ab") == LABELS[name]


def test_what_is_stored_is_raw_and_correction(tmp_path: Path) -> None:
    stored = {}
    for corrections in ("mp2020", "legacy"):
        spec = CampaignSpec.model_validate(
            {"id": "c", "elements": ["Mn", "O"], "oracle": {"corrections": corrections}}
        )
        found = validate_structure(spec, make_oracle(spec.oracle), MNO, tmp_path / corrections)
        assert isinstance(found, Validation), found
        stored[corrections] = found
    assert stored["mp2020"].correction == pytest.approx(MNO_CORRECTION)
    assert stored["legacy"].correction == 0.0
    assert stored["mp2020"].energy_per_atom - stored["legacy"].energy_per_atom == pytest.approx(
        MNO_CORRECTION, abs=1e-6
    )
    assert stored["mp2020"].oracle == f"{stored['legacy'].oracle}, {scheme()}"


def test_a_potential_by_path_is_corrected_where_its_file_says_so() -> None:
    spec = {"name": "ase", "calculator": "ase.calculators.emt:EMT"}
    plain, declared = (
        ForceFieldOracle(Oracle.model_validate(spec | more)) for more in ({}, {"corrections": "mp2020"})
    )
    assert not plain.corrected and declared.corrected
    assert declared.fingerprint == f"{plain.fingerprint}, {scheme()}"


def test_every_oracle_has_a_card() -> None:
    assert set(CARDS) == set(registered(ORACLES))
