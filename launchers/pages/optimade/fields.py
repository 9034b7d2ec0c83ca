"""Niobe's own fields of an OPTIMADE structure."""

from __future__ import annotations

FIELDS: dict[str, tuple[str, str, str | None, str]] = {
    "campaign": ("campaign", "string", None, "The campaign that found the structure."),
    "round": ("round", "integer", None, "The round in which it was generated; 0 for seeds."),
    "generator": ("lineage.generator", "string", None, "What drew it: gan, random, prototype, offspring, …"),
    "oracle": ("validation.oracle", "string", None, "Fingerprint of what answered for energies and forces."),
    "symprec": (
        "validation.refined.symprec",
        "float",
        "angstrom",
        "Tightest tolerance that finds the space group of a find, relaxed tightly.",
    ),
    "prototype": ("validation.refined.prototype", "string", None, "AFLOW label of a find's prototype."),
    "mineral": (
        "validation.refined.mineral",
        "string",
        None,
        "Mineral that a find's prototype is named for.",
    ),
    "pressure": ("validation.pressure", "float", "GPa", "Under which energies are enthalpies; else 0."),
    "energy_per_atom": (
        "validation.energy_per_atom",
        "float",
        "eV",
        "Energy by the oracle, corrected, per atom; under a pressure the enthalpy.",
    ),
    "formation_energy_per_atom": (
        "verdict.formation_energy_per_atom",
        "float",
        "eV",
        "Formation energy against the oracle's own elements, per atom.",
    ),
    "e_above_hull": (
        "verdict.e_above_hull_now",
        "float",
        "eV",
        "Energy above the newest convex hull of the campaign's own structures, per atom.",
    ),
    "temperature": (
        "verdict.thermal.temperature",
        "float",
        "K",
        "Temperature of a find's harmonic free energies.",
    ),
    "gibbs_above_products": (
        "verdict.thermal.above",
        "float",
        "eV",
        "Gibbs energy of a find above the other phases that have free energies, there, per atom.",
    ),
    "lowest_phonon_frequency": (
        "validation.phonon.lowest_frequency",
        "float",
        "THz",
        "Lowest phonon frequency; negative where the mode is imaginary.",
    ),
    "double_well_depth": (
        "validation.phonon.well.depth",
        "float",
        "eV",
        "What an unstable crystal gains along its softest mode, per atom; null where it is stable.",
    ),
    "verdict": (
        "validation.phonon.outcome",
        "string",
        None,
        "Dynamical verdict: stable, unstable, stabilised (unstable at 0 K, held by its motion) or undecided.",
    ),
    "challenge_survived": (
        "challenge.survived",
        "boolean",
        None,
        "Whether the find survived a search for what may take its claim away; null where there was none.",
    ),
    "opinions_agreeing": (
        "verdict.opinions_agreeing",
        "integer",
        None,
        "How many oracles besides the campaign's agree, each on a hull of its own.",
    ),
    "opinions_asked": (
        "verdict.opinions_asked",
        "integer",
        None,
        "How many oracles besides the campaign's were asked.",
    ),
    "opinions_spread": (
        "verdict.spread",
        "float",
        "eV",
        "Between the highest and the lowest height above its products by all oracles asked, per atom.",
    ),
    "novelty": (
        "verdict.novelty.kind",
        "string",
        None,
        "Of a find: known, ordering, distortion, disputed, substitution or new, beside all that is known.",
    ),
    "novelty_of": (
        "verdict.novelty.of",
        "string",
        None,
        "What a find is, or is an ordering, a distortion or a substitution of.",
    ),
    "rediscovered": (
        "verdict.rediscovered",
        "boolean",
        None,
        "As a discovery, but known before.",
    ),
    "discovery": (
        "verdict.discovery",
        "boolean",
        None,
        "Near the hull, unique, novel against the seeds and dynamically stable.",
    ),
}
"""By name: where it is stored, its type, its unit and what it is."""
