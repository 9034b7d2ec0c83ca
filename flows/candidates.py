"""Candidate steps: generate, screen and acquire."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from config.spec import CampaignSpec
from flows.steps import checkpoint_folder
from loop.acquisition import Pool, choose_batch
from loop.closing import relaxed_structure
from loop.database import Database
from loop.hull import formation_hull
from loop.policy import validations_left
from loop.records import Choice, Lineage, PredictedValue, Stability, Status, StructureRecord
from loop.rounds import RoundRecord
from loop.screening import why_invalid
from loop.seeds import excluded_structures, new_record
from loop.similarity import SeenStructures
from surrogates.protocols import Generator, Prediction, SampleBatch, SampleRequest

if TYPE_CHECKING:
    from pymatgen.core import Structure


def generate(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Draw candidates from every generator of the mix and store them as records."""
    number, index = round_record.number, 0
    rejected: dict[str, int] = {}
    for name, count in shares(spec).items():
        batch = _sample(database, spec, number, name, count)
        rejected |= {f"{name}: {reason}": lost for reason, lost in batch.rejected.items()}
        records = []
        for sample in batch.samples:
            origin = dict(sample.origin)
            parents = [str(origin.pop("parent"))] if "parent" in origin else []
            lineage = Lineage(
                generator=name,
                checkpoint=_checkpoint_name(spec, number, name),
                parents=parents,
                origin=origin,
            )
            records.append(new_record(spec, number, index, sample.structure, lineage))
            index += 1
        database.insert(records)
    database.update_round(spec.id, number, metrics__rejected_by_generator=rejected)


def shares(spec: CampaignSpec) -> dict[str, int]:
    """Candidates per generator: shares of the total by largest remainder."""
    total = sum(part.share for part in spec.generation.mix)
    exact = {part.name: spec.generation.candidates * part.share / total for part in spec.generation.mix}
    counts: dict[str, int] = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(exact, key=lambda name: (counts[name] - exact[name], name))
    for name in by_remainder[: spec.generation.candidates - sum(counts.values())]:
        counts[name] += 1
    return counts


def _sample(database: Database, spec: CampaignSpec, number: int, name: str, count: int) -> SampleBatch:
    if count == 0:
        return SampleBatch((), {})
    request = SampleRequest(
        elements=spec.elements,
        max_atoms=spec.limits.max_atoms,
        min_atoms=spec.limits.min_atoms,
        all_elements=spec.limits.all_elements,
    )
    generator = _generator(database, spec, number, name)
    return generator.sample(request, count, seed=spec.derived_seed(number, f"generate/{name}"))


def _generator(database: Database, spec: CampaignSpec, number: int, name: str) -> Generator:
    if name == "gan":
        from surrogates.gan import CrystalGAN

        return CrystalGAN.load(checkpoint_folder(spec, number, "gan"))
    from loop import generators

    if name == "random":
        return generators.RandomSymmetric()
    if name == "prototype":
        return generators.PrototypeSubstitution()
    return generators.SoftModes(_soft_parents(database, spec))


def _soft_parents(database: Database, spec: CampaignSpec) -> list:  # type: ignore[type-arg]
    from loop.generators import SoftParent

    records = database.records(spec.id, status=Status.VALIDATED.value)
    used = {parent for record in database.records(spec.id) for parent in record.lineage.parents}
    unstable = [
        record
        for record in records
        if record.validation
        and record.validation.phonon.outcome is Stability.UNSTABLE
        and record.id not in used
    ]
    parents = []
    for record in sorted(unstable, key=lambda r: (r.verdict.e_above_hull_now if r.verdict else 9.0, r.id)):
        phonons = database.phonons(record.id)
        if phonons is not None and phonons.modes:
            parents.append(SoftParent(record.id, relaxed_structure(record), tuple(phonons.modes)))
    return parents


def _checkpoint_name(spec: CampaignSpec, number: int, name: str) -> str | None:
    return f"{spec.id}/round-{number}/gan" if name == "gan" else None


