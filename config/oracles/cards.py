"""What is known of each oracle before it is asked: functional, training data, weakness."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Card(NamedTuple):
    """What to know of an oracle before its energies are believed.

    functional: what it computes or was trained on. training: the data, and the paper. weakness: where it is
    known to be wrong.
    """

    functional: str
    training: str
    weakness: str


_MPTRJ = "MPtrj, 1.6 million frames of Materials Project (Deng et al., Nat. Mach. Intell. 5, 1031, 2023)"
_SOFT = "soft: frequencies too low, and polymorphs high above the hull too low"
_TOY = Card("none", "fitted by hand", "a toy: for tests and demonstrations only")

CARDS: Mapping[str, Card] = {
    "7net-0": Card("PBE, PBE+U", f"{_MPTRJ}; Park et al., JCTC 20, 4857 (2024)", _SOFT),
    "7net-l3i5": Card("PBE, PBE+U", f"{_MPTRJ}; Park et al., JCTC 20, 4857 (2024)", _SOFT),
    "7net-mf-0-pbe": Card(
        "PBE, PBE+U", f"{_MPTRJ}, with r2SCAN beside it; Kim et al., JACS 147, 1042 (2025)", _SOFT
    ),
    "7net-mf-0-r2scan": Card(
        "r2SCAN",
        "Materials Project's r2SCAN runs, with MPtrj beside it; Kim et al., JACS 147, 1042 (2025)",
        "few r2SCAN runs off equilibrium: trust what relaxes little",
    ),
    "chgnet": Card("PBE, PBE+U, MP2020", f"{_MPTRJ}, with magnetic moments", f"{_SOFT}; phonons poor"),
    "chgnet-r2scan": Card(
        "r2SCAN",
        "CHGNet, fine-tuned on Materials Project's r2SCAN runs; Huang et al., npj Comput. Mater. (2025)",
        "few r2SCAN runs off equilibrium; phonons poor",
    ),
    "ase": Card("as declared", "as its authors say", "not measured here: compare before you believe it"),
    "emt": _TOY,
    "lj": _TOY,
    "gpaw": Card("PBE", "none: DFT", "that of PBE: O2, gaps, van der Waals; no U for oxides of 3d metals"),
    "vasp": Card("PBE, PBE+U", "none: DFT", "that of PBE: O2, gaps, van der Waals"),
}


_UNSTATED = Card("not stated", "not stated", "not stated")


def card_of(oracle: str) -> Card:
    """The card of an oracle by name; of another package's, one that says that nothing is stated."""
    return CARDS.get(oracle, _UNSTATED)
