"""A crystal from its JSON form, the one that pymatgen's ``Structure.as_dict`` writes.

pymatgen's own ``from_dict`` imports and calls what ``@module`` and ``@class`` of a site property name. Here a
document is data: its numbers and symbols are checked and used, and nothing that it names is looked up.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    field_validator,
    model_validator,
)

if TYPE_CHECKING:
    from pymatgen.core import Element, Lattice, Species, Structure

MOST_SITES = 10_000
_LONGEST_TEXT, _MOST_VALUES, _DEEPEST = 200, 10_000, 4
_ROUNDING = 1e-6  # Of occupancies that add up to one.
_SMALLEST_CELL = 1e-6  # Å³: what is flatter has no reciprocal lattice in double precision.

_Length = Annotated[float, Field(ge=-1e5, le=1e5)]
_Coordinate = Annotated[float, Field(ge=-1e6, le=1e6)]
_Angle = Annotated[float, Field(gt=0, lt=180)]
_Vector = Annotated[list[_Length], Field(min_length=3, max_length=3)]


def _check_plain(value: object, depth: int = 0) -> int:
    """How many numbers, words and truths a value holds, lists and named ones within it included."""
    if isinstance(value, dict | list | tuple):
        if depth == _DEEPEST:
            raise ValueError(f"is nested deeper than {_DEEPEST}")
        inside = value.values() if isinstance(value, dict) else value
        names = [name for name in value if not _is_name(name)] if isinstance(value, dict) else []
        if names:
            raise ValueError(f"{str(names[0])[:40]!r} is no name of a property")
        return sum(_check_plain(part, depth + 1) for part in inside)
    if isinstance(value, str) and len(value) <= _LONGEST_TEXT:
        return 1
    if value is None or isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        return 1
    raise ValueError("holds what is no finite number, short word or list of them")


def _is_name(name: object) -> bool:
    return isinstance(name, str) and 0 < len(name) <= _LONGEST_TEXT and not name.startswith(("@", "$"))


def _plain(properties: dict[str, Any]) -> dict[str, Any]:
    if _check_plain(properties) > _MOST_VALUES:
        raise ValueError(f"holds more than {_MOST_VALUES} values")
    return properties


_Properties = Annotated[dict[str, Any], AfterValidator(_plain)]


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False, frozen=True)


class _Lattice(_Part):
    """Cell vectors as rows, in Å; or three lengths and three angles (degrees)."""

    matrix: Annotated[list[_Vector], Field(min_length=3, max_length=3)] | None = None
    a: Annotated[float, Field(gt=0, le=1e5)] = 1.0
    b: Annotated[float, Field(gt=0, le=1e5)] = 1.0
    c: Annotated[float, Field(gt=0, le=1e5)] = 1.0
    alpha: _Angle = 90.0
    beta: _Angle = 90.0
    gamma: _Angle = 90.0
    pbc: tuple[bool, bool, bool] | Annotated[list[bool], Field(min_length=3, max_length=3)] = (True,) * 3

    @model_validator(mode="after")
    def _given(self) -> _Lattice:
        if self.matrix is None and not {"a", "b", "c", "alpha", "beta", "gamma"} <= self.model_fields_set:
            raise ValueError("needs matrix, or a, b, c, alpha, beta and gamma")
        return self

    def build(self) -> Lattice:
        from pymatgen.core import Lattice

        periodic = (self.pbc[0], self.pbc[1], self.pbc[2])
        if self.matrix is not None:
            lattice = Lattice(self.matrix, pbc=periodic)
        else:
            edges, angles = (self.a, self.b, self.c), (self.alpha, self.beta, self.gamma)
            lattice = Lattice.from_parameters(*edges, *angles, pbc=periodic)
        if not lattice.volume > _SMALLEST_CELL:
            raise ValueError(f"lattice: volume {lattice.volume:g} Å³ is no cell")
        return lattice


class _Species(_Part):
    element: Annotated[str, Field(pattern=r"^[A-Z][a-z]?$")]
    occu: Annotated[int | float, Field(gt=0, le=1.001)]
    oxidation_state: Annotated[int | float, Field(ge=-20, le=20)] | None = None
    spin: Annotated[int | float, Field(ge=-100, le=100)] | None = None

    @field_validator("element")
    @classmethod
    def _known(cls, symbol: str) -> str:
        from pymatgen.core import Element

        if not Element.is_valid_symbol(symbol):
            raise ValueError(f"{symbol!r} is no element")
        return symbol

    def build(self) -> Element | Species:
        """A bare element where no oxidation state is named, not even an unknown one."""
        from pymatgen.core import Element, Species

        if "oxidation_state" in self.model_fields_set:
            return Species(self.element, self.oxidation_state, spin=self.spin)
        return Element(self.element)


class _Site(_Part):
    """abc: fractional coordinates. properties: numbers, words and lists of them."""

    species: Annotated[list[_Species], Field(min_length=1, max_length=20)]
    abc: Annotated[list[_Coordinate], Field(min_length=3, max_length=3)]
    label: Annotated[str, Field(max_length=_LONGEST_TEXT)] | None = None
    properties: _Properties | None = None

    def get(self, name: str) -> Any:
        """A property of it, None where it has none."""
        return (self.properties or {}).get(name)

    def build(self) -> dict[Element | Species, float]:
        """Occupancies by species."""
        species = {part.build(): part.occu for part in self.species}
        if len(species) != len(self.species):
            raise ValueError(f"sites: a site names {self.species[0].element} twice")
        if sum(species.values()) > 1 + _ROUNDING:
            raise ValueError(f"sites: a site is occupied {sum(species.values()):g} times")
        return species


class _Crystal(_Part):
    lattice: _Lattice
    sites: Annotated[list[_Site], Field(min_length=1, max_length=MOST_SITES)]
    charge: Annotated[int | float, Field(ge=-1e4, le=1e4)] | None = None
    properties: _Properties | None = None


def decoded(document: object) -> Structure:
    """The structure a document describes, equal to what wrote it. Fractional coordinates, lengths in Å.

    Raises ValueError in one line where it is no crystal: no finite numbers, no element, no cell, more than
    ``MOST_SITES`` sites, a site property that is more than numbers, words and lists of them.
    """
    from pymatgen.core import Structure

    if not isinstance(document, dict):
        raise ValueError(f"no structure: {type(document).__name__}, not an object with lattice and sites")
    try:
        crystal = _Crystal.model_validate(document)
    except (ValidationError, RecursionError) as error:
        raise ValueError(f"no structure: {_first_problem(error)}") from None
    names = dict.fromkeys(name for site in crystal.sites for name in site.properties or {})
    return Structure(
        crystal.lattice.build(),
        [site.build() for site in crystal.sites],
        [site.abc for site in crystal.sites],
        charge=crystal.charge,
        site_properties={
            name: [(site.properties or {}).get(name) for site in crystal.sites] for name in names
        },
        labels=[site.label for site in crystal.sites],
        properties=crystal.properties,
    )


def _first_problem(error: ValidationError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    problem = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(part)[:40] for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else problem["msg"]
