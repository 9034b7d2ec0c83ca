"""mock-vasp-potcars: a folder of made-up POTCARs, so that workflows which insist on them run without VASP.

They hold no pseudopotential, only the header fields that parsers ask for, and say so in every title.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from niobe.config.elements import ELEMENTS

FUNCTIONALS = ("POT_GGA_PAW_PBE", "POT_GGA_PAW_PBE_54", "POT_PAW_PBE_64")
TITLE_MARK = "MOCK-NO-PSEUDOPOTENTIAL"
_CUTOFF = 300.0
_SETS = ("MPRelaxSet", "MPSCANRelaxSet", "PBE54Base", "PBE64Base")
_FULL_SHELLS = (0, 2, 10, 18, 36, 54, 86)
_SUFFIX_ELECTRONS = {"sv": 8, "pv": 6}
_F_FROZEN = {"2": 2, "3": 3}


def write_potcars(folder: Path) -> int:
    """Write ``FUNCTIONAL/POTCAR.SYMBOL`` for every element and every name input sets use; how many."""
    symbols = sorted(set(_symbols()))
    for functional in FUNCTIONALS:
        (folder / functional).mkdir(parents=True, exist_ok=True)
        for symbol in symbols:
            (folder / functional / f"POTCAR.{symbol}").write_text(potcar(symbol), encoding="utf-8")
    return len(symbols) * len(FUNCTIONALS)


def potcar(symbol: str) -> str:
    """The text of one made-up POTCAR, such as of ``Nb_pv``."""
    element = re.split(r"[_.]", symbol)[0]
    title = f"PAW_PBE {symbol} {TITLE_MARK}"
    return f"""  {title}
   {valence(symbol):.8f}
 parameters from PSCTR are:
   VRHFIN ={element}: made up by mock-vasp-potcars; not a pseudopotential
   LEXCH  = PE
   EATOM  =     0.0000 eV
   TITEL  = {title}
   LULTRA =        F    use ultrasoft PP ?
   IUNSCR =        0    unscreen
   RPACOR =     .000    core radius
   POMASS =   {_mass(element):.3f}; ZVAL   =   {valence(symbol):.3f}    mass and valence
   RCORE  =    2.000    outmost cutoff radius
   RWIGS  =    2.000; RWIGS  =    1.058    Wigner-Seitz radius
   ENMAX  =  {_CUTOFF:.3f}; ENMIN  =  {0.75 * _CUTOFF:.3f} eV
   EAUG   =  {2 * _CUTOFF:.3f}
   LCOR   =        T    correct aug charges
   LPAW   =        T    paw PP
END of PSCTR-controll parameters
 local part
   0.00000000E+00
 End of Dataset
"""


def valence(symbol: str) -> float:
    """Electrons outside the last noble-gas shell, semicore added by suffix. A label, not chemistry."""
    element, _, suffix = symbol.partition("_")
    number = ELEMENTS.index(element) + 1
    outer = number - max(shell for shell in _FULL_SHELLS if shell < number)
    outer = outer - 14 if 71 < number <= 86 else outer
    return float(_F_FROZEN.get(suffix, outer + _SUFFIX_ELECTRONS.get(suffix, 0)))


def _mass(element: str) -> float:
    from ase.data import atomic_masses

    return float(atomic_masses[ELEMENTS.index(element) + 1])


def _symbols() -> Iterator[str]:
    """Element symbols, and what pymatgen's input sets call their POTCARs."""
    import pymatgen.io.vasp.sets as sets
    from monty.serialization import loadfn

    yield from ELEMENTS
    folder = Path(sets.__file__).parent
    for name in _SETS:
        content: dict[str, Any] = loadfn(folder / f"{name}.yaml")
        for symbol in content.get("POTCAR", {}).values():
            if symbol.partition("_")[0] in ELEMENTS:
                yield symbol


def main() -> None:
    """``mock-vasp-potcars DIR``: what PMG_VASP_PSP_DIR should then name."""
    parser = argparse.ArgumentParser(prog="mock-vasp-potcars", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args().folder
    print(f"{write_potcars(folder)} made-up POTCARs in {folder}; set PMG_VASP_PSP_DIR={folder.resolve()}")
