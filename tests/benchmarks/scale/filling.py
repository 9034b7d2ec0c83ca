"""A database as a long campaign leaves it: validated records and candidates that were never chosen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from niobe.config.spec import CampaignSpec
from niobe.launchers.pages.hull_plots import MOST_FRAMES
from niobe.loop.stability.hull import build_hull
from niobe.loop.store.database import Database

if TYPE_CHECKING:
    from pymatgen.core import Structure

    from niobe.loop.documents.records import StructureRecord

_AT_ONCE, _DRAWN = 1000, 60
_FATES = ("screened",) * 6 + ("duplicate",) * 2 + ("invalid",) * 2


def fill(database: Database, spec: CampaignSpec, validated: int, candidates: int) -> int:
    """Store the records and closed rounds of a campaign whose seeds are validated; the last round's number.

    The newest rounds have hulls, as many as pages draw, that hold as much as a hull keeps.

    database: the campaign database. spec: the campaign. validated, candidates: how many of each.
    """
    size = spec.acquisition.batch
    rounds = validated // size
    batch: list[dict[str, Any]] = []
    for document in documents(spec, validated, candidates, rounds):
        batch.append(document)
        if len(batch) == _AT_ONCE:
            database.mongo["structures"].insert_many(batch)
            batch = []
    if batch:
        database.mongo["structures"].insert_many(batch)
    done = dict.fromkeys(("generate", "screen", "predict", "acquire", "close"), 1.0)
    for number in range(1, rounds + 1):
        database.rounds.open(spec.id, number)
        ids = [f"{number:08x}{index:08x}" for index in range(size)]
        database.rounds.update(spec.id, number, state="closed", batch=ids, steps=done)
    newest = build_hull(spec.id, rounds, spec.elements, database.records.light(spec.id, status="validated"))
    for number in range(max(1, rounds - MOST_FRAMES), rounds + 1):
        database.hulls.store(newest.model_copy(update={"round": number}))
    return rounds


def documents(spec: CampaignSpec, validated: int, candidates: int, rounds: int) -> Iterator[dict[str, Any]]:
    """Strained and shaken copies of drawn crystals, the first of each round validated."""
    from niobe.loop.store.mapping import body, derived, unshaped

    rng = np.random.default_rng(0)
    drawn = _records(spec)
    each = (validated + candidates) // rounds
    for number in range(1, rounds + 1):
        for index in range(each):
            record = drawn[int(rng.integers(len(drawn)))]
            content = shaken(record, rng)
            stored = body(record) | derived(record) | {"round": number, "index": index}
            stored |= {"_id": f"{number:08x}{index:08x}", "structure": content}
            stored["fingerprint"] = f"{number:032x}{index:032x}"
            if index < spec.acquisition.batch:
                stored |= _validated(stored, content, float(rng.random()))
            else:
                stored["status"] = _FATES[int(rng.integers(len(_FATES)))]
            stored |= unshaped(stored["status"])
            stored["facets"]["id"] = stored["_id"]
            yield stored


def _records(spec: CampaignSpec) -> list[StructureRecord]:
    from niobe.flows.steps.requests import sample_request
    from niobe.loop.campaign.seeds import new_record
    from niobe.loop.documents.records import Lineage
    from niobe.loop.generators.random_symmetric import RandomSymmetric

    found = RandomSymmetric().sample(sample_request(spec), _DRAWN, seed=1).samples
    return [
        new_record(spec, 1, index, sample.structure, Lineage(generator="random"))
        for index, sample in enumerate(found)
    ]


def shaken(record: StructureRecord, rng: np.random.Generator) -> dict[str, Any]:
    """A record's crystal, its edges strained by some 12 % and its atoms shaken by 2 % of them."""
    from niobe.loop.documents.structures import generated_structure

    structure: Structure = generated_structure(record)
    strain = np.diag(np.exp(rng.normal(0, 0.12, 3)))
    points = structure.frac_coords + rng.normal(0, 0.02, (len(structure), 3))
    return dict(type(structure)(structure.lattice.matrix @ strain, structure.species, points).as_dict())


def _validated(stored: dict[str, Any], content: dict[str, Any], share: float) -> dict[str, Any]:
    """What the stand-in would have answered, a little spread."""
    amounts: Sequence[float] = stored["facets"]["elements_ratios"]
    energy = -2.5 + 0.1 * min(amounts) + 0.3 * share if len(amounts) > 1 else -3.0 + 0.3 * share
    above = energy + 3.0
    verdict = {
        "formation_energy_per_atom": above,
        "e_above_hull_found": above,
        "e_above_hull_now": above,
        "hull_round": stored["round"],
    }
    validation = {
        "oracle": "stand-in",
        "structure": content,
        "spacegroup": stored["spacegroup"],
        "energy_per_atom": energy,
        "volume_per_atom": content["lattice"]["volume"] / len(content["sites"]),
        "max_force": 0.0,
        "steps": 1,
        "seconds": {"relax": 0.01, "static": 0.0},
        "phonon": {"outcome": "undecided", "tolerance": 0.1, "reason": "phonons are off"},
    }
    choice = {"function": "greedy", "selection": "acquired", "rank": stored["index"], "score": 0.0}
    number = stored["round"]
    told = {"mean": above, "std": 0.1, "in_domain": True}
    return {
        "status": "validated",
        "validation": validation,
        "verdict": verdict,
        "acquired_round": number,
        "choice": choice,
        "prediction": {"formation_energy_per_atom": told, "e_above_hull": told},
    }
