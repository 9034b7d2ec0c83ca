"""``python -m tests.benchmarks.mean_corrections``: what a surrogate says of a batch before the oracle does.

The runs of the generative benchmark that have a pre-relaxation potential are gone through round by round: a
surrogate learns from the rounds before, once on top of the pre-relaxation potential's kernel-weighted mean
corrections and once alone, or from the seeds only, and predicts the batch; and which of it is dynamically
stable, beside the share that was so before.
"""

from __future__ import annotations

import gzip
import time
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from niobe.config.loading import load_campaign
from niobe.flows.steps.train import training_set
from niobe.loop.benchmark.generative import Run
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.structures import candidate_structure, relaxed_structure
from niobe.loop.stability.corrections import mp2020_correction
from niobe.loop.stability.prerelaxed import (
    mean_corrections,
    prerelaxed_formation_energies,
    prerelaxed_references,
)
from niobe.surrogates.models import make_surrogate
from niobe.surrogates.protocols import FloatArray
from tests.benchmarks.generative import RUNS, SYSTEMS, campaign_of
from tests.benchmarks.publish import publish

_TARGET = "formation_energy_per_atom"
_USUAL = "on top of the kernel-weighted mean correction"
_SETTINGS = ("prerelax", "offspring", "phonons", "p_stable")
Scores = dict[tuple[int, str], list[tuple[float, float, float]]]
Chances = dict[int, list[tuple[float, float, float]]]


def main() -> None:
    """Learn, predict, compare and publish."""
    warnings.simplefilter("ignore")
    started, count = time.monotonic(), 0
    scores: Scores = defaultdict(list)
    chances: Chances = defaultdict(list)
    for seeds, batches in _runs():
        count += 1
        references = prerelaxed_references(seeds)
        for number, batch in enumerate(batches, start=1):
            before = [*seeds, *(record for earlier in batches[: number - 1] for record in earlier)]
            for way, scored in _scored(before, batch, references).items():
                scores[number, way].append(scored)
            scores[number, "from the seeds only"].append(_scored(seeds, batch, references)[_USUAL])
            chances[number] += _stability(before, batch, references)
    publish(
        "mean_corrections",
        page="discovery",
        headline=(
            "round {5[round]}: mean error {5[mean error, eV/atom]} eV/atom, {3[mean error, "
            "eV/atom]} without a correction first"
        ),
        title="What the surrogate says of a batch before the oracle does, with pre-relaxation",
        command="python -m tests.benchmarks.mean_corrections",
        rows=_rows(scores),
        seconds=time.monotonic() - started,
        notes=[
            f"{count} runs of the generative benchmark (tests/benchmarks/runs), one batch of ten a round; "
            "means over runs. Round 1 knows the seeds only",
            "the oracle's energies with the corrections of today (decision 103), which those runs had not",
            "'from the seeds only' is on top of the kernel-weighted mean correction too, and what a "
            "campaign without "
            "retraining would say",
            "−log likelihood: of the oracle's answer by mean and standard deviation, up to a constant",
        ],
        order=42,
    )
    publish(
        "prerelaxed_stability",
        page="discovery",
        headline=(
            "round {1[round]}: −log likelihood {1[−log likelihood, surrogate]}, that of the share "
            "so far {1[−log likelihood, share]}"
        ),
        title="What the surrogate says of dynamical stability before the oracle does",
        command="python -m tests.benchmarks.mean_corrections",
        rows=_stability_rows(chances),
        seconds=time.monotonic() - started,
        notes=[
            "the same runs, as far as they ran phonons; those of all runs together a round",
            "−log likelihood: of stable or not, by the surrogate's probability, and by the share that was "
            "stable before (Laplace's rule); 0.69 is a coin's",
        ],
        order=42,
    )


def _runs() -> Iterator[tuple[list[StructureRecord], list[list[StructureRecord]]]]:
    """Of each run its seeds, and its calls round by round, as far as the pre-relaxation potential and the
    oracle answered."""
    for system in SYSTEMS:
        for file in sorted((RUNS / system).glob("*.json.gz")):
            if file.name.split("-")[0] not in _SETTINGS:
                continue
            run = Run.model_validate_json(gzip.decompress(file.read_bytes()))
            calls = [on_the_scale(record) for record in run.calls if record.prerelaxed and record.verdict]
            rounds = sorted({record.acquired_round or 0 for record in calls})
            batches = [[record for record in calls if record.acquired_round == number] for number in rounds]
            seeds = [on_the_scale(record) for record in run.seeds if record.prerelaxed and record.verdict]
            yield seeds, batches


