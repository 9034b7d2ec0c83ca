"""Candidate steps: draw structures from the campaign's generators, set aside what is invalid or known."""

from __future__ import annotations

from collections.abc import Sequence

from config.spec import CampaignSpec
from flows.steps import checkpoint_folder
from loop.database import Database
from loop.records import Lineage, Stability, Status, StructureRecord
from loop.rounds import RoundRecord
from loop.screening import why_invalid
from loop.seeds import excluded_structures, new_record
from loop.similarity import SeenStructures
from loop.structures import candidate_structure, generated_structure, relaxed_structure
from surrogates.protocols import Generator, SampleBatch, SampleRequest


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
    generator = _generator(database, spec, number, name)
    return generator.sample(sample_request(spec), count, seed=spec.derived_seed(number, f"generate/{name}"))


def sample_request(spec: CampaignSpec) -> SampleRequest:
    """The campaign's elements and limits, as generators and screening understand them."""
    return SampleRequest(
        elements=spec.elements,
        max_atoms=spec.limits.max_atoms,
        min_atoms=spec.limits.min_atoms,
        all_elements=spec.limits.all_elements,
        fractions=spec.limits.fractions,
    )


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
    """Mark invalid and duplicate candidates, before anything is spent on them."""
    number = round_record.number
    records = database.records(spec.id)
    excluded = SeenStructures(excluded_structures(spec))
    seen = _seen_before(records, number)
    for record in (r for r in records if r.round == number):
        fields = _screen_one(spec, record, seen, excluded)
        database.update_record(record.id, **fields)


def _seen_before(records: Sequence[StructureRecord], number: int) -> SeenStructures:
    """What earlier rounds hold: as generated, relaxed by the prior and relaxed by the oracle."""
    seen = SeenStructures()
    for record in records:
        if record.round < number and record.status not in {Status.INVALID, Status.DUPLICATE}:
            seen.add(record.id, generated_structure(record))
            if record.prior is not None:
                seen.add(record.id, candidate_structure(record))
            if record.validation is not None:
                seen.add(record.id, relaxed_structure(record))
    return seen


def _screen_one(
    spec: CampaignSpec, record: StructureRecord, seen: SeenStructures, excluded: SeenStructures
) -> dict[str, object]:
    structure = generated_structure(record)
    reason = why_invalid(structure, sample_request(spec))
    if not reason and record.lineage.generator == "prototype" and excluded.find(structure):
        reason = "excluded"
    if reason:
        return {"status": Status.INVALID, "reason": reason}
    twin = seen.find(structure)
    if twin is not None:
        return {"status": Status.DUPLICATE, "reason": "duplicate", "duplicate_of": twin}
    seen.add(record.id, structure)
    return {"status": Status.SCREENED}


def merge_twins(database: Database, spec: CampaignSpec, number: int) -> None:
    """Mark candidates of the round that the prior relaxed into a structure that is already there."""
    records = database.records(spec.id)
    seen = _seen_before(records, number)
    for record in records:
        if record.round != number or record.status is not Status.SCREENED or record.prior is None:
            continue
        structure = candidate_structure(record)
        twin = seen.find(structure)
        if twin is None:
            seen.add(record.id, structure)
        else:
            fields = {"status": Status.DUPLICATE, "reason": "duplicate after the prior", "duplicate_of": twin}
            database.update_record(record.id, **fields)
