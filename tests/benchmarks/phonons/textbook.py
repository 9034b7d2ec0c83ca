"""Crystals whose harmonic phonons are in the literature: stable, unstable, or between.

Unstable: imaginary modes of the static lattice, by density functional theory or as nature shows it by a
phase that only heat or pressure keeps. Marginal: theory and nature, or two functionals, differ. Lattices are
starting points in Å and degrees; each potential relaxes them within their symmetry.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pymatgen.core import Structure

Site = tuple[str, float, float, float]
_T = 1 / 3


@dataclass(frozen=True)
class Textbook:
    """One crystal. lattice: a, b, c (Å), alpha, beta, gamma (degrees). sites: element and fractions."""

    name: str
    label: str
    source: str
    spacegroup: int
    lattice: tuple[float, float, float, float, float, float]
    sites: Sequence[Site]

    def structure(self) -> Structure:
        from pymatgen.core import Lattice, Structure

        return Structure.from_spacegroup(
            self.spacegroup,
            Lattice.from_parameters(*self.lattice),
            [site[0] for site in self.sites],
            [list(site[1:]) for site in self.sites],
        )


def _cubic(a: float) -> tuple[float, float, float, float, float, float]:
    return a, a, a, 90, 90, 90


def _tetragonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    return a, a, c, 90, 90, 90


def _hexagonal(a: float, c: float) -> tuple[float, float, float, float, float, float]:
    return a, a, c, 90, 90, 120


def _fcc(symbol: str, a: float, label: str, source: str) -> Textbook:
    return Textbook(f"{symbol} fcc", label, source, 225, _cubic(a), [(symbol, 0, 0, 0)])


def _bcc(symbol: str, a: float, label: str, source: str) -> Textbook:
    return Textbook(f"{symbol} bcc", label, source, 229, _cubic(a), [(symbol, 0, 0, 0)])


def _hcp(symbol: str, a: float, c: float, source: str) -> Textbook:
    return Textbook(f"{symbol} hcp", "stable", source, 194, _hexagonal(a, c), [(symbol, _T, 2 * _T, 0.25)])


def _diamond(symbol: str, a: float, source: str) -> Textbook:
    return Textbook(f"{symbol} diamond", "stable", source, 227, _cubic(a), [(symbol, 0, 0, 0)])


def _rocksalt(one: str, two: str, a: float, label: str, source: str) -> Textbook:
    return Textbook(
        f"{one}{two} rocksalt", label, source, 225, _cubic(a), [(one, 0, 0, 0), (two, 0.5, 0.5, 0.5)]
    )


def _zincblende(one: str, two: str, a: float, source: str) -> Textbook:
    sites = [(one, 0, 0, 0), (two, 0.25, 0.25, 0.25)]
    return Textbook(f"{one}{two} zincblende", "stable", source, 216, _cubic(a), sites)


def _wurtzite(one: str, two: str, a: float, c: float, source: str) -> Textbook:
    sites = [(one, _T, 2 * _T, 0.0), (two, _T, 2 * _T, 0.38)]
    return Textbook(f"{one}{two} wurtzite", "stable", source, 186, _hexagonal(a, c), sites)


def _fluorite(one: str, two: str, a: float, label: str, source: str) -> Textbook:
    sites = [(one, 0, 0, 0), (two, 0.25, 0.25, 0.25)]
    return Textbook(f"{one}{two}2 fluorite", label, source, 225, _cubic(a), sites)


def _perovskite(a_site: str, b_site: str, anion: str, a: float, label: str, source: str) -> Textbook:
    sites = [(a_site, 0.5, 0.5, 0.5), (b_site, 0, 0, 0), (anion, 0.5, 0, 0)]
    return Textbook(f"{a_site}{b_site}{anion}3 cubic", label, source, 221, _cubic(a), sites)


def _rutile(metal: str, anion: str, a: float, c: float, label: str, source: str) -> Textbook:
    sites = [(metal, 0, 0, 0), (anion, 0.305, 0.305, 0)]
    return Textbook(f"{metal}{anion}2 rutile", label, source, 136, _tetragonal(a, c), sites)


def _b2(one: str, two: str, a: float, label: str, source: str) -> Textbook:
    return Textbook(f"{one}{two} B2", label, source, 221, _cubic(a), [(one, 0, 0, 0), (two, 0.5, 0.5, 0.5)])


_GIANNOZZI = "Giannozzi et al., Phys. Rev. B 43, 7231 (1991)"
_DAL_CORSO = "Dal Corso, J. Phys.: Condens. Matter 25, 145401 (2013)"
_DE_GIRONCOLI = "de Gironcoli, Phys. Rev. B 51, 6773 (1995)"
_PERSSON = "Persson, Ekman, Ozoliņš, Phys. Rev. B 61, 11221 (2000)"
_GRIMVALL = "Grimvall et al., Rev. Mod. Phys. 84, 945 (2012)"
_EINARSDOTTER = "Einarsdotter et al., Phys. Rev. Lett. 79, 2073 (1997)"
_ISAEV = "Isaev et al., J. Appl. Phys. 101, 123519 (2007)"
_GHOSEZ = "Ghosez et al., Phys. Rev. B 60, 836 (1999)"
_YANG = "Yang et al., J. Phys. Chem. Lett. 8, 4720 (2017)"
_BUNGARO = "Bungaro, Rapcewicz, Bernholc, Phys. Rev. B 61, 6720 (2000)"
_RIGNANESE = "Rignanese et al., Phys. Rev. B 69, 184301 (2004)"

TEXTBOOK: tuple[Textbook, ...] = (
    _diamond("Si", 5.43, _GIANNOZZI),
    _diamond("Ge", 5.66, _GIANNOZZI),
    _diamond("C", 3.57, "Pavone et al., Phys. Rev. B 48, 3156 (1993)"),
    _zincblende("Ga", "As", 5.65, _GIANNOZZI),
    _zincblende("Al", "As", 5.66, _GIANNOZZI),
    _zincblende("Si", "C", 4.36, "Karch et al., Phys. Rev. B 50, 17054 (1994)"),
    _wurtzite("Al", "N", 3.11, 4.98, _BUNGARO),
    _wurtzite("Ga", "N", 3.19, 5.19, _BUNGARO),
    _wurtzite("Zn", "O", 3.25, 5.21, "Serrano et al., Phys. Rev. B 69, 094306 (2004)"),
    _fcc("Al", 4.05, "stable", _DE_GIRONCOLI),
    _fcc("Cu", 3.61, "stable", _DAL_CORSO),
    _fcc("Ag", 4.09, "stable", _DAL_CORSO),
    _fcc("Pd", 3.89, "stable", _DAL_CORSO),
    _fcc("Pt", 3.92, "stable", _DAL_CORSO),
    _bcc("Nb", 3.30, "stable", _DE_GIRONCOLI),
    _bcc("W", 3.17, "stable", _EINARSDOTTER),
    _bcc("Fe", 2.84, "stable", "Dal Corso, de Gironcoli, Phys. Rev. B 62, 273 (2000)"),
    _hcp("Mg", 3.21, 5.21, "Pynn, Squires, Proc. R. Soc. A 326, 347 (1972)"),
    _hcp("Ti", 2.95, 4.68, "Stassis et al., Phys. Rev. B 19, 181 (1979)"),
    _hcp("Zr", 3.23, 5.15, "Stassis et al., Phys. Rev. B 18, 2632 (1978)"),
    _rocksalt("Mg", "O", 4.21, "stable", "Karki et al., Phys. Rev. B 61, 8793 (2000)"),
    _rocksalt("Na", "Cl", 5.64, "stable", "Raunio, Almqvist, Stedman, Phys. Rev. 178, 1496 (1969)"),
    _rocksalt("Li", "F", 4.03, "stable", "Dolling et al., Phys. Rev. 168, 970 (1968)"),
    _rocksalt("Ti", "C", 4.33, "stable", _ISAEV),
    _rocksalt("Zr", "C", 4.70, "stable", _ISAEV),
    _rocksalt("Ti", "N", 4.24, "stable", _ISAEV),
    _fluorite("Ca", "F", 5.46, "stable", "Elcombe, Pryor, J. Phys. C 3, 492 (1970)"),
    _fluorite("Ce", "O", 5.41, "stable", "Gürel, Eryiğit, Phys. Rev. B 74, 014302 (2006)"),
    _rutile("Sn", "O", 4.74, 3.19, "stable", "Parlinski, Kawazoe, Eur. Phys. J. B 13, 679 (2000)"),
    Textbook(
        "TiO2 anatase",
        "stable",
        "Mikami et al., Phys. Rev. B 66, 155213 (2002)",
        141,
        _tetragonal(3.78, 9.51),
        [("Ti", 0, 0, 0), ("O", 0, 0, 0.208)],
    ),
    Textbook(
        "Al2O3 corundum",
        "stable",
        "Heid, Strauch, Bohnen, Phys. Rev. B 61, 8625 (2000)",
        167,
        _hexagonal(4.76, 12.99),
        [("Al", 0, 0, 0.352), ("O", 0.306, 0, 0.25)],
    ),
    Textbook(
        "SiO2 α-quartz",
        "stable",
        "Gonze et al., Phys. Rev. B 50, 13035 (1994)",
        154,
        _hexagonal(4.91, 5.40),
        [("Si", 0.47, 0, 2 * _T), ("O", 0.413, 0.267, 0.786)],
    ),
    Textbook(
        "MgB2",
        "stable",
        "Bohnen, Heid, Renker, Phys. Rev. Lett. 86, 5771 (2001)",
        191,
        _hexagonal(3.08, 3.52),
        [("Mg", 0, 0, 0), ("B", _T, 2 * _T, 0.5)],
    ),
    Textbook(
        "C graphite",
        "stable",
        "Mounet, Marzari, Phys. Rev. B 71, 205214 (2005)",
        194,
        _hexagonal(2.46, 6.71),
        [("C", 0, 0, 0.25), ("C", _T, 2 * _T, 0.25)],
    ),
    Textbook(
        "MoS2 2H",
        "stable",
        "Molina-Sánchez, Wirtz, Phys. Rev. B 84, 155413 (2011)",
        194,
        _hexagonal(3.16, 12.3),
        [("Mo", _T, 2 * _T, 0.25), ("S", _T, 2 * _T, 0.621)],
    ),
    _b2("Ni", "Al", 2.88, "stable", "Huang, Naumov, Rabe, Phys. Rev. B 70, 064301 (2004)"),
    Textbook(
        "PbTiO3 P4mm",
        "stable",
        "García, Vanderbilt, Phys. Rev. B 54, 3817 (1996)",
        99,
        _tetragonal(3.88, 4.15),
        [("Pb", 0, 0, 0), ("Ti", 0.5, 0.5, 0.54), ("O", 0.5, 0.5, 0.11), ("O", 0.5, 0, 0.62)],
    ),
    Textbook(
        "BaTiO3 R3m",
        "stable",
        "Hermet, Veithen, Ghosez, J. Phys.: Condens. Matter 21, 215901 (2009)",
        160,
        _hexagonal(5.66, 6.95),
        [("Ba", 0, 0, 0), ("Ti", 0, 0, 0.487), ("O", 0.511, 0.489, 0.018)],
    ),
    Textbook(
        "LiNbO3 R3c",
        "stable",
        "Parlinski, Li, Kawazoe, Phys. Rev. B 61, 272 (2000)",
        161,
        _hexagonal(5.15, 13.86),
        [("Li", 0, 0, 0.28), ("Nb", 0, 0, 0), ("O", 0.048, 0.343, 0.064)],
    ),
    Textbook(
        "ZrO2 P2₁/c",
        "stable",
        "Zhao, Vanderbilt, Phys. Rev. B 65, 075105 (2002)",
        14,
        (5.15, 5.21, 5.32, 90, 99.2, 90),
        [("Zr", 0.275, 0.040, 0.208), ("O", 0.070, 0.332, 0.345), ("O", 0.450, 0.757, 0.479)],
    ),
    Textbook(
        "HfO2 P4₂/nmc",
        "stable",
        _RIGNANESE,
        137,
        _tetragonal(3.58, 5.20),
        [("Hf", 0, 0, 0), ("O", 0, 0.5, 0.19)],
    ),
    _bcc("Ti", 3.26, "unstable", _PERSSON),
    _bcc("Sc", 3.67, "unstable", _PERSSON),
    _bcc("La", 4.24, "unstable", _PERSSON),
    _bcc("Hf", 3.54, "unstable", _PERSSON),
    _bcc("Al", 3.24, "unstable", _GRIMVALL),
    _fcc("W", 4.05, "unstable", _EINARSDOTTER),
    _fcc("Mo", 4.00, "unstable", _GRIMVALL),
    _b2("Ni", "Ti", 3.01, "unstable", "Huang et al., Phys. Rev. B 65, 014108 (2001)"),
    _rocksalt("Nb", "N", 4.42, "unstable", _ISAEV),
    _rocksalt("Ge", "Te", 6.01, "unstable", "Rabe, Joannopoulos, Phys. Rev. B 36, 6631 (1987)"),
    _fluorite("Zr", "O", 5.11, "unstable", "Parlinski, Li, Kawazoe, Phys. Rev. Lett. 78, 4063 (1997)"),
    _fluorite("Hf", "O", 5.06, "unstable", _RIGNANESE),
    _perovskite("Sr", "Ti", "O", 3.91, "unstable", "LaSota et al., Ferroelectrics 194, 109 (1997)"),
    _perovskite("Ba", "Ti", "O", 4.01, "unstable", _GHOSEZ),
    _perovskite("Pb", "Ti", "O", 3.95, "unstable", _GHOSEZ),
    _perovskite("Pb", "Zr", "O", 4.15, "unstable", _GHOSEZ),
    _perovskite("K", "Nb", "O", 4.00, "unstable", "Yu, Krakauer, Phys. Rev. Lett. 74, 4067 (1995)"),
    _perovskite("Ca", "Ti", "O", 3.87, "unstable", "Cockayne, Burton, Phys. Rev. B 62, 3735 (2000)"),
    _perovskite("La", "Al", "O", 3.80, "unstable", "Hatt, Spaldin, Phys. Rev. B 82, 195402 (2010)"),
    _perovskite("Ca", "Si", "O", 3.60, "unstable", "Stixrude et al., Am. Mineral. 81, 1293 (1996)"),
    _perovskite("Cs", "Pb", "Br", 5.95, "unstable", _YANG),
    _perovskite("Cs", "Pb", "Cl", 5.70, "unstable", _YANG),
    _perovskite("Cs", "Sn", "I", 6.25, "unstable", _YANG),
    Textbook(
        "WO3 cubic",
        "unstable",
        "Hamdi et al., Phys. Rev. B 94, 245124 (2016)",
        221,
        _cubic(3.82),
        [("W", 0, 0, 0), ("O", 0.5, 0, 0)],
    ),
    _rutile("V", "O", 4.55, 2.86, "unstable", "Kim et al., Phys. Rev. B 87, 195106 (2013)"),
    _rutile("Nb", "O", 4.85, 3.03, "unstable", "O'Hara, Demkov, Phys. Rev. B 91, 094305 (2015)"),
    Textbook(
        "LiNbO3 R-3c",
        "unstable",
        "Parlinski, Li, Kawazoe, Phys. Rev. B 61, 272 (2000)",
        167,
        _hexagonal(5.14, 13.7),
        [("Li", 0, 0, 0.25), ("Nb", 0, 0, 0), ("O", 0.38, 0, 0.25)],
    ),
    Textbook(
        "TiSe2 1T",
        "unstable",
        "Calandra, Mauri, Phys. Rev. Lett. 106, 196406 (2011)",
        164,
        _hexagonal(3.54, 6.01),
        [("Ti", 0, 0, 0), ("Se", _T, 2 * _T, 0.25)],
    ),
    Textbook(
        "NbSe2 2H",
        "unstable",
        "Weber et al., Phys. Rev. Lett. 107, 107403 (2011)",
        194,
        _hexagonal(3.44, 12.55),
        [("Nb", 0, 0, 0.25), ("Se", _T, 2 * _T, 0.117)],
    ),
    Textbook(
        "Ni2MnGa L2₁",
        "unstable",
        "Bungaro, Rabe, Dal Corso, Phys. Rev. B 68, 134104 (2003)",
        225,
        _cubic(5.81),
        [("Ni", 0.25, 0.25, 0.25), ("Mn", 0.5, 0.5, 0.5), ("Ga", 0, 0, 0)],
    ),
    _rutile(
        "Ti", "O", 4.60, 2.96, "marginal", "Montanari, Harrison, J. Phys.: Condens. Matter 16, 273 (2004)"
    ),
    _perovskite("K", "Ta", "O", 3.99, "marginal", "Singh, Phys. Rev. B 53, 176 (1996)"),
    _rocksalt("Pb", "Te", 6.46, "marginal", "An, Subedi, Singh, Solid State Commun. 148, 417 (2008)"),
    Textbook(
        "ScF3 cubic",
        "marginal",
        "Li et al., Phys. Rev. Lett. 107, 195504 (2011)",
        221,
        _cubic(4.01),
        [("Sc", 0, 0, 0), ("F", 0.5, 0, 0)],
    ),
    Textbook(
        "SrTiO3 I4/mcm",
        "marginal",
        "Sai, Vanderbilt, Phys. Rev. B 62, 13942 (2000)",
        140,
        _tetragonal(5.51, 7.81),
        [("Sr", 0, 0.5, 0.25), ("Ti", 0, 0, 0), ("O", 0, 0, 0.25), ("O", 0.24, 0.74, 0)],
    ),
    Textbook(
        "ZrO2 P4₂/nmc",
        "marginal",
        "Detraux, Ghosez, Gonze, Phys. Rev. Lett. 81, 3297 (1998)",
        137,
        _tetragonal(3.60, 5.18),
        [("Zr", 0, 0, 0), ("O", 0, 0.5, 0.19)],
    ),
)
