"""The crystal GAN."""

from surrogates.gan.generator import CrystalGAN

__all__ = ["CrystalGAN"]
