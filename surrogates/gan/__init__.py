"""The crystal GAN."""

from niobe.surrogates.gan.generator import CrystalGAN, NothingToLearnError

__all__ = ["CrystalGAN", "NothingToLearnError"]
