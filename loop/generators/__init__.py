"""Generators that learn nothing: controls for the GAN, and ways to use what the database knows."""

from loop.generators.guided import Guided
from loop.generators.offspring import Offspring, Parent
from loop.generators.prototypes import PrototypeSubstitution
from loop.generators.random_symmetric import RandomSymmetric
from loop.generators.soft_modes import SoftModes, SoftParent

__all__ = [
    "Guided",
    "Offspring",
    "Parent",
    "PrototypeSubstitution",
    "RandomSymmetric",
    "SoftModes",
    "SoftParent",
]
