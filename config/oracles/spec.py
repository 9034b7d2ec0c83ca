"""What a campaign file says of its oracle."""

from __future__ import annotations

from collections.abc import Iterable, Sized
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from niobe.config.elements import ELEMENTS
from niobe.config.oracles.data import Arguments
from niobe.config.plugins import IMPORT_PATH, OracleName
from niobe.config.potentials import unknown_to

PROGRAMS = ("vasp", "gpaw")
"""Oracles of Niobe's own that solve for electrons."""
_DFT_WALL_TIME = 86400.0
_DEFAULTS: dict[str, dict[str, Any]] = {
    "vasp": {"wall_time": _DFT_WALL_TIME},
    "gpaw": {"wall_time": _DFT_WALL_TIME, "fmax": 0.05, "max_steps": 40},
    "ase": {"corrections": "none"},
}
"""By oracle, where they are not those of a potential of Niobe's own."""

ATOMATE2_NAMES = {
    "MACE_MP_0": "MACE-MP-0",
    "MACE_MPA_0": "MACE-MPA-0",
    "MACE_MP_0B3": "MACE-MP-0b3",
    "GAP": "GAP",
    "M3GNet": "M3GNet",
    "CHGNet": "CHGNet",
    "NEP": "NEP",
    "Nequip": "Nequip",
    "SevenNet": "SevenNet",
    "MATPES_R2SCAN": "MatPES-r2SCAN",
    "MATPES_PBE": "MatPES-PBE",
    "DeepMD": "DeepMD",
    "Allegro": "Allegro",
    "FAIRChem": "FAIRChem",
    "MatterSim": "MatterSim",
    "UPET": "UPET",
}
"""atomate2's force fields: what ``oracle.calculator`` may name instead of a path, each by either name."""


def unsaid(value: object) -> bool:
    """Whether a field says nothing, and so is stored nowhere: None, or empty; 0 is a value.

    value: of the field.
    """
    return value is None or (isinstance(value, Sized) and not len(value))


GpawProtocol = Literal["fast", "balanced", "stringent"]


Functional = Literal["PBE", "r2SCAN"]


def _pbe(functional: object) -> bool:
    return functional == "PBE"


def balanced(protocol: object) -> bool:
    """Whether a protocol is the default, and so is stored nowhere.

    protocol: value of the field.
    """
    return protocol == "balanced"


class Oracle(BaseModel):
    """What answers for a structure. fmax in eV/Å; wall_time in seconds for one validation (by DFT: a day).

    corrections: ``mp2020`` puts raw GGA and GGA+U energies on Materials Project's scale; ``none`` leaves them
    as they come; ``legacy`` takes energies as Niobe took them before schema version 5, for campaigns begun
    then. calculator: with ``name: ase``, an ASE calculator as ``package.module:Class`` (or a function that
    returns one) or a force field of atomate2's by name. kwargs: what it is made with; a file among them is a
    path relative to the campaign file. elements: symbols that it knows; empty: not declared. reach: how far
    (Å) it sees; None: not declared. dtype: of a calculator that takes one. device: where a network runs.
    protocol: how accurately ``gpaw`` is asked. functional: whose input sets of Materials Project ``vasp``
    takes: PBE, with U for its oxides and fluorides, or r2SCAN.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: OracleName = "7net-0"
    corrections: Literal["mp2020", "none", "legacy"] = "mp2020"
    calculator: Annotated[str, Field(exclude_if=unsaid)] = ""
    kwargs: Annotated[Arguments, Field(exclude_if=unsaid)] = {}
    elements: Annotated[tuple[str, ...], Field(exclude_if=unsaid)] = ()
    reach: Annotated[float | None, Field(gt=0, le=100, exclude_if=unsaid)] = None
    dtype: Annotated[Literal["float32", "float64"] | None, Field(exclude_if=unsaid)] = None
    device: Annotated[Literal["auto", "cpu", "cuda"], Field(exclude_if=lambda d: d == "auto")] = "auto"
    protocol: Annotated[GpawProtocol, Field(exclude_if=balanced)] = "balanced"
    functional: Annotated[Functional, Field(exclude_if=_pbe)] = "PBE"
    fmax: Annotated[float, Field(gt=0, le=1)] = 0.03
    max_steps: Annotated[int, Field(ge=1)] = 200
    wall_time: Annotated[float, Field(gt=0)] = 120.0
    retries: Annotated[int, Field(ge=0, le=10)] = 1

    @model_validator(mode="before")
    @classmethod
    def _own_defaults(cls, given: object) -> object:
        if not isinstance(given, dict) or not isinstance(given.get("name"), str):
            return given
        return _DEFAULTS.get(given["name"], {}) | given

    @field_validator("calculator")
    @classmethod
    def _importable(cls, calculator: str) -> str:
        """A path as ``package.module:Class``, a name as atomate2 writes its values."""
        if calculator in ATOMATE2_NAMES:
            return ATOMATE2_NAMES[calculator]
        if not calculator or calculator in ATOMATE2_NAMES.values():
            return calculator
        path = IMPORT_PATH.fullmatch(calculator)
        if path is None:
            names = ", ".join(ATOMATE2_NAMES.values())
            raise ValueError(f"is no package.module:Class and no force field of atomate2's; those: {names}")
        return ":".join(path.groups())

    @field_validator("elements")
    @classmethod
    def _known(cls, elements: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [symbol for symbol in elements if symbol not in ELEMENTS]
        if unknown:
            raise ValueError(f"unknown element {unknown[0]!r}; allowed: symbols H to Pu")
        return elements

    @model_validator(mode="after")
    def _of_its_kind(self) -> Oracle:
        if self.name == "ase" and not self.calculator:
            raise ValueError("calculator: missing; name: ase needs one, as package.module:Class")
        for key in ("calculator", "kwargs", "elements", "reach", "dtype"):
            if self.name != "ase" and getattr(self, key):
                raise ValueError(f"{key}: belongs to name: ase, not to {self.name}")
        if self.name != "gpaw" and self.protocol != "balanced":
            raise ValueError(f"protocol: belongs to name: gpaw, not to {self.name}")
        if self.name != "vasp" and self.functional != "PBE":
            raise ValueError(f"functional: belongs to name: vasp, not to {self.name}")
        return self

    def unknown(self, elements: Iterable[str]) -> list[str]:
        """Which of the elements (symbols) it has no parameters for, as far as is known."""
        if self.elements:
            return [symbol for symbol in elements if symbol not in self.elements]
        return unknown_to(self.name, elements)
