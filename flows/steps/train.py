"""Training steps: from structure records to checkpoints."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec, SurrogateChoice
from niobe.config.version import file_digest
from niobe.flows.steps.checkpoints import (
    fetched_checkpoint,
    has_learned_most,
    keep_checkpoint,
    newest_checkpoint,
    pass_on,
)
from niobe.flows.steps.known import finished_and_known
from niobe.loop.campaign.seeding import source_entries
from niobe.loop.campaign.seeds import excluded_structures
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.dynamics import STABLE_AT_0_K
from niobe.loop.documents.entries import SourceEntry
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import RoundRecord
from niobe.loop.documents.structures import candidate_structure, entry_structure, relaxed_structure
from niobe.loop.sources.shifted_labels import shifted_labels
from niobe.loop.stability.prerelaxed import (
    mean_corrections,
    of_one_crystal,
    prerelaxed_formation_energies,
    prerelaxed_references,
)
from niobe.loop.store.database import Database
from niobe.surrogates.identity import OutdatedCheckpointError
from niobe.surrogates.protocols import FloatArray, Surrogate

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from niobe.surrogates.gan import CrystalGAN

Report = Callable[[int, int], None]
_ENERGY_SCALE, _LEAST_WEIGHT, _NEAR = 0.1, 0.02, 0.5
_CORPUS_ATOMS = 24
_MIN_JUDGED = 24
_FOLDS = 3


def train_surrogate(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Fit the surrogate on all validated and failed records and write its checkpoint.

    With ``surrogate.retrain`` off the checkpoint of the round before is passed on; where more than 500
    labels taught it, and less than a tenth as many came since, it serves as it is. ``surrogate.checkpoint``
    is passed on every round.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    number = round_record.number
    if spec.surrogate.checkpoint is not None:
        _take_over(database, spec, number, Path(spec.surrogate.checkpoint))
        return
    before = fetched_checkpoint(database, spec.id, number - 1, "surrogate")
    if before.is_dir() and not spec.surrogate.retrain:
        pass_on(database, spec.id, number, "surrogate")
        return
    if has_learned_most(database, spec.id, number, "surrogate"):
        return
    _fit_surrogate(database, spec, number)


def round_surrogate(database: Database, spec: CampaignSpec, number: int) -> Surrogate:
    """The surrogate of a round, trained anew where its checkpoint is of an older Niobe.

    database: the campaign database. spec: the campaign. number: of the round.
    Raises ConfigError where ``surrogate.checkpoint`` names such a one: its table is not the campaign's.
    """
    from niobe.surrogates.models import load_surrogate

    try:
        return load_surrogate(newest_checkpoint(database, spec.id, number, "surrogate"))
    except OutdatedCheckpointError as error:
        if spec.surrogate.checkpoint is not None:
            raise ConfigError(f"surrogate.checkpoint: {error}") from None
    database.rounds.add_notes(
        spec.id, number, ["surrogate trained anew: its checkpoint was of an older Niobe"]
    )
    _fit_surrogate(database, spec, number)
    return load_surrogate(fetched_checkpoint(database, spec.id, number, "surrogate"))


def _fit_surrogate(database: Database, spec: CampaignSpec, number: int) -> None:
    from niobe.surrogates.models import make_surrogate

    records, foreign = _finished(database, spec), _foreign(database, spec)
    structures, targets = training_set(records, _references(database, spec))
    structures, targets = with_foreign_labels(structures, targets, foreign)
    seed = spec.derived_seed(number, "train_surrogate")
    chosen = spec.surrogate
    name: str = chosen.model
    if name == "auto":
        name, why = choose_model(chosen, structures, targets["formation_energy_per_atom"], seed=seed)
        database.rounds.add_notes(spec.id, number, [why])
    model = make_surrogate(name, members=chosen.members, epochs=chosen.epochs, options=chosen.options)
    model.fit(structures, targets, seed=seed)
    learned_from = [record.id for record in records] + [entry.id for entry, _ in foreign]
    keep_checkpoint(database, spec.id, number, "surrogate", model.save, learned_from)


def choose_model(
    choice: SurrogateChoice, structures: Sequence[Structure], labels: FloatArray, *, seed: int
) -> tuple[str, str]:
    """The model of lowest cross-validated error on rows with a label (eV/atom), and the reason in words.

    With too few rows to judge by it is the first of those considered.

    choice: what the campaign file says of the surrogate. structures: the crystals. labels: what each
    setting is called. seed: of everything drawn at random.
    """
    from niobe.surrogates.evaluation import AUTOMATIC, compared
    from niobe.surrogates.models import make_surrogate

    known = np.flatnonzero(~np.isnan(labels)).tolist()
    if len(known) < _MIN_JUDGED:
        return AUTOMATIC[0], f"surrogate {AUTOMATIC[0]}: {len(known)} labels are too few to choose by"
    makers = {
        name: partial(make_surrogate, name, members=choice.members, epochs=choice.epochs)
        for name in AUTOMATIC
    }
    rows = [structures[i] for i in known]
    scores = compared(makers, rows, "energy", labels[known], folds=_FOLDS, seed=seed)
    listed = ", ".join(f"{score.model} {score.mae:.3f}" for score in scores)
    return scores[0].model, f"surrogate {scores[0].model} of {listed} eV/atom (cross-validated)"


def train_gan(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Train the GAN on its corpus once, in round 0 or 1, then fine-tune it each round on relaxed records, the
    better weighted up.

    A corpus that is a folder holds a GAN trained before, which is where this one begins. Without any the
    corpus is pymatgen's AFLOW prototypes in the system's elements, without what ``seeds.exclude`` keeps out.
    With ``generation.finetune`` off it learns from the corpus only. Where no prototype suits the system there
    is nothing to learn from, and no GAN.

    database: the campaign database. spec: the campaign. round_record: the round.
    """
    if all(part.name != "gan" for part in spec.generation.mix):
        return
    from niobe.surrogates.gan import NothingToLearnError

    number = round_record.number
    before = fetched_checkpoint(database, spec.id, number - 1, "gan")
    if before.is_dir() and not spec.generation.finetune:
        pass_on(database, spec.id, number, "gan")
        return
    try:
        gan = _gan_of(before) if before.is_dir() else _gan_of_the_corpus(database, spec, number)
    except NothingToLearnError:
        if spec.corpus is not None:
            raise
        return
    records: list[StructureRecord] = []
    if spec.generation.finetune and number > 0:
        records = [record for record in _finished(database, spec) if record.verdict is not None]
        fine_tune(
            gan,
            records,
            seed=spec.derived_seed(number, "train_gan"),
            report=_reporter(database, spec, number, "on the campaign's records"),
        )
    database.rounds.update(spec.id, number, doing="")
    learned_from = _corpus_of(spec) + [record.id for record in records]
    keep_checkpoint(database, spec.id, number, "gan", gan.save, learned_from)