def on_the_scale(record: StructureRecord) -> StructureRecord:
    """With the energy of today, where a run took 7net-0's as they came."""
    if record.validation is None or record.verdict is None or "MP2020" in record.validation.oracle:
        return record
    structure = relaxed_structure(record)
    correction = mp2020_correction(structure) / len(structure)
    formation = record.verdict.formation_energy_per_atom + correction
    verdict = record.verdict.model_copy(update={"formation_energy_per_atom": formation})
    return record.model_copy(update={"verdict": verdict})


def _scored(
    before: Sequence[StructureRecord], batch: Sequence[StructureRecord], references: dict[str, float]
) -> dict[str, tuple[float, float, float]]:
    """Mean absolute error, mean std (eV/atom) and negative log-likelihood, by way."""
    structures, targets = training_set(before, references)
    rest = targets[_TARGET]
    usual = mean_corrections(before, before, references)
    ahead = mean_corrections(batch, before, references)
    labels = {
        _USUAL: (rest, ahead),
        "alone": (rest + usual, np.zeros(len(batch))),
    }
    energies = np.array([r.verdict.formation_energy_per_atom for r in batch if r.verdict])
    truth = energies - prerelaxed_formation_energies(batch, references)
    spec = load_campaign(campaign_of("Nb-O")).surrogate
    found = {}
    for way, (label, offset) in labels.items():
        model = make_surrogate(spec.model, members=spec.members, epochs=spec.epochs)
        model.fit(structures, {_TARGET: label}, seed=1)
        predicted = model.predict([candidate_structure(record) for record in batch])[_TARGET]
        found[way] = _score(truth - offset - predicted.mean, predicted.std)
    return found


def _score(errors: FloatArray, stds: FloatArray) -> tuple[float, float, float]:
    inside = np.isfinite(errors + stds)
    errors, stds = errors[inside], stds[inside]
    return (
        float(np.abs(errors).mean()),
        float(stds.mean()),
        float((errors**2 / stds**2 / 2 + np.log(stds)).mean()),
    )


def _stability(
    before: Sequence[StructureRecord], batch: Sequence[StructureRecord], references: dict[str, float]
) -> list[tuple[float, float, float]]:
    """Of each structure of the batch whose phonons said: stable (1 or 0), the surrogate's P, the share's."""
    structures, targets = training_set(before, references)
    asked, answers = training_set(batch, references)
    labels, truth = targets["p_stable"], answers["p_stable"]
    if np.isnan(labels).all():
        return []
    spec = load_campaign(campaign_of("Nb-O")).surrogate
    model = make_surrogate(spec.model, members=spec.members, epochs=spec.epochs)
    model.fit(structures, {"p_stable": labels}, seed=1)
    said = model.predict(asked)["p_stable"].mean
    share = float((np.nansum(labels) + 1) / (np.isfinite(labels).sum() + 2))
    both = np.isfinite(truth + said)
    return [(float(t), float(p), share) for t, p in zip(truth[both], said[both], strict=True)]


def _stability_rows(chances: Chances) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for number, found in sorted(chances.items()):
        truth, said, share = np.array(found).T
        rows.append(
            {
                "round": number,
                "structures": len(found),
                "stable": round(float(truth.mean()), 2),
                "surrogate's mean P": round(float(said.mean()), 2),
                "−log likelihood, surrogate": round(_unlikeliness(truth, said), 3),
                "−log likelihood, share": round(_unlikeliness(truth, share), 3),
            }
        )
    return rows


def _unlikeliness(truth: FloatArray, said: FloatArray) -> float:
    return float(-(truth * np.log(said) + (1 - truth) * np.log(1 - said)).mean())


def _rows(scores: Scores) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for (number, way), found in sorted(scores.items()):
        error, std, unlikely = np.mean(found, axis=0)
        rows.append(
            {
                "round": number,
                "the surrogate learns": way,
                "mean error, eV/atom": round(float(error), 3),
                "its own standard deviation, eV/atom": round(float(std), 3),
                "−log likelihood": round(float(unlikely), 2),
            }
        )
    return rows


if __name__ == "__main__":
    main()
