"""Hull values against hand-computed ones."""

import numpy as np
import pytest

from niobe.loop.documents.records import StructureRecord
from niobe.loop.stability.hull import Competitors, build_hull, elemental_energies, formation_hull
from tests.loop.factory import element, nbo, rocksalt, rutile, validated

REFERENCES = [validated(element("Nb"), -10.0), validated(element("O", 3.0), -5.0, index=1)]


def test_formation_energy_and_e_above_hull_by_hand() -> None:
    records = [*REFERENCES, validated(nbo(), -9.5, index=2), validated(rocksalt(), -9.2, index=3)]
    hull = build_hull("t", 0, ("Nb", "O"), records)
    stable, above = hull.entries[2], hull.entries[3]
    assert stable.formation_energy_per_atom == pytest.approx(-9.5 - (-7.5))
    assert stable.e_above_hull == 0.0
    assert above.e_above_hull == pytest.approx(0.3)
    assert formation_hull(hull, ["NbO", "Nb", "NbO3"]) == pytest.approx([-2.0, 0.0, -1.0])


def test_energies_by_two_potcars_of_an_element_are_on_no_hull() -> None:
    """Not known is no other one."""
    niobium, oxygen = REFERENCES

    def by(record: StructureRecord, **potcars: str) -> StructureRecord:
        assert record.validation is not None
        return record.model_copy(
            update={"validation": record.validation.model_copy(update={"potcars": potcars})}
        )

    oxide = by(validated(nbo(), -9.5, index=2), Nb="Nb_pv 1", O="O 1")
    assert len(build_hull("t", 0, ("Nb", "O"), [niobium, by(oxygen, O="O 1"), oxide]).entries) == 3
    with pytest.raises(ValueError, match=r"by one POTCAR of O, got \['O 1', 'O 2'\]"):
        build_hull("t", 0, ("Nb", "O"), [niobium, by(oxygen, O="O 2"), oxide])


def test_what_lies_on_the_hull_lies_nothing_above_it() -> None:
    """Whatever the rounding of its arithmetic."""
    chance = np.random.default_rng(0)
    found = set[float]()
    for lowest, other in chance.normal(-9.0, 0.3, (200, 2)):
        phases = [validated(nbo(), float(lowest), index=2), validated(rutile(), float(other), index=3)]
        found |= {
            entry.e_above_hull for entry in build_hull("t", 0, ("Nb", "O"), [*REFERENCES, *phases]).entries
        }
    assert 0.0 in found
    assert min(found - {0.0}) > 1e-6


def test_what_a_phase_competes_with() -> None:
    """NbO against niobium and oxygen, its polymorph against NbO; NbO2 against NbO and oxygen."""
    records = [
        *REFERENCES,
        *(
            validated(s, e, index=i)
            for i, (s, e) in enumerate([(nbo(), -9.5), (rocksalt(), -9.2), (rutile(), -8.5)], start=2)
        ),
    ]
    hull = build_hull("t", 0, ("Nb", "O"), records)
    found = [Competitors(hull).of(record.id) for record in records[2:]]
    assert [{e.formula: share for e, share in products} for products, _ in found] == [
        pytest.approx({"Nb": 0.25, "NbO2": 0.75}),
        pytest.approx({"NbO": 1.0}),
        pytest.approx({"NbO": 2 / 3, "O2": 1 / 3}),
    ]
    nbo2 = -8.5 + 10 / 3 + 2 * 5 / 3
    assert [above for _, above in found] == pytest.approx([-2.0 - 0.75 * nbo2, 0.3, nbo2 + 2.0 * 2 / 3])


def test_a_compound_between_two_others_is_measured_against_their_mixture() -> None:
    records = [*REFERENCES, validated(nbo(), -9.5, index=2), validated(rutile(), -7.0, index=3)]
    entry = build_hull("t", 0, ("Nb", "O"), records).entries[3]
    mixture = 2 / 3 * -9.5 + 1 / 3 * -5.0
    assert entry.e_above_hull == pytest.approx(-7.0 - mixture)


def test_two_oracles_never_meet() -> None:
    with pytest.raises(ValueError, match="exactly one oracle"):
        build_hull("t", 0, ("Nb", "O"), [*REFERENCES, validated(nbo(), -9.5, oracle="other")])


def test_a_missing_reference_is_named() -> None:
    with pytest.raises(ValueError, match=r"reference for O; add one .* launch the file again"):
        build_hull("t", 0, ("Nb", "O"), [REFERENCES[0], validated(nbo(), -9.5)])


def test_the_lowest_energy_of_an_element_is_its_reference() -> None:
    assert elemental_energies([*REFERENCES, validated(element("Nb", 3.6), -10.5)]) == {"Nb": -10.5, "O": -5.0}
