"""What nearly every job imports: imported once, by the process that workers are forked from.

torch imports ``torch._dynamo`` when an optimizer is first made; pymatgen, with what reads phonons, its bond
valences and plots: more than a second, which each worker would pay.
"""

import ase.optimize
import atomate2.forcefields.utils
import botorch
import moyopy.interface
import phonopy
import pymatgen.analysis.dimensionality
import pymatgen.io.phonopy
import pyxtal.symmetry
import sklearn.ensemble
import torch._dynamo

import niobe.flows.jobs
import niobe.flows.oracles.cells
import niobe.flows.steps.acquisition.acquire
import niobe.flows.steps.acquisition.predict
import niobe.flows.steps.train
import niobe.flows.steps.validate
import niobe.loop.crystals.overlays

__all__ = [
    "ase",
    "atomate2",
    "botorch",
    "moyopy",
    "niobe",
    "phonopy",
    "pymatgen",
    "pyxtal",
    "sklearn",
    "torch",
]
