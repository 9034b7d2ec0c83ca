"""Generators that learn nothing: controls for the GAN, and ways to use what the database knows."""

from niobe.loop.generators.guided import Guided
from niobe.loop.generators.offspring import Offspring, Parent
from niobe.loop.generators.prototypes import PrototypeSubstitution
from niobe.loop.generators.random_symmetric import RandomSymmetric
from niobe.loop.generators.soft_modes import SoftModes, SoftParent
from niobe.loop.generators.substitution import Substitution

__all__ = [
    "Guided",
    "Offspring",
    "Parent",
    "PrototypeSubstitution",
    "RandomSymmetric",
    "SoftModes",
    "SoftParent",
    "Substitution",
]
