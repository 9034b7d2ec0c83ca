"""Many structures asked about at once, by torch-sim (Cohen et al., arXiv 2508.06628): what a GPU is for.

torch-sim is installed by ``pip install 'niobe-crystals[batched]'``. Without it, without a GPU, under a
pressure, and for potentials other than ``config.potentials.BATCHED``, structures are asked about one by one.
"""
