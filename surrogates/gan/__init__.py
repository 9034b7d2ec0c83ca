"""The crystal GAN."""

from surrogates.gan.generator import CrystalGAN, NothingToLearnError

__all__ = ["CrystalGAN", "NothingToLearnError"]
