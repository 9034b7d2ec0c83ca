"""Which candidates to validate next: pure functions from a posterior over a pool to a ranked batch."""

from niobe.loop.acquisition.cost import expected_seconds
from niobe.loop.acquisition.functions import FUNCTIONS, NOVELTY_AWARE
from niobe.loop.acquisition.pool import Batch, Pick, Pool, novelty
from niobe.loop.acquisition.posterior import EnsemblePosterior, GaussianProcess, Posterior
from niobe.loop.acquisition.selection import choose_batch
from niobe.loop.acquisition.targets import Outlook, misses, near_hull, outlook, target_probability

__all__ = [
    "FUNCTIONS",
    "NOVELTY_AWARE",
    "Batch",
    "EnsemblePosterior",
    "GaussianProcess",
    "Outlook",
    "Pick",
    "Pool",
    "Posterior",
    "choose_batch",
    "expected_seconds",
    "misses",
    "near_hull",
    "novelty",
    "outlook",
    "target_probability",
]