def _gan_of(folder: Path) -> CrystalGAN:
    from niobe.surrogates.gan import CrystalGAN

    return CrystalGAN.load(folder)


def _gan_of_the_corpus(database: Database, spec: CampaignSpec, number: int) -> CrystalGAN:
    if spec.corpus and Path(spec.corpus).is_dir():
        return _gan_of(Path(spec.corpus))
    return gan_trained_on(
        _corpus(spec),
        epochs=spec.generation.gan_epochs,
        seed=spec.derived_seed(max(number, 1), "train_gan/corpus"),
        report=_reporter(database, spec, number, "on the corpus"),
    )


def gan_trained_on(corpus: Sequence[Structure], *, epochs: int, seed: int, report: Report) -> CrystalGAN:
    """A new GAN that learned from a corpus, what lies near the hull weighted up.

    epochs: passes over the data. seed: of everything drawn at random. report: called with how far training
    is.
    Raises NothingToLearnError where the GAN can write none of the structures.
    """
    from niobe.surrogates.gan import CrystalGAN

    gan = CrystalGAN(epochs=epochs)
    gan.fit(corpus, corpus_weights(corpus), seed=seed, report=report)
    return gan


def fine_tune(gan: CrystalGAN, records: Sequence[StructureRecord], *, seed: int, report: Report) -> None:
    """Go on training on records with a verdict, as relaxed, the better ones weighted up.

    gan: the generator. seed: of everything drawn at random. report: called with how far training is.
    """
    structures = [relaxed_structure(record) for record in records]
    gan.fit(structures, gan_weights(records), seed=seed, stable=gan_targets(records), report=report)


