"""What nearly every job imports: imported once, by the process that workers are forked from."""

import atomate2.forcefields.utils
import botorch
import phonopy
import sklearn.ensemble
import torch

import niobe.flows.jobs
import niobe.flows.steps.acquire
import niobe.flows.steps.train
import niobe.flows.steps.validate

__all__ = ["atomate2", "botorch", "niobe", "phonopy", "sklearn", "torch"]
