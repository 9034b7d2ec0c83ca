"""CIF files as other programs write them, of crystals in any setting."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Composition, Structure
from pymatgen.io.cif import CifWriter


@dataclass(frozen=True)
class Setting:
    """A crystal in one of gemmi's settings: its whole cell, and of each orbit a site and how many it has."""

    group: Any
    full_name: str
    structure: Structure
    sites: list[tuple[str, NDArray[np.float64], int]]

    @cached_property
    def operations(self) -> list[str]:
        return [operation.triplet() for operation in self.group.operations()]

    @property
    def formula(self) -> str:
        return " ".join(self.structure.composition.reduced_composition.alphabetical_formula.split())

    @property
    def units(self) -> int:
        whole = self.structure.composition
        return round(whole.num_atoms / Composition(self.formula).num_atoms)


def settings_of(structure: Structure, rng: np.random.Generator, *, standard: bool = False) -> Setting | None:
    """The crystal in a random setting of its group, or the standard one; None where moyopy makes none."""
    import gemmi
    import moyopy
    from moyopy.interface import MoyoAdapter

    cell = MoyoAdapter.from_structure(structure)
    number = moyopy.MoyoDataset(cell, symprec=1e-2).number
    entries = [e for e in map(moyopy.HallSymbolEntry, range(1, 531)) if e.number == number]
    known = [(e, gemmi.find_spacegroup_by_ops(_hall(e.hall_symbol))) for e in entries]
    usable = [(e, group) for e, group in known if group is not None]
    if standard:
        first = next(g for g in gemmi.spacegroup_table() if g.number == number)
        usable = [(e, group) for e, group in usable if group.xhm() == first.xhm()]
    if not usable:
        return None
    entry, group = usable[rng.integers(len(usable))]
    setting = moyopy.Setting.hall_number(entry.hall_number)
    try:
        found = moyopy.MoyoDataset(cell, symprec=1e-2, setting=setting).std_cell
    except ValueError:
        return None
    whole = MoyoAdapter.get_structure(found)
    return Setting(group, entry.hm_full, whole, _asymmetric(whole, group))


def _hall(symbol: str) -> Any:
    import gemmi

    return gemmi.symops_from_hall(symbol.replace("=", '"'))


def _asymmetric(structure: Structure, group: Any) -> list[tuple[str, NDArray[np.float64], int]]:
    left = list(range(len(structure)))
    sites = []
    matrices = np.array([operation.float_seitz() for operation in group.operations()])
    while left:
        site = structure[left[0]]
        images = matrices[:, :3, :3] @ site.frac_coords + matrices[:, :3, 3]
        same = [i for i in left if _nearest(structure, i, images) < 0.02]
        sites.append((site.specie.symbol, site.frac_coords % 1, len(same)))
        left = [i for i in left if i not in same]
    return sites


def _nearest(structure: Structure, index: int, images: NDArray[np.float64]) -> float:
    apart = images - structure[index].frac_coords
    apart -= np.rint(apart)
    return float(np.linalg.norm(apart @ structure.lattice.matrix, axis=1).min())


def _cell(setting: Setting, number: Callable[[float], str]) -> str:
    tags = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    return "".join(
        f"_cell_{tag} {number(value)}\n"
        for tag, value in zip(tags, setting.structure.lattice.parameters, strict=True)
    )


def _loop(tags: list[str], lines: list[str]) -> str:
    return "loop_\n" + "".join(f"{tag}\n" for tag in tags) + "".join(f"{line}\n" for line in lines)


_SITE = ["_atom_site_label", *(f"_atom_site_fract_{axis}" for axis in "xyz")]


def icsd(setting: Setting, digits: int) -> str:
    """Name with S, Z, H or R, number, multiplicities and Wyckoff columns; operations numbered."""
    ending = {"1": " S", "2": " Z", "H": " H", "R": " R"}.get(setting.group.ext, "")
    text = (
        f"data_1-ICSD\n_chemical_formula_sum '{setting.formula}'\n_cell_formula_units_Z {setting.units}\n"
        + _cell(setting, lambda value: f"{value:.5f}(3)")
        + f"_symmetry_space_group_name_H-M '{setting.group.hm}{ending}'\n"
        + f"_symmetry_Int_Tables_number {setting.group.number}\n"
    )
    rows = [
        f"{symbol}{n} {symbol}0+ {many} a {' '.join(f'{x:.{digits}f}' for x in point)} . 1. 0"
        for n, (symbol, point, many) in enumerate(setting.sites)
    ]
    tags = ["_atom_site_label", "_atom_site_type_symbol", "_atom_site_symmetry_multiplicity"]
    more = ["_atom_site_Wyckoff_symbol", *_SITE[1:], "_atom_site_B_iso_or_equiv", "_atom_site_occupancy"]
    return text + _loop([*tags, *more, "_atom_site_attached_hydrogens"], rows)


def cod(setting: Setting, digits: int) -> str:
    """A Hall symbol, no operations; standard uncertainties, a global block before."""
    hall = setting.group.hall
    name = setting.group.hm.replace(" 1", "") if 3 <= setting.group.number <= 15 else setting.group.hm
    return (
        "data_global\n_journal_name_full 'Acta'\n_publ_author_name 'Å. Ö.'\n"
        f"data_100\n_space_group_name_Hall '{hall}'\n_symmetry_space_group_name_H-M '{name}'\n"
        + _cell(setting, lambda value: f"'{value:.4f}(12)'" if value % 30 else f"{value:.0f}")
        + _loop(
            _SITE,
            [
                f"{symbol}{n} " + " ".join(f"{x:.{digits}f}({3})" if x % 0.25 else f"{x:g}" for x in point)
                for n, (symbol, point, _) in enumerate(setting.sites)
            ],
        )
    )