def training_set(
    records: Sequence[StructureRecord], references: Mapping[str, float] | None
) -> tuple[list[Structure], dict[str, FloatArray]]:
    """Structures and labels, NaN where unknown; formation_energy_per_atom in eV/atom.

    With prerelax ``references`` each record teaches once, as the pre-relaxation potential relaxed it, and the
    energy label is what the oracle's difference to the cheap potential is beyond the mean correction.
    An element's is zero or nearly so by convention, and left out where compounds teach; so is a seed that the
    two relaxed into different crystals.
    Without, a validated record teaches twice with the same labels: as generated, which is what screening
    sees, and relaxed.
    """
    structures = [candidate_structure(record) for record in records]
    table = np.array([_labels(record) for record in records], dtype=float).reshape(-1, len(_TARGETS))
    if references is not None:
        table[:, 0] -= prerelaxed_formation_energies(records, references)
        table[:, 0] -= mean_corrections(records, records, references)
        table[[not of_one_crystal(record) for record in records], 0] = np.nan
        compounds = np.array([record.nelements > 1 for record in records], dtype=bool)
        if np.isfinite(table[compounds, 0]).any():
            table[~compounds, 0] = np.nan
    else:
        validated = [i for i, record in enumerate(records) if record.validation is not None]
        structures += [relaxed_structure(records[i]) for i in validated]
        table = np.concatenate([table, table[validated]])
    return structures, {name: table[:, i] for i, name in enumerate(_TARGETS)}


def with_foreign_labels(
    structures: list[Structure],
    targets: dict[str, FloatArray],
    foreign: Sequence[tuple[SourceEntry, float]],
) -> tuple[list[Structure], dict[str, FloatArray]]:
    """The training set and, after it, entries of open databases, labelled by formation energy only.

    structures: the crystals. targets: labels by name, shape (n,) each. foreign: sources' structures and
    labels.
    """
    energies = np.array([energy for _, energy in foreign])
    unknown = np.full(len(foreign), np.nan)
    return structures + [entry_structure(entry) for entry, _ in foreign], {
        name: np.concatenate([labels, energies if name == _TARGETS[0] else unknown])
        for name, labels in targets.items()
    }


def _foreign(database: Database, spec: CampaignSpec) -> list[tuple[SourceEntry, float]]:
    """Shifted labels of the campaign's sources; none with pre-relaxation, which has not answered for them."""
    if not spec.recompute.learn or spec.prerelax is not None or spec.conditions.pressure:
        return []
    shifted = shifted_labels(database.records.find(spec.id, round=0), source_entries(database, spec))
    excluded = SeenStructures(excluded_structures(spec)) if shifted else SeenStructures()
    return [(entry, energy) for entry, energy in shifted if not excluded.find(entry_structure(entry))]


def _references(database: Database, spec: CampaignSpec) -> dict[str, float] | None:
    """Elemental energies by the pre-relaxation potential, or None without one. Raises RuntimeError where an
    element has none."""
    if spec.prerelax is None:
        return None
    references = prerelaxed_references(database.records.find(spec.id, round=0, nelements=1))
    missing = sorted(set(spec.elements) - set(references))
    if missing:
        raise RuntimeError(
            f"pre-relaxation {spec.prerelax.potential}: no energy of elemental {', '.join(missing)}"
        )
    return references


_TARGETS = ("formation_energy_per_atom", "log_volume", "p_stable", "p_failure")


