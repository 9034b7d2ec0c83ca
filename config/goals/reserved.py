"""Names that no property of a goal may have, as something else is called so already."""

from __future__ import annotations

from niobe.config.elements import ELEMENTS

_PREDICTED = ("formation_energy_per_atom", "e_above_hull", "p_stable", "p_failure")
"""What a surrogate predicts of a candidate, where goals are predicted beside it."""
_WRITTEN = (
    *("id", "record", "campaign", "formula", "reduced", "tier", "novelty", "novelty_of", "round"),
    *("generator", "status", "spacegroup", "spacegroup_symbol", "n_atoms", "oracle", "symprec", "prototype"),
    *("mineral", "max_stress", "pressure", "energy_per_atom", "phase", "e_above_hull_error"),
    *(
        "above_products",
        "products",
        "temperature",
        "vibrational_free_energy",
        "gibbs_above_products",
        "thermal_oracle",
    ),
    *("challenge", "opinions_agreeing", "opinions_asked", "spread", "dynamics", "lowest_phonon_frequency"),
    *("double_well_depth", "dft_e_above_hull", "dft_above_products", "dft_phase", "dft_oracle"),
    *("discovery", "rediscovered", "flags", "verdict", "properties", "split", "numbers", "lattice"),
    *("species", "frac_coords", "material_id", "nsites", "nelements"),
)
"""Columns and fields of what Niobe writes."""
_READ = (
    *("entry_id", "e_form", "energy_above_hull", "e_hull", "band_gap", "bandgap", "cif", "structure"),
    *("attributes", "cell", "lattice_vectors", "atomic_numbers", "elements", "symbols", "species_at_sites"),
    *("fractional_coords", "scaled_positions", "cart_coords", "cartesian_coords", "coords", "positions"),
    "cartesian_site_positions",
)
"""Columns that it reads as the crystal, or as a label of it by the oracle, where an export is a source."""
_OF_ASE = (
    *("age", "born_effective_charges", "calculator", "calculator_parameters", "charge", "charges"),
    *("constraints", "ctime", "data", "dielectric_tensor", "dipole", "energies", "energy", "fmax", "forces"),
    *("free_energy", "initial_charges", "initial_magmoms", "key_value_pairs", "magmom", "magmoms", "momenta"),
    *("mtime", "natoms", "pbc", "polarization", "pos", "smax", "stress", "stresses", "uid", "unique_id"),
    *("user", "virial", "x", "z"),
)
"""What ASE's databases and extended XYZ take for something of their own."""
_HEAVY = (
    *("At", "Rn", "Fr", "Ra", "Am", "Cm", "Bk", "Cf", "Es", "Fm", "Md", "No", "Lr", "Rf", "Db", "Sg", "Bh"),
    *("Hs", "Mt", "Ds", "Rg", "Cn", "Nh", "Fl", "Mc", "Lv", "Ts", "Og"),
)
_SYMBOLS = {symbol.casefold() for symbol in (*ELEMENTS, *_HEAVY)}
_RESERVED = frozenset({*_PREDICTED, *_WRITTEN, *_READ, *_OF_ASE, *_SYMBOLS})
_UNIT = "_unit"


def is_reserved(name: str) -> bool:
    """Whether a name is one of these, or ends as the column of a unit does.

    name: of a property.
    """
    return plain_name(name) in _RESERVED or plain_name(name).endswith(_UNIT)


def plain_name(name: str) -> str:
    """What a name is to formats that know no capitals, or no hyphen: two names alike in this are one.

    name: of a property.
    """
    return name.casefold().replace("-", "_")
