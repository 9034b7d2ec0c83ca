"""A small universal potential as the mean, and a learned correction: delta learning.

Source: Ramakrishnan et al., J. Chem. Theory Comput. 11, 2087 (2015); the potential is CHGNet (Deng et al.,
Nat. Mach. Intell. 5, 1031 (2023)), which was trained on Materials Project calculations: figures on such
data say nothing about systems that it has not seen.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.surrogates.models.boosting import BoostedTrees
from niobe.surrogates.models.targets import Baseline, checked
from niobe.surrogates.protocols import FloatArray, Prediction, refuse_options
from niobe.surrogates.representations.composition import fractions, magpie

if TYPE_CHECKING:
    from pymatgen.core import Structure

PRIOR = "mlip_prior"
ENERGY = "formation_energy_per_atom"
_BATCH = 16
_REFERENCES_RIDGE = 1e-7


class PriorSurrogate:
    """Boosted trees on Magpie and the potential's own representation, over its energy. Implements Surrogate.

    The elements' reference energies are fitted, so that any energy convention of the labels will do.
    """

    def __init__(self, *, members: int, epochs: int) -> None:
        self._correction = BoostedTrees(PRIOR, members=members, epochs=epochs, rows=potential_rows)
        self._references: Baseline | None = None

    @classmethod
    def make(
        cls, name: str, *, members: int, epochs: int, options: Mapping[str, Any], work: Path | None
    ) -> PriorSurrogate:
        """See SurrogateKind.make.

        name: of the model. members, epochs: of the correction. options, work: none are taken.
        """
        refuse_options(name, options)
        return cls(members=members, epochs=epochs)

    def fit(self, structures: Sequence[Structure], targets: Mapping[str, FloatArray], *, seed: int) -> None:
        """See Surrogate.fit.

        structures: n. targets: labels (n,) by name, NaN unknown. seed: of bags and trees.
        """
        known = checked(structures, targets)
        rows = potential_rows(structures)
        if ENERGY in known:
            shares, over = fractions(structures), known[ENERGY] - rows[:, 0]
            self._references = Baseline.fit(ENERGY, shares, over, ridge=_REFERENCES_RIDGE)
            known[ENERGY] = over - self._references.restored(shares, np.zeros(len(rows)))
        self._correction.fit_rows(structures, rows, known, seed=seed)

    def predict(self, structures: Sequence[Structure]) -> dict[str, Prediction]:
        """See Surrogate.predict."""
        rows = potential_rows(structures)
        found = self._correction.predict_rows(structures, rows)
        if self._references is not None and structures:
            mean = rows[:, 0] + self._references.restored(fractions(structures), np.zeros(len(rows)))
            found[ENERGY] = replace(found[ENERGY], mean=found[ENERGY].mean + mean)
        return found

    def features(self, structures: Sequence[Structure]) -> FloatArray:
        """The standardised rows, shape (n, d)."""
        return self._correction.features(structures)

    def save(self, folder: Path) -> None:
        """The correction's checkpoint, and the references beside it."""
        from safetensors.numpy import save_file

        if self._references is not None:
            tensors = {
                "weights": self._references.weights,
                "offset": np.array([self._references.offset, self._references.scale]),
            }
            save_file(tensors, str(folder / "references.safetensors"))
        self._correction.save(folder)

    @classmethod
    def load(cls, folder: Path) -> PriorSurrogate:
        """The surrogate a folder holds."""
        from safetensors.numpy import load_file

        model = cls(members=1, epochs=1)
        model._correction = BoostedTrees.load(folder, rows=potential_rows)
        file = folder / "references.safetensors"
        if file.is_file():
            held = load_file(str(file))
            model._references = Baseline(held["weights"], *map(float, held["offset"]))
        return model


def potential_rows(structures: Sequence[Structure]) -> FloatArray:
    """Energy (eV/atom), its mean atomic features (64), and Magpie: shape (n, 197).

    Raises ValueError where a structure is not sound.
    """
    composition = magpie(structures)
    if not structures:
        return np.empty((0, 65 + composition.shape[1]))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad", UserWarning)
        warnings.filterwarnings("ignore", "No Pauling electronegativity", UserWarning)
        found = _potential().predict_structure(
            list(structures), task="e", return_crystal_feas=True, batch_size=_BATCH
        )
    answers = [found] if len(structures) == 1 else found
    pooled = [np.asarray(a["crystal_fea"], float) / len(s) for a, s in zip(answers, structures, strict=True)]
    own = [np.append(float(answer["e"]), row) for answer, row in zip(answers, pooled, strict=True)]
    return np.hstack([np.array(own), composition])


@functools.cache
def _potential() -> Any:
    from chgnet.model import CHGNet

    return CHGNet.load(use_device="cpu", verbose=False)
