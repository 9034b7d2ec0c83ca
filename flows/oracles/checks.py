"""What a campaign file names is looked at before anything is spent on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from niobe.config.errors import ConfigError
from niobe.config.spec import CampaignSpec, SurrogateChoice
from niobe.flows.oracles.registry import check_pressure


def check_inputs(spec: CampaignSpec) -> int:
    """How many structures ``seeds.files`` hold. Raises ConfigError for what could not be used.

    That is a seed file, an excluded file or a corpus without a readable structure, a label that is none, a
    folder without a GAN that this Niobe reads, a goal whose property is not there, a surrogate without the
    options that are named or without a package that it needs, and an oracle that cannot relax under
    ``conditions.pressure``.
    """
    from niobe.flows.goals.resolving import check_goals
    from niobe.loop.campaign.seeds import excluded_structures
    from niobe.loop.readers.structure_files import read_some

    check_goals(spec)
    check_pressure(spec)
    if spec.surrogate.checkpoint is None:
        _check_surrogate(spec.surrogate)
    else:
        _check_checkpoint(Path(spec.surrogate.checkpoint), spec.elements)
    excluded_structures(spec)
    if any(part.name == "gan" for part in spec.generation.mix) and spec.corpus:
        _read_corpus(spec, Path(spec.corpus))
    return sum(len(read_some(Path(file), "seeds.files").structures) for file in spec.seeds.files)


def _check_surrogate(choice: SurrogateChoice) -> None:
    from niobe.surrogates.evaluation import AUTOMATIC
    from niobe.surrogates.models import check_surrogate, make_surrogate

    for name in AUTOMATIC if choice.model == "auto" else (choice.model,):
        check_surrogate(name)
    if choice.model == "auto":
        return
    try:
        make_surrogate(choice.model, members=choice.members, epochs=choice.epochs, options=choice.options)
    except ValueError as error:
        raise ConfigError(f"surrogate.options: {error}") from None


def _check_checkpoint(folder: Path, elements: Sequence[str]) -> None:
    from niobe.surrogates.models import elements_of_checkpoint, load_surrogate

    try:
        load_surrogate(folder)
    except ValueError as error:
        raise ConfigError(f"surrogate.checkpoint: {error}") from None
    unseen = sorted(set(elements) - elements_of_checkpoint(folder, elements))
    if unseen:
        raise ConfigError(f"surrogate.checkpoint: {folder}: was trained on no crystal with {unseen[0]}")


def _read_corpus(spec: CampaignSpec, path: Path) -> None:
    from niobe.flows.steps.train import corpus_without
    from niobe.surrogates.gan import CrystalGAN

    if not path.is_dir():
        corpus_without(path, spec.elements)
        return
    try:
        CrystalGAN.load(path)
    except ValueError as error:
        raise ConfigError(f"corpus: {error}") from None
