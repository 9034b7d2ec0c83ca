"""Rows of what the command line prints, as plain dictionaries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from niobe.config.oracles.cards import card_of
from niobe.config.oracles.spec import Oracle
from niobe.config.spec import CampaignSpec
from niobe.launchers.output import goals
from niobe.launchers.output.summary import dft_columns, thermal_columns
from niobe.loop.crystals.similarity import spacegroup_name
from niobe.loop.documents.claims import Agreement, Attempt, Opinion
from niobe.loop.documents.records import Status, StructureRecord, Validation, Verdict
from niobe.loop.documents.rounds import CampaignRecord, HullRecord, RoundRecord
from niobe.loop.documents.tiers import by_dft, novelty_text, phase_by, tier_text
from niobe.loop.store.database import Database

Row = dict[str, Any]


def status_row(database: Database, campaign: CampaignRecord) -> Row:
    """One campaign."""
    rounds, elements = database.rounds.find(campaign.id), campaign.spec.get("elements")
    return {
        "campaign": campaign.id,
        "system": "-".join(map(str, elements)) if isinstance(elements, list) else "",
        "state": campaign.state,
        "round": rounds[-1].number if rounds else None,
        "records": database.records.count(campaign.id),
        "validated": database.records.count(campaign.id, status=Status.VALIDATED.value),
        "failed": database.records.count(campaign.id, status=Status.FAILED.value),
        "discoveries": database.records.count(campaign.id, verdict__discovery=True),
        "reason": campaign.reason,
    }


def oracle_card(oracle: Oracle) -> Row:
    """What is known of a campaign's oracle: a potential by path is named by that."""
    card = card_of(oracle.name)
    return {
        "oracle": oracle.calculator or oracle.name,
        "functional": card.functional,
        "trained on": card.training,
        "known weakness": card.weakness,
    }


def round_row(record: RoundRecord) -> Row:
    """One round: counts, rates, errors, failures by cause and the digest of its batch."""
    m = record.metrics
    return {
        "round": record.number,
        "state": record.state,
        "closed at": record.closed_at or None,
        "batch": record.batch_digest,
        "generated": m.generated,
        "duplicates": m.duplicates,
        "invalid": m.invalid,
        "validated": m.validated,
        "failed": m.failed,
        "stable": m.stable,
        "metastable": m.metastable,
        "dynamically stable": m.dynamically_stable,
        "discoveries": m.discoveries,
        "displaced": m.displaced,
        "challenged": m.challenged,
        "survived": m.survived,
        "other oracles": {a.oracle: agreement_text(a) for a in m.agreements},
        "expected finds": record.expected_finds,
        "hit rate": m.hit_rate,
        "control": m.control_hit_rate,
        "MAE eV/atom": m.mae,
        "coverage": m.coverage,
        "miscalibration": m.miscalibration,
        "failures": m.failures_by_cause,
        "out of range so far": m.out_of_range,
        "hypervolume so far": m.hypervolume,
        "hypervolume in": goals.volume_unit(m) or None,
        "hypervolume beyond": goals.reference_text(m) or None,
        "seconds": round(sum(m.seconds.values()), 1),
        "challenge seconds so far": round(m.challenge_seconds, 1),
        "confirm seconds so far": round(m.confirm_seconds, 1),
        "notes": record.notes,
    }


def record_row(record: StructureRecord, properties: Mapping[str, str] | None = None) -> Row:
    """One validated structure: eV/atom, THz, GPa, K; by what oracle, and the forces at a temperature by what.

    properties: units of those that have columns, by name.
    """
    validation, verdict = record.validation, record.verdict
    return {
        "id": record.id,
        "formula": record.formula,
        "tier": tier_text(record),
        "novelty": novelty_text(record),
        "group": record.space_group,
        "atoms": record.n_atoms,
        "e_above_hull": verdict.e_above_hull_now if verdict else None,
        "hull": verdict.phase if verdict else None,
        "e_form": verdict.formation_energy_per_atom if verdict else None,
        "THz": validation.phonon.lowest_frequency if validation else None,
        "dynamics": validation.phonon.outcome.value if validation else None,
        "oracle": validation.oracle if validation else None,
        "pressure": validation.pressure if validation else None,
        **dft_columns(record),
        **thermal_columns(verdict),
        **goals.cells(record, properties or {}),
        "from": record.lineage.generator,
        "round": record.round,
    }