def screen(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Mark invalid and duplicate candidates, then predict the whole pool with the round's surrogate."""
    number = round_record.number
    records = database.records(spec.id)
    excluded = SeenStructures(excluded_structures(spec))
    seen = SeenStructures()
    for record in records:
        if record.round < number and record.status not in {Status.INVALID, Status.DUPLICATE}:
            seen.add(record.id, _as_generated(record))
            if record.validation is not None:
                seen.add(record.id, relaxed_structure(record))
    for record in (r for r in records if r.round == number):
        fields = _screen_one(spec, record, seen, excluded)
        database.update_record(record.id, **fields)
    predict_pool(database, spec, number)


def _screen_one(
    spec: CampaignSpec, record: StructureRecord, seen: SeenStructures, excluded: SeenStructures
) -> dict[str, object]:
    structure = _as_generated(record)
    reason = why_invalid(structure, spec.elements, spec.limits)
    if not reason and record.lineage.generator == "prototype" and excluded.find(structure):
        reason = "excluded"
    if reason:
        return {"status": Status.INVALID, "reason": reason}
    twin = seen.find(structure)
    if twin is not None:
        return {"status": Status.DUPLICATE, "reason": "duplicate", "duplicate_of": twin}
    seen.add(record.id, structure)
    return {"status": Status.SCREENED}


def _as_generated(record: StructureRecord) -> Structure:
    from pymatgen.core import Structure

    return Structure.from_dict(record.structure)


def predict_pool(database: Database, spec: CampaignSpec, number: int) -> None:
    """Store predictions of the round's surrogate for every candidate that may be acquired."""
    pool = database.pool(spec.id)
    if not pool:
        return
    predictions = _predict(database, spec, number, pool)
    for row, record in enumerate(pool):
        values = {name: _value(prediction, row) for name, prediction in predictions.items()}
        database.update_record(
            record.id,
            prediction={name: value.model_dump() for name, value in values.items()},
            prediction_round=number,
        )


def _predict(
    database: Database, spec: CampaignSpec, number: int, pool: Sequence[StructureRecord]
) -> dict[str, Prediction]:
    from surrogates.models import load_surrogate

    model = load_surrogate(checkpoint_folder(spec, number, "surrogate"))
    predictions = model.predict([_as_generated(record) for record in pool])
    formation = predictions.get("formation_energy_per_atom")
    hulls = database.hulls(spec.id)
    if formation is None or not hulls:
        return predictions
    at_hull = np.array(formation_hull(hulls[-1], [record.formula for record in pool]))
    above = Prediction(formation.mean - at_hull, formation.std, formation.in_domain)
    return predictions | {"e_above_hull": above}


def _value(prediction: Prediction, row: int) -> PredictedValue:
    if not prediction.in_domain[row]:
        return PredictedValue(mean=None, std=None, in_domain=False)
    return PredictedValue(mean=float(prediction.mean[row]), std=float(prediction.std[row]), in_domain=True)


def acquire(database: Database, spec: CampaignSpec, round_record: RoundRecord) -> None:
    """Choose the round's batch: pinned candidates first, then acquisition with its control share."""
    number = round_record.number
    batch, choices, notes = _choose(database, spec, number)
    digest = hashlib.sha256("\n".join(batch).encode()).hexdigest()[:12]
    database.update_round(spec.id, number, batch=batch, batch_digest=digest, notes=notes)
    for identifier in batch:
        database.update_record(
            identifier, status=Status.ACQUIRED, acquired_round=number, choice=choices[identifier]
        )


def _choose(
    database: Database, spec: CampaignSpec, number: int
) -> tuple[list[str], dict[str, Choice], list[str]]:
    campaign = database.campaign(spec.id)
    pool = database.pool(spec.id)
    if campaign is None or not pool:
        return [], {}, ["no candidate was left after screening"]
    size = min(spec.acquisition.batch, validations_left(spec, campaign, spent(database, spec)))
    pinned = [record for record in pool if record.pinned][:size]
    choices = {r.id: Choice(function="pinned", arm="pinned", rank=rank) for rank, r in enumerate(pinned)}
    rest = [record for record in pool if record.id not in choices]
    notes: list[str] = []
    if rest and size > len(pinned):
        chosen = choose_batch(
            spec.acquisition.function,
            _pool(database, spec, number, rest),
            batch=size - len(pinned),
            control_share=spec.acquisition.control_share,
            pending=None,
            best=0.0,
            seed=spec.derived_seed(number, "acquire"),
        )
        for pick in chosen.picks:
            choices[pick.id] = Choice(
                function=spec.acquisition.function, arm=pick.arm, rank=len(choices), score=pick.score
            )
        notes += [f"{chosen.excluded} candidates without a prediction"] if chosen.excluded else []
        notes += ["cold start: no prediction to rank by"] if chosen.cold_start else []
    return list(choices), choices, notes


def _pool(database: Database, spec: CampaignSpec, number: int, records: Sequence[StructureRecord]) -> Pool:
    from surrogates.models import load_surrogate

    model = load_surrogate(checkpoint_folder(spec, number, "surrogate"))
    return Pool(
        ids=tuple(record.id for record in records),
        features=model.features([_as_generated(record) for record in records]),
        e_above_hull=_stored("e_above_hull", records),
        p_stable=_stored("p_stable", records) if "p_stable" in records[0].prediction else None,
        p_failure=_stored("p_failure", records) if "p_failure" in records[0].prediction else None,
    )


def _stored(target: str, records: Sequence[StructureRecord]) -> Prediction:
    values = [
        record.prediction.get(target) or PredictedValue(mean=None, std=None, in_domain=False)
        for record in records
    ]
    return Prediction(
        mean=np.array([np.nan if value.mean is None else value.mean for value in values]),
        std=np.array([np.nan if value.std is None else value.std for value in values]),
        in_domain=np.array([value.in_domain for value in values]),
    )


def spent(database: Database, spec: CampaignSpec) -> int:
    """Validations the campaign has asked for so far, seeds not counted."""
    return sum(len(record.batch) for record in database.rounds(spec.id) if record.number > 0)
