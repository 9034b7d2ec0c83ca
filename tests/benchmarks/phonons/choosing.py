"""``python -m tests.benchmarks.phonons.choosing``: whether P(dynamically stable) helps to choose.

A replay on the crystals of dev_phonon_labels.parquet: fifty are known, the others are asked for in batches by
the acquisition functions of a campaign, whose surrogates learn from what was asked. Wanted is what lies on
the hull and is dynamically stable. Hulls are known, and labels are those of density functional theory: more
than a campaign has.
"""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from niobe.loop.acquisition import Pool, choose_batch, misses, target_probability
from niobe.surrogates.models import make_surrogate
from niobe.surrogates.protocols import FloatArray, Prediction
from tests.benchmarks.materials import structure_of, table
from tests.benchmarks.phonons.crystals import UNSTABLE_BELOW
from tests.benchmarks.publish import publish

SEEDS = (1, 2, 3, 4, 5)
FUNCTIONS = ("random", "p_hull", "p_target")
_KNOWN, _BATCH, _CALLS = 50, 10, 100
_ON_HULL = 0.002  # eV/atom
Said = list[tuple[float, float, float]]


@dataclass(frozen=True)
class Labels:
    """n crystals: formation energies and heights above the hull (eV/atom), 1 for dynamically stable: (n,)."""

    structures: list[Any]
    energies: FloatArray
    above: FloatArray
    stable: FloatArray

    @property
    def targets(self) -> NDArray[np.bool_]:
        """What is looked for, (n,)."""
        return np.asarray((self.above <= _ON_HULL) & (self.stable == 1))


def main() -> None:
    """Replay, judge what was said and publish."""
    warnings.simplefilter("ignore")
    started, labels = time.monotonic(), known_labels()
    found: dict[str, list[tuple[int, int]]] = defaultdict(list)
    said: dict[int, Said] = defaultdict(list)
    for seed in SEEDS:
        for function in FUNCTIONS:
            asked = _asked(labels, function, seed, said if function == "p_hull" else None)
            found[function].append((int(labels.targets[asked].sum()), int(labels.stable[asked].sum())))
    seconds = time.monotonic() - started
    _publish_choice(found, labels, seconds)
    _publish_said(said, seconds)


def known_labels() -> Labels:
    """The crystals with a label and a height above the hull."""
    labels = table("dev_phonon_labels.parquet").drop_duplicates("material_id")
    rows = table("dev_mp_structures.parquet").drop_duplicates("material_id")
    rows = rows.merge(labels[["material_id", "min_freq_thz"]], on="material_id")
    rows = rows[np.isfinite(rows.min_freq_thz) & np.isfinite(rows.e_hull) & np.isfinite(rows.e_form)]
    return Labels(
        [structure_of(row) for row in rows.itertuples()],
        rows.e_form.to_numpy(dtype=float),
        rows.e_hull.to_numpy(dtype=float),
        (rows.min_freq_thz >= UNSTABLE_BELOW).to_numpy(dtype=float),
    )


def _asked(labels: Labels, function: str, seed: int, said: dict[int, Said] | None) -> list[int]:
    """The rows that were asked for. said: what P(dynamically stable) was of all others goes there."""
    order = np.random.default_rng(seed).permutation(len(labels.energies))
    known, asked = order[:_KNOWN].tolist(), list[int]()
    while len(asked) < _CALLS:
        taught = np.array([*known, *asked])
        free = np.setdiff1d(np.arange(len(order)), taught)
        if function == "random":
            asked += np.random.default_rng(seed + len(asked)).permutation(free)[:_BATCH].tolist()
            continue
        energies, stable = _predicted(labels, taught, free, seed)
        if said is not None:
            said[len(taught)] += _compared(labels, taught, free, stable)
        pool = _pool(labels, taught, free, energies, stable, seed)
        batch = choose_batch(function, pool, batch=_BATCH, control_share=0.0, seed=seed + len(asked))
        asked += [int(free[pick.index]) for pick in batch.picks]
    return asked