def brief_rows(records: Sequence[StructureRecord], properties: Mapping[str, str]) -> list[Row]:
    """The same for a terminal, where so many columns have no room; with what DFT says where it was asked, and
    the Gibbs energy above products of a campaign at a temperature."""
    hot = [r.verdict.thermal for r in records if r.verdict and r.verdict.thermal]
    rows = [_brief_row(record, properties) for record in records]
    asked = [by_dft(record) for record in records]
    for row, opinion in zip(rows, asked, strict=True) if any(asked) else ():
        row["above DFT's own hull (eV/atom)"] = opinion.e_above_hull if opinion else None
    for row, record in zip(rows, records, strict=True) if hot else ():
        own = record.verdict.thermal if record.verdict else None
        row[f"G above products at {hot[0].temperature:g} K (eV/atom)"] = own.above if own else None
    return rows


def _brief_row(record: StructureRecord, properties: Mapping[str, str]) -> Row:
    verdict, validation = record.verdict, record.validation
    novelty = verdict.novelty if verdict else None
    return {
        "id": record.id,
        "formula": record.formula,
        "tier": tier_text(record),
        "novelty": novelty.brief if novelty else None,
        "group": record.space_group,
        "above hull (eV/atom)": verdict.e_above_hull_now if verdict else None,
        "lowest (THz)": validation.phonon.lowest_frequency if validation else None,
        **goals.cells(record, properties or {}),
        "round": record.round,
    }


def finds_title(records: Sequence[StructureRecord]) -> str:
    """Whose energies a table of records of one campaign holds, and whose forces at a temperature."""
    oracle = next((record.validation.oracle for record in records if record.validation), None)
    hot = [r.verdict.thermal for r in records if r.verdict and r.verdict.thermal]
    forces = next((f"; {t.temperature:g} K: harmonic, forces by {t.oracle}" for t in hot if t.oracle), "")
    return f"Energies by {oracle}{forces}" if oracle else "Finds"


def rediscovery_rows(spec: CampaignSpec, records: Sequence[StructureRecord]) -> list[Row]:
    """What was kept out of the seeds, and how many oracle calls it took to find it again."""
    from niobe.loop.campaign.rediscovery import rediscoveries

    return [
        {
            "kept out": found.formula,
            "group": spacegroup_name(found.spacegroup),
            "prototype or file": found.label,
            "oracle calls": "not found" if found.oracle_calls is None else found.oracle_calls,
            "round": found.round,
            "id": found.record_id,
        }
        for found in rediscoveries(spec, records)
    ]


def descent(child: StructureRecord) -> str:
    """How a structure came from its parents, in words."""
    ways = {
        "slip": "a slab of it moved",
        "heredity": "a slab of it handed down",
        "permutation": "sites of two elements exchanged",
        "strain": "its cell deformed",
    }
    return ways.get(str(child.lineage.origin.get("way")), "soft mode followed")


def lineage_rows(find: Callable[[str], StructureRecord], record: StructureRecord) -> list[Row]:
    """From generator checkpoint to verdict, one row a step; ``find`` gives a record by its id."""
    rows = [_row("generated", f"round {record.round} by {record.lineage.generator}", _origin(record))]
    for parent in record.lineage.parents:
        rows.append(_row("parent", f"{find(parent).formula} {parent}", descent(record)))
    rows.append(_row("status", record.status.value, record.reason or record.note))
    for target, value in record.prediction.items():
        shown = "abstained" if value.mean is None else f"{value.mean:.3f} ± {value.std:.3f}"
        rows.append(_row("prediction", target, f"{shown} (round {record.prediction_round})"))
    if record.choice is not None:
        score = "" if record.choice.score is None else f", score {record.choice.score:.4g}"
        rows.append(
            _row(
                "acquisition",
                record.choice.function,
                f"{record.choice.selection}, rank {record.choice.rank}{score}",
            )
        )
    return rows + _outcome_rows(record)


