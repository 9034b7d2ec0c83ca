"""The command that trains a GAN once, for many campaigns."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from niobe.config.errors import ConfigError
from niobe.launchers.terminal import console

app = typer.Typer()


@app.command("train-gan")
def train_gan(
    file: Annotated[Path, typer.Argument(help="File of structures, as for `corpus` in a campaign.")],
    to: Annotated[Path, typer.Argument(help="Folder of the trained GAN; a campaign names it as `corpus`.")],
    without: Annotated[
        str, typer.Option(help="Leave out what is of exactly these elements, as in Nb-O: a fair test.")
    ] = "",
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the corpus.")] = 20,
    seed: Annotated[int, typer.Option(min=0, help="Of weights and batches.")] = 0,
) -> None:
    """Train the GAN on a corpus; campaigns that name its folder as their corpus begin with it."""
    from rich.progress import Progress

    from niobe.flows.steps.checkpoints import write_checkpoint
    from niobe.flows.steps.train import corpus_digests, corpus_without, gan_trained_on

    if to.exists() and (not to.is_dir() or any(to.iterdir())):
        raise ConfigError(f"{to}: is there already; allowed: a new or an empty folder")
    structures = corpus_without(file, _elements(without))
    with Progress(console=console()) as progress:
        task = progress.add_task(f"training on what can be written of {len(structures)} structures")
        try:
            gan = gan_trained_on(
                structures,
                epochs=epochs,
                seed=seed,
                report=lambda done, total: progress.update(task, completed=done, total=total),
            )
        except ValueError as error:
            raise ConfigError(f"{file}: {error}") from None
    write_checkpoint(to, gan.save, corpus_digests(file))
    told = f"trained on {gan.learned_from} of {len(structures)} structures; the others it cannot write: {to}"
    console().print(told, soft_wrap=True)


def _elements(without: str) -> list[str]:
    from niobe.config.elements import ELEMENTS

    symbols = without.split("-") if without else []
    unknown = [symbol for symbol in symbols if symbol not in ELEMENTS]
    if unknown:
        raise ConfigError(f"--without: unknown element {unknown[0]!r}; allowed: symbols H to Pu, as in Nb-O")
    return symbols