def _predicted(labels: Labels, taught: Any, free: Any, seed: int) -> tuple[Prediction, Prediction]:
    """Formation energies (eV/atom) and P(dynamically stable) of what is free, by the default trees."""
    model = make_surrogate("gbt", members=4, epochs=40)
    targets = {"formation_energy_per_atom": labels.energies[taught], "p_stable": labels.stable[taught]}
    model.fit([labels.structures[row] for row in taught], targets, seed=seed)
    predicted = model.predict([labels.structures[row] for row in free])
    return predicted["formation_energy_per_atom"], predicted["p_stable"]


def _compared(labels: Labels, taught: Any, free: Any, stable: Prediction) -> Said:
    share = float((labels.stable[taught].sum() + 1) / (len(taught) + 2))
    both = np.isfinite(stable.mean)
    truth = labels.stable[free][both]
    return [(float(t), float(p), share) for t, p in zip(truth, stable.mean[both], strict=True)]


def _pool(
    labels: Labels, taught: Any, free: Any, energies: Prediction, stable: Prediction, seed: int
) -> Pool:
    level = labels.energies - labels.above
    above = Prediction(energies.mean - level[free], energies.std, energies.in_domain)
    rows = np.concatenate([taught, free])
    missed = misses(
        lambda drawn: drawn - level[rows] - _ON_HULL,
        labels.energies[taught],
        energies.mean,
        energies.std,
        seed=seed,
    )
    features = np.column_stack([level[free], energies.mean])
    ids = tuple(str(row) for row in free)
    return Pool(ids, features, above, p_stable=stable, p_target=target_probability(missed))


def _publish_choice(found: dict[str, list[tuple[int, int]]], labels: Labels, seconds: float) -> None:
    rows = [
        {
            "chosen by": function,
            "on the hull and stable, of 100": float(np.mean([hits for hits, _ in counts])),
            "by seed": ", ".join(str(hits) for hits, _ in counts),
            "dynamically stable, of 100": float(np.mean([stable for _, stable in counts])),
        }
        for function, counts in found.items()
    ]
    publish(
        "phonons-choosing",
        page="acquisition",
        title="Choosing with and without P(dynamically stable)",
        command="python -m tests.benchmarks.phonons.choosing",
        rows=rows,
        seconds=seconds,
        seeds=list(SEEDS),
        headline="of 100 calls {2[on the hull and stable, of 100]} find what is on the hull and stable with "
        "P(dynamically stable), {1[on the hull and stable, of 100]} without",
        notes=[
            f"{len(labels.energies)} crystals of dev_phonon_labels.parquet, {int(labels.targets.sum())} of "
            f"them within {_ON_HULL} eV/atom of Materials Project's hull and not below {UNSTABLE_BELOW} THz; "
            f"{_KNOWN} known, {_CALLS} asked for in batches of {_BATCH}; the hull is known",
            "p_hull is the default; p_target multiplies by P(dynamically stable)",
            "the labels of PhononDB, not a campaign's verdicts: of many systems, three quarters stable",
        ],
    )


def _publish_said(said: dict[int, Said], seconds: float) -> None:
    publish(
        "phonons-chances",
        page="surrogates",
        title="P(dynamically stable) of crystals that were not learned from",
        command="python -m tests.benchmarks.phonons.choosing",
        rows=[_judged(count, found) for count, found in sorted(said.items())],
        seconds=seconds,
        seeds=list(SEEDS),
        headline="learned from {0[learned from]} crystals P(dynamically stable) has an area under the curve "
        "of {0[ROC-AUC]}, from {9[learned from]} of {9[ROC-AUC]}",
        notes=[
            "crystals of dev_phonon_labels.parquet that the replay had not asked for yet, all seeds together",
            "−log likelihood: of stable or not, by the surrogate and by the share that was stable of what it "
            "learned from (Laplace's rule)",
            "calibration: mean distance of ten equal groups' mean P from the share that is stable",
        ],
    )


def _judged(count: int, found: Said) -> dict[str, Any]:
    from sklearn.metrics import log_loss, roc_auc_score

    truth, chance, share = np.array(found).T
    groups = np.array_split(np.argsort(chance), 10)
    return {
        "learned from": count,
        "ROC-AUC": float(roc_auc_score(truth, chance)),
        "−log likelihood, surrogate": float(log_loss(truth, chance)),
        "−log likelihood, share": float(log_loss(truth, share)),
        "calibration": float(np.mean([abs(chance[rows].mean() - truth[rows].mean()) for rows in groups])),
    }


if __name__ == "__main__":
    main()