def vesta(setting: Setting, digits: int) -> str:
    """Operations with the short name, CR LF line ends, a byte-order mark."""
    rows = [
        f"   {symbol}{n}  1.0  {'  '.join(f'{x:.{max(digits, 5)}f}' for x in point)}  Biso 1.000000 {symbol}"
        for n, (symbol, point, _) in enumerate(setting.sites)
    ]
    tags = ["_atom_site_label", "_atom_site_occupancy", *_SITE[1:], "_atom_site_adp_type"]
    text = (
        "data_VESTA_phase_1\n"
        + _cell(setting, lambda value: f"{value:.6f}")
        + f"_space_group_name_H-M_alt '{setting.group.hm}'\n"
        + f"_space_group_IT_number {setting.group.number}\n"
        + _loop(["_space_group_symop_operation_xyz"], [f"   '{o}'" for o in setting.operations])
        + _loop([*tags, "_atom_site_B_iso_or_equiv", "_atom_site_type_symbol"], rows)
    )
    return "\ufeff" + text.replace("\n", "\r\n")


def materials_studio(setting: Setting, digits: int) -> str:
    """The name in capitals without spaces, operations, every atom of the cell."""
    rows = [
        f"{site.specie.symbol}{n} {site.specie.symbol} "
        + " ".join(f"{x:.{digits}f}" for x in site.frac_coords)
        for n, site in enumerate(setting.structure)
    ]
    return (
        "data_ms\n"
        + f"_symmetry_space_group_name_H-M '{setting.group.hm.replace(' ', '').upper()}'\n"
        + f"_symmetry_Int_Tables_number {setting.group.number}\n"
        + _loop(["_symmetry_equiv_pos_as_xyz"], [f"  {o}" for o in setting.operations])
        + _cell(setting, lambda value: f"{value:.4f}")
        + _loop(["_atom_site_label", "_atom_site_type_symbol", *_SITE[1:]], rows)
    )


def findsym(setting: Setting, digits: int) -> str:
    """The full symbol, with origin and axes in words; no operations."""
    words = {"1": "origin choice 1", "2": "origin choice 2", "H": "hexagonal axes", "R": "rhombohedral axes"}
    ending = f" ({words[setting.group.ext]})" if setting.group.ext in words else ""
    rows = [
        f"{symbol}{n} {symbol} {many} {' '.join(f'{x:.{max(digits, 5)}f}' for x in point)} 1.00000"
        for n, (symbol, point, many) in enumerate(setting.sites)
    ]
    tags = ["_atom_site_label", "_atom_site_type_symbol", "_atom_site_symmetry_multiplicity", *_SITE[1:]]
    return (
        f'data_findsym-output\n_symmetry_space_group_name_H-M "{setting.full_name}{ending}"\n'
        + f"_symmetry_Int_Tables_number {setting.group.number}\n"
        + _cell(setting, lambda value: f"{value:.6f}")
        + _loop([*tags, "_atom_site_occupancy"], rows)
    )


def bare(setting: Setting, digits: int) -> str:
    """A name and a list of sites, as typed from a paper."""
    rows = [
        f"{symbol}{n} {' '.join(f'{x:.{digits}f}' for x in point)}"
        for n, (symbol, point, _) in enumerate(setting.sites)
    ]
    return (
        "data_typed\n"
        + _cell(setting, lambda value: f"{value:.4f}")
        + f"_symmetry_space_group_name_H-M '{setting.group.hm}'\n"
        + _loop(_SITE, rows)
    )


def numbered(setting: Setting, digits: int) -> str:
    """The number of the group alone, with formula and Z."""
    text = bare(setting, digits).replace("_symmetry_space_group_name_H-M", "_chemical_name_common")
    formula = f"_chemical_formula_sum '{setting.formula}'\n_cell_formula_units_Z {setting.units}\n"
    return text.replace("loop_", f"_space_group_IT_number {setting.group.number}\n{formula}loop_", 1)


def pymatgen(setting: Setting, digits: int) -> str:
    return str(CifWriter(setting.structure, symprec=0.01, significant_figures=max(digits, 4)))


def ase(setting: Setting, digits: int) -> str:
    import ase.io
    from pymatgen.io.ase import AseAtomsAdaptor

    output = io.BytesIO()
    ase.io.write(output, AseAtomsAdaptor.get_atoms(setting.structure), format="cif")
    return output.getvalue().decode()


def gemmi(setting: Setting, digits: int) -> str:
    import gemmi

    small = gemmi.SmallStructure()
    small.name, small.spacegroup, small.spacegroup_hm = "gemmi", setting.group, setting.group.xhm()
    small.symops = setting.operations
    small.cell.set(*setting.structure.lattice.parameters)
    for number, (symbol, point, _) in enumerate(setting.sites):
        site = gemmi.SmallStructure.Site()
        site.label, site.element = f"{symbol}{number}", gemmi.Element(symbol)
        site.type_symbol, site.fract, site.occ = symbol, gemmi.Fractional(*point), 1.0
        small.add_site(site)
    return str(small.make_cif_block().as_string())


CONVENTIONS: dict[str, Callable[[Setting, int], str]] = {
    function.__name__: function
    for function in (
        icsd,
        cod,
        vesta,
        materials_studio,
        findsym,
        bare,
        numbered,
        pymatgen,
        ase,
        gemmi,
    )
}
