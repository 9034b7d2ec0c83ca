"""CIF files as people have them: each is the crystal it means, or refused with file, line and reason."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import gemmi
import pytest
from pymatgen.core import Structure

from niobe.loop.crystals.similarity import spacegroup_number
from niobe.loop.readers.cif.symmetry import named
from niobe.loop.readers.disorder import ordered
from niobe.loop.readers.structure_files import iterate_structures

Cell = Sequence[object]
MOS2: Cell = (3.16, 3.16, 12.3, 90, 90, 120)
ALUMINA: Cell = (4.76, 4.76, 12.99, 90, 90, 120)
LICOO2: Cell = (4.97, 4.97, 4.97, 33, 33, 33)
MGO: Cell = (4.2, 4.2, 4.2, 90, 90, 90)
SILICON: Cell = (5.43, 5.43, 5.43, 90, 90, 90)
ALUMINA_SITES = "Al1 0 0 .3522\nO1 .3064 0 .25\n"
LICOO2_SITES = "Li1 0 0 0\nCo1 .5 .5 .5\nO1 .24 .24 .24\n"
MGO_SITES = "Mg1 0 0 0\nO1 .5 .5 .5\n"
HM = "_symmetry_space_group_name_H-M"


def cif(cell: Cell, sites: str, *, symmetry: str = "", columns: str = "") -> str:
    """A CIF of one block; symmetry: lines of it; columns: after the three fractions."""
    tags = ("length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma")
    lines = [f"_cell_{tag} {value}" for tag, value in zip(tags, cell, strict=True)]
    head = "\n".join(["data_x", *lines, symmetry])
    axes = "".join(f"_atom_site_fract_{axis}\n" for axis in "xyz")
    return f"{head}\nloop_\n_atom_site_label\n{axes}{columns}{sites}"


def name(symbol: str) -> str:
    return f"{HM} '{symbol}'"


def counted(formula: str, units: int) -> str:
    return f"_chemical_formula_sum {formula}\n_cell_formula_units_Z {units}"


def operations(xhm: str, tag: str = "_symmetry_equiv_pos_as_xyz") -> str:
    listed = "\n".join(f"'{o.triplet()}'" for o in gemmi.find_spacegroup_by_name(xhm).operations())
    return f"loop_\n{tag}\n{listed}"


def read(folder: Path, text: str | bytes) -> Structure:
    file = folder / "x.cif"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    (row,) = iterate_structures(file)
    assert row.structure is not None, row.problem
    return row.structure


def refusal(folder: Path, text: str) -> str:
    file = folder / "x.cif"
    file.write_text(text)
    (row,) = iterate_structures(file)
    assert row.structure is None
    assert f"{file}:" in row.problem
    return row.problem


def formula(structure: Structure) -> tuple[str, int]:
    return structure.composition.alphabetical_formula, spacegroup_number(structure)


@pytest.mark.parametrize(
    "sites",
    [
        "Mo1 .333 .667 .25\nS1 .333 .667 .621\n",
        "Mo1 .33 .67 .25\nS1 .33 .67 .62\n",
        "Mo1 0.3333 0.6667 .25\nS1 0.3333 0.6667 .621\n",
        "Mo1 .6667 .3333 .75\nS1 .6667 .3333 .379\n",
        "Mo1 .333333 .666667 .25\nS1 .333333 .666667 .621\n",
        "Mo1 1/3 2/3 1/4\nS1 1/3 2/3 .621\n",
        "Mo1 .3333(2) .6667(2) .25\nS1 .3333(2) .6667(2) .6210(3)\n",
        "Mo1 .333 .666 .25\nS1 .333 .666 .621\n",
        "Mo1 -.333 .333 .25\nS1 -.333 .333 .621\n",
    ],
)
def test_rounded_thirds_are_special_positions(tmp_path: Path, sites: str) -> None:
    found = read(tmp_path, cif(MOS2, sites, symmetry=name("P 63/m m c")))
    assert formula(found) == ("Mo2 S4", 194)
    nearest = min(n.nn_distance for n in found.get_neighbors(found[0], 3))
    assert nearest == pytest.approx(((3.16**2) / 3 + (0.129 * 12.3) ** 2) ** 0.5, abs=0.02)


@pytest.mark.parametrize("sixth", [".1667 .3333", ".167 .333", ".16667 .33333", "1/6 1/3", ".17 .33"])
def test_rounded_sixths_are_special_positions(tmp_path: Path, sixth: str) -> None:
    """Kagome site 6i of P 6/m m m (x, 2x, z) with x = 1/6: 6 atoms, not 12."""
    found = read(tmp_path, cif((9, 9, 5, 90, 90, 120), f"C1 {sixth} .1\n", symmetry=name("P 6/m m m")))
    assert len(found) == 12
    found = read(tmp_path, cif((9, 9, 5, 90, 90, 120), f"C1 {sixth} 0\n", symmetry=name("P 6/m m m")))
    assert len(found) == 6


@pytest.mark.parametrize(
    "symmetry",
    [
        *map(
            name,
            ("R -3 c H", "R -3 c", "R -3 c :H", "R-3c:h", "R -3 2/c", "R-3cH", "R -3 2/c (hexagonal axes)"),
        ),
        "_space_group_name_Hall '-R 3 2\"c'",
        "_symmetry_Int_Tables_number 167",
        "_space_group_IT_number 167",
        '_space_group_name_H-M_alt "R_-3_c"',
        operations("R -3 c:H"),
        "_space_group.name_H-M_alt 'R -3 c'",
    ],
)
def test_corundum_by_every_way_to_say_its_group(tmp_path: Path, symmetry: str) -> None:
    assert formula(read(tmp_path, cif(ALUMINA, ALUMINA_SITES, symmetry=symmetry))) == ("Al12 O18", 167)


@pytest.mark.parametrize(
    ("symbol", "cell", "translation"),
    [
        ("P 21/n", (5, 6, 7, 90, 100, 90), (0.5, 0.5, 0.5)),
        ("P 1 21/n 1", (5, 6, 7, 90, 100, 90), (0.5, 0.5, 0.5)),
        ("P21/a", (5, 6, 7, 90, 100, 90), (0.5, 0.5, 0)),
        ("P 21/c", (5, 6, 7, 90, 100, 90), (0, 0.5, 0.5)),
        ("P 21/n", (5, 6, 7, 90, 90, 100), (0.5, 0.5, 0.5)),
        ("P 1 1 21/b", (5, 6, 7, 90, 90, 100), (0, 0.5, 0.5)),
    ],
)
def test_settings_of_one_monoclinic_group(
    tmp_path: Path, symbol: str, cell: Cell, translation: tuple[float, float, float]
) -> None:
    found = read(tmp_path, cif(cell, "Ca1 .1 .12 .13\n", symmetry=name(symbol)))
    unique = 1 if cell[4] != 90 else 2
    turned = [0.1, 0.12, 0.13]
    turned[unique] = -turned[unique]
    wanted = [(x + shift) % 1 for x, shift in zip(turned, translation, strict=True)]
    assert len(found) == 4
    assert any(site.frac_coords % 1 == pytest.approx(wanted) for site in found)


@pytest.mark.parametrize("symmetry", ["", operations("R -3 m:R"), "_symmetry_Int_Tables_number 166"])
def test_rhombohedral_axes(tmp_path: Path, symmetry: str) -> None:
    symmetry = f"{symmetry}\n{name('R -3 m')}"
    assert formula(read(tmp_path, cif(LICOO2, LICOO2_SITES, symmetry=symmetry))) == ("Co1 Li1 O2", 166)


@pytest.mark.parametrize(
    "text",
    [
        cif(MGO, "Mg1 0 0 0 .\nO1 .5 .5 .5 ?\n", symmetry=name("F m -3 m"), columns="_atom_site_occupancy\n"),
        cif(("'4.2000(3)'",) * 3 + (90, "90.", "'90'"), MGO_SITES, symmetry=name("F m -3 m")),
        cif(("4.2000(3)",) * 3 + ("90.00(1)",) * 3, MGO_SITES, symmetry=name("Fm-3m")),
        cif(MGO, "Mg1 '0' 0.0 0\nO1 '0.5' .5 1/2\n", symmetry=name("FM3M")),
        cif(MGO, "O1 .5 .5 .5\nMg1 0 0 0\nMg2 .5 .5 0\nO2 0 0 .5\n", symmetry=operations("F m -3 m")),
        "data_global\n_journal_year 2001\n" + cif(MGO, MGO_SITES, symmetry=name("F m -3 m")),
        "data_a_publ\n_publ_author_name 'Å'\n" + cif(MGO, MGO_SITES, symmetry=name("F m -3 m")),
        cif(MGO, MGO_SITES, symmetry=name("F m -3 m")) + "data_refln\n_refln_count 3\n",
        "\ufeff" + cif(MGO, MGO_SITES, symmetry=name("F m -3 m")),
        cif(MGO, MGO_SITES, symmetry=name("F m −3 m")),
        cif(MGO, MGO_SITES, symmetry=name("F 4/m -3 2/m")),
        cif(MGO, MGO_SITES, symmetry="_space_group_name_Hall '-F 4 2 3'"),
        cif(MGO, "MG1 0 0 0\nO1 .5 .5 .5\n", symmetry=name("F m -3 m")),
        cif(MGO, MGO_SITES, symmetry=f"{name('F m -3 m')}\n{counted('MgO', 4)}"),
    ],
)
def test_rocksalt_however_it_is_written(tmp_path: Path, text: str) -> None:
    assert formula(read(tmp_path, text)) == ("Mg4 O4", 225)
    for encoding in ("utf-16", "utf-8"):
        assert formula(read(tmp_path, text.lstrip("\ufeff").encode(encoding))) == ("Mg4 O4", 225)


def test_latin_letters_in_a_comment_are_read(tmp_path: Path) -> None:
    text = cif(MGO, MGO_SITES, symmetry=name("F m -3 m")) + "# Übersicht\n"
    assert len(read(tmp_path, text.encode("latin-1"))) == 8


def test_all_atoms_listed_with_all_operations(tmp_path: Path) -> None:
    points = ("0 0 0", "0 .5 .5", ".5 0 .5", ".5 .5 0", ".5 .5 .5", ".5 0 0", "0 .5 0", "0 0 .5")
    sites = "".join(f"{'Mg' if n < 4 else 'O'}{n} {point}\n" for n, point in enumerate(points))
    assert len(operations("F m -3 m").splitlines()) == 194
    text = cif(MGO, sites, symmetry=operations("F m -3 m"))
    assert formula(read(tmp_path, text)) == ("Mg4 O4", 225)
    shared = sites.replace("Mg", "Mg").splitlines()
    rows = "".join(
        f"{row} .8\n{row.replace('Mg', 'Fe')} .2\n" if "Mg" in row else f"{row} 1\n" for row in shared
    )
    text = cif(MGO, rows, symmetry=operations("F m -3 m"), columns="_atom_site_occupancy\n")
    composition = read(tmp_path, text).composition
    assert composition.get_el_amt_dict() == pytest.approx({"Mg": 3.2, "Fe": 0.8, "O": 4})


@pytest.mark.parametrize(
    ("symbol", "site", "atoms"),
    [
        ("F d -3 m S", "0 0 0", 8),
        ("F d -3 m :1", "0 0 0", 8),
        ("F d -3 m Z", ".125 .125 .125", 8),
        ("Fd-3m:2", ".125 .125 .125", 8),
        ("F 4_1/d -3 2/m (origin choice 2)", ".125 .125 .125", 8),
    ],
)
def test_origins(tmp_path: Path, symbol: str, site: str, atoms: int) -> None:
    found = read(tmp_path, cif(SILICON, f"Si1 {site}\n", symmetry=name(symbol)))
    assert formula(found) == (f"Si{atoms}", 227)


def test_the_sites_decide_between_two_origins_or_the_file_is_refused(tmp_path: Path) -> None:
    spinel = "Mg1 .125 .125 .125\nAl1 .5 .5 .5\nO1 .2624 .2624 .2624\n"
    found = read(tmp_path, cif((8.08,) * 3 + (90,) * 3, spinel, symmetry=name("F d -3 m")))
    assert formula(found) == ("Al16 Mg8 O32", 227)
    silicon = name("F d -3 m")
    assert "name the setting" in refusal(tmp_path, cif(SILICON, "Si1 0 0 0\n", symmetry=silicon))
    both = f"{silicon}\n{counted('Si', 8)}"
    assert len(read(tmp_path, cif(SILICON, "Si1 0 0 0\n", symmetry=both))) == 8
    many = "_atom_site_symmetry_multiplicity\n"
    assert len(read(tmp_path, cif(SILICON, "Si1 0 0 0 8\n", symmetry=silicon, columns=many))) == 8


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (cif(MGO, MGO_SITES, symmetry=name("Q 3")), "'Q 3' is no space group"),
        (cif(MGO, MGO_SITES, symmetry=name("R -3 m HR")), "'R -3 m HR'"),
        (cif(MGO, MGO_SITES, symmetry="_space_group_name_Hall 'junk'"), "no Hall symbol"),
        (cif(MGO, MGO_SITES, symmetry="_space_group_IT_number 231"), "between 1 and 230"),
        (
            cif(MGO, MGO_SITES, symmetry=name("F m -3 m") + "\n_space_group_IT_number 221"),
            "not space group 221",
        ),
        (cif(ALUMINA, ALUMINA_SITES, symmetry=name("R -3 c R")), "has not the symmetry of R -3 c:R"),
        (cif((4, 5, 6, 90, 90, 90), MGO_SITES, symmetry=name("F m -3 m")), "has not the symmetry"),
        (cif(MGO, MGO_SITES), "no symmetry is given"),
        (cif(MGO, MGO_SITES, symmetry=operations("P m -3 m") + f"\n{name('P 4')}"), "not those of P 4"),
        (cif(MGO, "Mg1 0 0 0\nO1 .01 .012 .013\n", symmetry=name("P 1")), "Å apart"),
        (cif(MGO, "Mg1 0 0 0\nO1 .3 .31 .32\n", symmetry=name("F m -3 m")), "Å apart"),
        (cif(MGO, "Mg1 0 0 0\nQ1 .5 .5 .5\n", symmetry=name("F m -3 m")), "'Q1' in row 2 is no element"),
        (cif(MGO, "CO1 0 0 0\nO1 .5 .5 .5\n", symmetry=name("F m -3 m")), "may be Co or C"),
        *(
            (
                cif(MGO, f"Mg1 0 0 0\n{group} .5 .5 .5\n", symmetry=name("F m -3 m")),
                f"{group!r} in row 2 is no",
            )
            for group in ("Wat", "OH", "OH1", "NH4", "Oh1")
        ),
        (
            cif(MGO, MGO_SITES, symmetry=name("F m -3 m") + "\n_chemical_formula_sum 'Mg2 O'"),
            "sites make MgO, the file says 'Mg2 O'",
        ),
        (
            cif(
                MGO, MGO_SITES, symmetry=f"{name('P 1')}\n_chemical_formula_sum MgO\n_cell_formula_units_Z 4"
            ),
            "2 atoms in the cell; 'MgO' and Z 4 make 8",
        ),
        (
            cif(
                MGO,
                "Mg1 0 0 0 .6\nFe1 0 0 0 .6\nO1 .5 .5 .5 1\n",
                symmetry=name("F m -3 m"),
                columns="_atom_site_occupancy\n",
            ),
            "share a site with occupancies of 1.2",
        ),
        (
            cif(
                MGO,
                "Mg1 0 0 0 .8\nMg2 0 .5 .5 .7\nO1 .5 .5 .5 1\n",
                symmetry=name("F m -3 m"),
                columns="_atom_site_occupancy\n",
            ),
            "row 2 gives Mg 0.7 where an earlier one gives 0.8",
        ),
        (
            cif(
                MGO,
                "Mg1 0 0 0 1\nO1 .5 .5 .5 0\n",
                symmetry=name("F m -3 m"),
                columns="_atom_site_attached_hydrogens\n",
            ),
            "1 hydrogen atoms without positions",
        ),
    ],
)
def test_what_is_no_certain_crystal_is_refused_by_name(tmp_path: Path, text: str, reason: str) -> None:
    assert reason in refusal(tmp_path, text)


def test_all_sites_without_symmetry_are_read_where_the_formula_counts_them(tmp_path: Path) -> None:
    text = cif(MGO, MGO_SITES, symmetry="_chemical_formula_sum 'Mg4 O4'\n_cell_formula_units_Z 4")
    assert "2 atoms in the cell" in refusal(tmp_path, text)
    cubic = cif(
        MGO, "Cs1 0 0 0\nCl1 .5 .5 .5\n", symmetry="_chemical_formula_sum CsCl\n_cell_formula_units_Z 1"
    )
    assert formula(read(tmp_path, cubic)) == ("Cl1 Cs1", 221)


def test_every_symbol_of_the_tables_means_itself() -> None:
    for setting in gemmi.spacegroup_table():
        for symbol in (setting.xhm(), setting.hm, setting.hm.replace(" ", ""), setting.hm.upper()):
            assert setting.number in {found.number for found in named(symbol)}, symbol
        assert named(setting.xhm())[0].number == setting.number
    for symbol, number in {
        "Cmce": 64,
        "A e a 2": 41,
        "C m m e": 67,
        "I a 3 d": 230,
        "P6(3)/mmc": 194,
    }.items():
        assert {found.number for found in named(symbol)} == {number}


def test_isotopes_charges_and_dummies(tmp_path: Path) -> None:
    sites = "D1 D1+ 0 0 0 . 1\nO1 O2- .5 .5 .5 . 1\nX1 Cd .25 .25 .25 dum 1\n"
    columns = "_atom_site_calc_flag\n_atom_site_occupancy\n"
    text = cif(MGO, sites, symmetry=name("P m -3 m"), columns=columns)
    text = text.replace("_atom_site_label\n", "_atom_site_label\n_atom_site_type_symbol\n")
    found = read(tmp_path, text)
    assert {str(species) for species in found.composition} == {"H+", "O2-"}


@pytest.mark.parametrize(
    ("share", "outcome"),
    [
        (".8", "ordered by Ewald energy in 40 sites"),
        (".75", "ordered by Ewald energy in 8 sites"),
        (".667", "ordered by Ewald energy in 24 sites"),
        (".9", "ordered by Ewald energy in 40 sites"),
        (".77", "partly occupied: occupancy 0.77 is no fraction with a denominator up to 12"),
        (".9091", "partly occupied: whole occupancies need 88 sites; allowed: 48"),
    ],
)
def test_partial_occupancy_is_ordered_where_forty_sites_do(tmp_path: Path, share: str, outcome: str) -> None:
    sites = f"Mg1 0 0 0 {share}\nFe1 0 0 0 {1 - float(share):.4f}\nO1 .5 .5 .5 1\n"
    cell = (4.25,) * 3 + (90,) * 3
    text = cif(cell, sites, symmetry=name("F m -3 m"), columns="_atom_site_occupancy\n")
    answer = ordered(read(tmp_path, text))
    assert (answer.set_aside or answer.treatment) == outcome
    if answer.structure.is_ordered:
        amounts = answer.structure.composition.get_el_amt_dict()
        assert amounts["Mg"] / amounts["O"] == pytest.approx(float(share), abs=0.01)
