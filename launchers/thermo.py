"""What a crystal of the database is at temperatures: from its stored force constants, or at seven volumes."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from niobe.config.errors import ConfigError
from niobe.config.home import work
from niobe.config.spec import CampaignSpec
from niobe.loop.documents.records import StructureRecord
from niobe.loop.store.database import Database

if TYPE_CHECKING:
    from niobe.loop.stability.quasi_harmonic import QuasiHarmonic

Row = dict[str, Any]
_SI = "J/K a mole of atoms"
_BY = {"forces by", "energies and forces by"}


def harmonic_rows(database: Database, record: str, temperatures: Sequence[float]) -> list[Row]:
    """Free energy, entropy and heat capacity at constant volume of a record's stored force constants.

    database: the campaign database. record: its id. temperatures: K.
    Raises ConfigError where there is no such record, where it has no force constants, or imaginary modes.
    """
    from niobe.loop.stability.force_constants import loaded
    from niobe.loop.stability.free_energies import ImaginaryModesError, harmonic

    found, phonons = database.records.get(record), database.phonons.find_one(record)
    if phonons is None or not phonons.phonopy:
        raise ConfigError(f"{found.formula} {record}: no force constants are stored; phonons: {_why(found)}")
    try:
        answer = harmonic(loaded(phonons.phonopy), temperatures)
    except ImaginaryModesError as error:
        raise ConfigError(f"{found.formula} {record}: no harmonic free energy: {error}") from None
    said = {"forces by": phonons.oracle or "an oracle unknown", "GPa": _pressure(found)}
    columns = (answer.temperatures, answer.free_energy, answer.entropy, answer.heat_capacity)
    return [
        {"K": kelvin, "F_vib (eV/atom)": free, f"S ({_SI})": entropy, f"Cv ({_SI})": capacity} | said
        for kelvin, free, entropy, capacity in zip(*(column.tolist() for column in columns), strict=True)
    ]


def told_once(rows: Sequence[Row]) -> tuple[list[Row], str]:
    """Rows without what is the same in all of them, and that in words: by what, under which pressure.

    rows: of one crystal, one at least.
    """
    shown = [{key: row[key] for key in row if key not in {*_BY, "GPa"}} for row in rows]
    oracle = next(f"{key} {value}" for key, value in rows[0].items() if key in _BY)
    return shown, f"{oracle}, at {rows[0]['GPa']:g} GPa"


def _pressure(record: StructureRecord) -> float:
    return record.validation.pressure if record.validation else 0.0


def _why(record: StructureRecord) -> str:
    return record.validation.phonon.reason or "not run" if record.validation else "not validated"


def quasi_harmonic_rows(
    database: Database, record: str, temperatures: Sequence[float], seconds: float
) -> list[Row]:
    """Gibbs energy, volume, linear expansion, bulk modulus and heat capacity at constant pressure.

    The linear expansion is a third of the volume's: the mean over directions.

    The potential of the campaign's phonons relaxes the crystal at seven volumes and computes phonons there.

    database: the campaign database. record: its id. temperatures: K. seconds: that this may take.
    Raises ConfigError where the record is not validated, the crystal has imaginary modes at one of the
    volumes or leaves them, and where the time is used up.
    """
    from niobe.flows.oracles.base import NotConvergedError
    from niobe.flows.oracles.potentials import UnphysicalAnswerError, WallTimeError, wall_time
    from niobe.flows.oracles.registry import make_oracle
    from niobe.flows.steps.claims.volumes import strained
    from niobe.loop.documents.structures import relaxed_structure
    from niobe.loop.stability import quasi_harmonic
    from niobe.loop.stability.free_energies import ImaginaryModesError
    from niobe.loop.stability.supercells import NoSupercellError

    found = database.records.get(record)
    campaign = database.campaigns.find_one(found.campaign)
    if found.validation is None or campaign is None:
        raise ConfigError(f"{found.formula} {record}: not validated; `niobe best` lists what is")
    spec, folder = CampaignSpec.model_validate(campaign.spec), work(found.campaign) / f"{record}-thermo"
    try:
        with wall_time(seconds):
            grid = quasi_harmonic.grid(max(temperatures))
            points = strained(spec, relaxed_structure(found), folder, grid)
        fitted = quasi_harmonic.quasi_harmonic(points, spec.conditions.pressure)
    except (
        *(ImaginaryModesError, quasi_harmonic.OutOfRangeError, quasi_harmonic.OtherCrystalError),
        *(NoSupercellError, NotConvergedError, UnphysicalAnswerError, WallTimeError),
    ) as error:
        raise ConfigError(f"{found.formula} {record}: not quasi-harmonic: {error}") from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    by = make_oracle(spec.phonon_oracle, spec.conditions.pressure).fingerprint
    said = {"energies and forces by": by, "GPa": spec.conditions.pressure}
    return [{"K": kelvin} | _columns(fitted, kelvin) | said for kelvin in temperatures]


def _columns(fitted: QuasiHarmonic, kelvin: float) -> Row:
    """What a crystal is at a temperature (K)."""
    columns = {
        "G (eV/atom)": fitted.gibbs,
        "volume (Å³/atom)": fitted.volume,
        "mean linear expansion (1e-6/K)": fitted.expansion / 3 * 1e6,
        "bulk modulus (GPa)": fitted.bulk_modulus,
        f"S ({_SI})": fitted.entropy,
        f"Cp ({_SI})": fitted.heat_capacity,
    }
    return {name: fitted.at(kelvin, values) for name, values in columns.items()}