def _origin(record: StructureRecord) -> str:
    origin = ", ".join(f"{key} {value}" for key, value in record.lineage.origin.items())
    return ", ".join(part for part in (record.lineage.checkpoint, origin) if part)


def _outcome_rows(record: StructureRecord) -> list[Row]:
    rows = []
    if record.failure is not None:
        rows.append(
            _row("failure", record.failure.cause, f"{record.failure.exception}: {record.failure.message}")
        )
    if record.validation is not None:
        validation, phonon = record.validation, record.validation.phonon
        seconds = ", ".join(f"{step} {value:.1f} s" for step, value in validation.seconds.items())
        rows.append(_row("validation", validation.oracle, f"{_energy(validation)}; {seconds}"))
        rows.append(_row("symmetry", record.space_group, _symmetry_found(validation)))
        rows.append(_row("phonons", phonon.outcome.value, phonon.said or phonon.reason))
    rows += [_row(f"goal: {name}", value, said) for name, value, said in goals.rows(record)]
    if record.verdict is not None:
        verdict = record.verdict
        error = "" if verdict.error is None else f" ± {verdict.error:.3f}"
        now = f"{verdict.e_above_hull_now:.3f}{error} eV/atom now {verdict.phase}".rstrip()
        shown = f"{verdict.e_above_hull_found:.3f} when found, {now}"
        rows.append(_row("verdict", _verdict_word(verdict), shown))
        rows += _novelty_rows(record)
        rows += [
            _row(
                "competes with", f"{p.share:.2f} {p.formula} {p.record_id}", f"{p.asked} of {p.formula} asked"
            )
            for p in verdict.products
        ]
        rows += thermal_rows(verdict)
    return rows + challenge_rows(record) + [_opinion_row(opinion) for opinion in record.opinions]


def _energy(validation: Validation) -> str:
    """Such as ``-8.1234 eV/atom``, and under what pressure it is an enthalpy."""
    under = f" (enthalpy at {validation.pressure:g} GPa)" if validation.pressure else ""
    return f"{validation.energy_per_atom:.4f} eV/atom{under}"


def thermal_rows(verdict: Verdict) -> list[Row]:
    """What a find is at the campaign's temperature, and which phases took no part in that."""
    found = verdict.thermal
    if found is None:
        return []
    at = f"at {found.temperature:g} K"
    said = found.reason
    if found.above is not None:
        mixture = " + ".join(f"{share:.2f} {formula}" for formula, share in found.products.items())
        forces = f", forces by {found.oracle}" if found.oracle else ""
        said = f"{found.above:+.3f} eV/atom above {mixture}, by harmonic free energies{forces}"
    vibration = "" if found.free_energy is None else f"F_vib {found.free_energy:+.4f} eV/atom"
    return [_row(at, vibration, said), *(_row(f"{at}: missing", phase, "") for phase in found.missing)]


def challenge_rows(record: StructureRecord) -> list[Row]:
    """What a find was challenged with, and what became of it."""
    if record.challenge is None:
        return []
    challenge = record.challenge
    said = "survived" if challenge.survived else "fell"
    found = f"{challenge.reason} {' '.join(challenge.by)}".strip()
    return [
        _row("challenge", said, f"{found or 'no lower minimum was found'}; {challenge.seconds:.1f} s"),
        *(
            _row(f"challenge: {attempt.attack.replace('_', ' ')}", f"{attempt.tried} tried", _lowest(attempt))
            for attempt in challenge.attempts
        ),
    ]


