"""Crystals whose primitive cells are skewed, layers and centred lattices, with verdicts of the literature.

Repeated by the edges of their primitive cells, they have images at 3 to 6 Å. Labels as in ``textbook``:
of what is named for a diffraction study nature keeps the structure at low temperature, or leaves it.
"""

from __future__ import annotations

from tests.benchmarks.phonons.textbook import Textbook

_ELCOMBE = "Elcombe et al., Acta Cryst. B 47, 305 (1991)"


def _layered(
    formula: str, a: float, c: float, heights: tuple[float, float], label: str, source: str
) -> Textbook:
    """K2NiF4's structure. heights: of the cation between layers and of the apical anion, fractions of c."""
    big, small, anion = formula.split("-")
    sites = [(big, 0, 0, heights[0]), (small, 0, 0, 0), (anion, 0, 0.5, 0), (anion, 0, 0, heights[1])]
    return Textbook(f"{big}2{small}{anion}4 I4/mmm", label, source, 139, (a, a, c, 90, 90, 90), sites)


def _two_layers(cation: str, a: float, c: float, label: str, source: str) -> Textbook:
    """Two layers of titanate perovskite between those of rocksalt."""
    sites = [
        *((cation, 0, 0, height) for height in (0.5, 0.313)),
        ("Ti", 0, 0, 0.098),
        *(("O", 0, 0, height) for height in (0.0, 0.194)),
        ("O", 0, 0.5, 0.096),
    ]
    return Textbook(f"{cation}3Ti2O7 I4/mmm", label, source, 139, (a, a, c, 90, 90, 90), sites)


LAYERED: tuple[Textbook, ...] = (
    _two_layers("Sr", 3.90, 20.37, "stable", _ELCOMBE),
    _two_layers("Ca", 3.83, 19.50, "unstable", "Benedek, Fennie, Phys. Rev. Lett. 106, 107204 (2011)"),
    _layered(
        "Sr-Ti-O", 3.89, 12.59, (0.355, 0.158), "stable", "Fennie, Rabe, Phys. Rev. B 68, 184111 (2003)"
    ),
    _layered(
        "K-Mg-F",
        3.98,
        13.18,
        (0.352, 0.151),
        "stable",
        "Babel, Herdtweck, Z. Anorg. Allg. Chem. 487, 75 (1982)",
    ),
    _layered(
        "La-Cu-O",
        3.78,
        13.20,
        (0.361, 0.182),
        "unstable",
        "Pickett, Cohen, Krakauer, Phys. Rev. Lett. 67, 228 (1991)",
    ),
    Textbook(
        "CuAlO2 R-3m",
        "stable",
        "Pellicer-Porres et al., Phys. Rev. B 74, 184301 (2006)",
        166,
        (2.86, 2.86, 16.96, 90, 90, 120),
        [("Cu", 0, 0, 0), ("Al", 0, 0, 0.5), ("O", 0, 0, 0.11)],
    ),
    Textbook(
        "Bi2Te3 R-3m",
        "stable",
        "Jenkins, Piercy, Wild, Phys. Rev. B 5, 3171 (1972)",
        166,
        (4.39, 4.39, 30.5, 90, 90, 120),
        [("Bi", 0, 0, 0.4), ("Te", 0, 0, 0), ("Te", 0, 0, 0.21)],
    ),
    Textbook(
        "ZrSiO4 zircon",
        "stable",
        "Rignanese, Gonze, Pasquarello, Phys. Rev. B 63, 104305 (2001)",
        141,
        (6.61, 6.61, 5.98, 90, 90, 90),
        [("Zr", 0, 0, 0), ("Si", 0, 0, 0.5), ("O", 0, 0.316, 0.930)],
    ),
    Textbook(
        "CuInSe2 chalcopyrite",
        "stable",
        "Łażewski et al., J. Phys.: Condens. Matter 11, 9665 (1999)",
        122,
        (5.78, 5.78, 11.62, 90, 90, 90),
        [("Cu", 0, 0, 0), ("In", 0, 0, 0.5), ("Se", 0.225, 0.25, 0.125)],
    ),
    Textbook(
        "Sn white",
        "stable",
        "Pavone, Baroni, de Gironcoli, Phys. Rev. B 57, 10421 (1998)",
        141,
        (5.83, 5.83, 3.18, 90, 90, 90),
        [("Sn", 0, 0, 0)],
    ),
    Textbook(
        "Cs2AgBiBr6 cubic",
        "unstable",
        "Klarbring et al., Phys. Rev. Lett. 125, 045701 (2020)",
        225,
        (11.27, 11.27, 11.27, 90, 90, 90),
        [("Cs", 0.25, 0.25, 0.25), ("Ag", 0.5, 0.5, 0.5), ("Bi", 0, 0, 0), ("Br", 0.25, 0, 0)],
    ),
)