def _labels(record: StructureRecord) -> list[float]:
    nan = float("nan")
    if record.validation is None or record.verdict is None:
        return [nan, nan, nan, 1.0]
    return [
        record.verdict.formation_energy_per_atom,
        float(np.log(record.validation.volume_per_atom)),
        STABLE_AT_0_K.get(record.validation.phonon.outcome, nan),
        0.0,
    ]


def corpus_weights(corpus: Sequence[Structure]) -> FloatArray:
    """Weight 1 on the hull, falling by e for every 0.1 eV/atom above it; 1 where that is not known. (n,)."""
    above = np.array([float(structure.properties.get("e_above_hull", 0.0)) for structure in corpus])
    return np.maximum(np.exp(-np.nan_to_num(above) / _ENERGY_SCALE), _LEAST_WEIGHT)


def _reporter(database: Database, spec: CampaignSpec, number: int, what: str) -> Report:
    """Writes into the round how far training has come, once a second at most."""
    last = 0.0

    def report(done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last > 1.0:
            last = time.monotonic()
            database.rounds.update(spec.id, number, doing=f"{what}: {done} of {total} steps")

    return report


def gan_weights(records: Sequence[StructureRecord]) -> FloatArray:
    """Weight 1 on the hull, falling by e for every 0.1 eV/atom; unstable ones count half. Shape (n,)."""
    return np.array(
        [_closeness(record) * (0.5 if record.dynamically_unstable else 1.0) for record in records]
    )


def gan_targets(records: Sequence[StructureRecord]) -> NDArray[np.bool_]:
    """Which records show the GAN what stable is: near the hull, and phonons did not say otherwise. (n,)."""
    return np.array(
        [_closeness(record) >= _NEAR and not record.dynamically_unstable for record in records], bool
    )


def _closeness(record: StructureRecord) -> float:
    """1 on the newest hull, falling by e for every 0.1 eV/atom above it."""
    above = record.verdict.e_above_hull_now if record.verdict else 0.0
    return max(float(np.exp(-above / _ENERGY_SCALE)), _LEAST_WEIGHT)


def _finished(database: Database, spec: CampaignSpec) -> list[StructureRecord]:
    return finished_and_known(database, spec)


def _corpus(spec: CampaignSpec) -> list[Structure]:
    from niobe.loop.generators.prototypes import decorated_prototypes

    if spec.corpus is None:
        excluded = SeenStructures(excluded_structures(spec))
        found = decorated_prototypes(spec.elements, _CORPUS_ATOMS)
        return [structure for _, structure in found if not excluded.find(structure)]
    return corpus_without(Path(spec.corpus), spec.elements)


def _corpus_of(spec: CampaignSpec) -> list[str]:
    """What says which corpus it was: digests of its files, or the version of the prototypes' library."""
    if spec.corpus is None:
        return [f"prototypes of pymatgen {version('pymatgen')}"]
    return corpus_digests(Path(spec.corpus))


def corpus_digests(corpus: Path) -> list[str]:
    """SHA-256 of a corpus's file, or of each file of its folder."""
    return [file_digest(file) for file in [corpus, *corpus.rglob("*")] if file.is_file()]


def corpus_without(file: Path, elements: Sequence[str]) -> list[Structure]:
    """Structures of a corpus file, but for those of exactly these elements.

    Raises ConfigError where the file holds none, or no others.
    """
    from niobe.loop.readers.structure_files import read_some

    structures = [structure for _, structure in read_some(file, "corpus").structures]
    others = [s for s in structures if {e.symbol for e in s.composition} != set(elements)]
    if not others:
        system = "-".join(elements)
        raise ConfigError(
            f"corpus: {file}: holds structures of exactly {system} only; the GAN learns from others"
        )
    return others


def _take_over(database: Database, spec: CampaignSpec, number: int, folder: Path) -> None:
    """A surrogate trained before, without what an interrupted training would go on from."""
    copy = partial(shutil.copytree, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("training"))
    keep_checkpoint(database, spec.id, number, "surrogate", copy, corpus_digests(folder))