def _lowest(attempt: Attempt) -> str:
    if attempt.lowest is None:
        return "none that the pre-relaxation potential holds to be lower was answered for"
    than = "what it would fall into" if attempt.attack == "products" else "the find"
    return f"{attempt.asked} asked, the lowest {attempt.lowest:+.3f} eV/atom from {than} by the oracle"


def _verdict_word(verdict: Verdict) -> str:
    if verdict.rediscovered:
        return "rediscovered"
    return "discovery" if verdict.discovery else "no discovery"


def _novelty_rows(record: StructureRecord) -> list[Row]:
    """Tier and novelty of a record, as far as they were judged."""
    rows = [_row("tier", tier_text(record), "")]
    novelty = record.verdict.novelty if record.verdict else None
    if novelty is None:
        return rows
    apart = "" if novelty.difference is None else f"distances differ by {100 * novelty.difference:.1f} %"
    of = " of ".join(part for part in (novelty.prototype, novelty.source) if part)
    detail = "; ".join(part for part in (of, apart, *novelty.flags) if part)
    rows.append(_row("novelty", novelty.words, detail))
    if novelty.disagree:
        matcher, distances = novelty.structure_matcher or "none", novelty.minimum_distances or "none"
        rows.append(_row("comparisons", "disagree", f"structure matcher: {matcher}; distances: {distances}"))
    return rows


def _opinion_row(opinion: Opinion) -> Row:
    """What another oracle thinks of a find."""
    if opinion.e_above_hull is None:
        return _row(f"opinion of {opinion.oracle}", "none", opinion.reason)
    said = f"{'agrees' if opinion.agrees else 'disagrees'}: {phase_by(opinion)}"
    height = f"{opinion.e_above_hull:.3f} eV/atom above its own hull"
    return _row(
        f"opinion of {opinion.oracle}", said, f"{height}; {opinion.above_products:.3f} eV/atom above products"
    )


def agreement_text(agreement: Agreement) -> str:
    """How another oracle sees the finds of a campaign, in words."""
    order = "" if agreement.tau is None else f", Kendall's τ {agreement.tau:.2f}"
    apart = (
        "" if agreement.difference is None else f", {agreement.difference:+.3f} eV/atom from the campaign's"
    )
    return f"{agreement.agreeing} of {agreement.asked}{order}{apart}"


def agreement_rows(rounds: Sequence[RoundRecord]) -> list[Row]:
    """How other oracles see the finds as of the newest closed round, one row an oracle."""
    closed = [record for record in rounds if record.closed]
    return [
        {
            "oracle": found.oracle,
            "agrees": f"{found.agreeing} of {found.asked}",
            "Kendall's τ": None if found.tau is None else round(found.tau, 2),
            "median difference (eV/atom)": None if found.difference is None else round(found.difference, 3),
        }
        for found in (closed[-1].metrics.agreements if closed else [])
    ]


def _symmetry_found(validation: Validation) -> str:
    """How a space group was found, the prototype that goes with it, or why no find can come of it."""
    refined = validation.refined
    if refined is None:
        return ""
    if not refined.converged:
        return refined.reason
    named = " ".join(part for part in (refined.prototype, refined.mineral) if part)
    found = "as relaxed" if refined.symprec is None else f"within {refined.symprec:g} Å"
    return f"{found}; {named}" if named else found


def hull_sources(hull: HullRecord) -> list[Row]:
    """What a hull was built from: how many phases from where, and what is held out of it."""
    found = [{"phases": count, "from": name} for name, count in hull.built_from().items()]
    return found + [{"phases": "held out", "from": label} for label in hull.excluded]


def hull_systems(hull: HullRecord) -> list[Row]:
    """How well each system under a hull was searched."""
    on_hull = Counter("-".join(sorted(entry.composition)) for entry in hull.vertices())
    return [
        {
            "system": system.chemsys,
            "pre-relaxed": system.ranked,
            "asked": system.asked,
            "failed": system.failed,
            "on the hull": on_hull[system.chemsys],
        }
        for system in hull.searched
    ]


def _row(step: str, what: str, detail: str) -> Row:
    return {"step": step, "what": what, "detail": detail}
