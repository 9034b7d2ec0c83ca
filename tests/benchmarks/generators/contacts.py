"""``python -m tests.benchmarks.generators.contacts``: do samples of the GAN overlap, and how many are drawn a
second.

The GAN is the one that campaigns of two lines train, on AFLOW's prototypes in the elements of each system.
"""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import Any

import torch

from niobe.config.loading import campaign_of
from niobe.flows.steps.requests import sample_request
from niobe.flows.steps.train import _corpus, gan_trained_on
from niobe.surrogates.gan.closeness import closest_contacts
from niobe.surrogates.gan.representation import Crystal
from tests.benchmarks.publish import publish

SYSTEMS = ("Al-Ni", "Nb-O", "In-P")
SAMPLES, CLOSE = 600, 0.75


def main() -> None:
    """Train, draw, count, publish."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    started = time.monotonic()
    rows = [counted(system) for system in SYSTEMS]
    publish(
        "gan-contacts",
        page="generators",
        title="The GAN of campaigns of two lines: contacts and speed",
        command="python -m tests.benchmarks.generators.contacts",
        rows=rows,
        seconds=time.monotonic() - started,
        seeds=[1],
        headline="{0[contacts under 0.75, %]} % of samples have a contact under 0.75 of the sum of the radii "
        "(bar: 5 %); {0[a processor second]} to {1[a processor second]} samples a processor second "
        "(bar: 1,000)",
        notes=["contacts over the sum of two atomic radii; cells below 0.75 are widened as they are drawn"],
        order=33,
    )


def counted(system: str) -> dict[str, Any]:
    """Contacts and speed of one system's samples. system: symbols joined by hyphens."""
    content = {"id": "gan", "elements": system.split("-"), "sources": []}
    spec = campaign_of(content, system, Path())
    seed = spec.derived_seed(1, "train_gan/corpus")
    epochs = spec.generation.gan_epochs
    gan = gan_trained_on(_corpus(spec), epochs=epochs, seed=seed, report=lambda *_: None)
    request = sample_request(spec)
    gan.sample(request, 1, seed=0)  # tables of space groups are built once a process
    began = time.process_time()
    batch = gan.sample(request, SAMPLES, seed=1)
    took = time.process_time() - began
    contacts = [closest_contacts([Crystal.of(sample.structure)])[0] for sample in batch.samples]
    return {
        "system": system,
        "samples": len(contacts),
        "contacts under 0.75, %": 100 * sum(contact < CLOSE for contact in contacts) / len(contacts),
        "least": float(min(contacts)),
        "rejected for overlap": batch.rejected.get("overlap", 0),
        "a processor second": round(len(contacts) / took),
    }


if __name__ == "__main__":
    main()
