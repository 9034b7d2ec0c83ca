"""One HTML file that opens offline, from the same templates and plots as the pages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from niobe.config.atomic import write_whole
from niobe.config.spec import CampaignSpec
from niobe.launchers.output.tables import agreement_rows, hull_sources, hull_systems, rediscovery_rows
from niobe.launchers.pages import hull_plots, plots
from niobe.launchers.pages.rendering import asset, render
from niobe.launchers.pages.scenes import structure_scene
from niobe.launchers.pages.views import lineage_nodes
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import HullRecord, PhononRecord, RoundRecord
from niobe.loop.documents.tiers import headline, tier
from niobe.loop.goals.pareto import objectives

_MOST_SHOWN = 6


def write_report(
    path: Path,
    *,
    spec: CampaignSpec,
    records: Sequence[StructureRecord],
    rounds: Sequence[RoundRecord],
    hulls: Sequence[HullRecord],
    phonons: Sequence[PhononRecord],
    acceleration: str,
) -> Path:
    """Write the report of a campaign, its scripts included, whole or not at all.

    path: where the file goes. spec: the campaign. records: structure records. rounds: all rounds, in order.
    hulls: one per round. phonons: of the records that have them.
    acceleration: what controls say of it, in words.
    """
    shown = _worth_showing(records)
    page = render(
        "report.html",
        page="",
        steering=False,
        asset=asset,
        spec=spec,
        oracle=next((r.validation.oracle for r in records if r.validation), spec.oracle.name),
        headline=headline(records),
        acceleration=acceleration,
        agreements=agreement_rows(rounds),
        figures=_figures(records, rounds),
        sources=hull_sources(hulls[-1]) if hulls else [],
        systems=hull_systems(hulls[-1]) if hulls else [],
        hull=hull_plots.hull_figure(hulls, records, spec.elements),
        pareto=plots.pareto_figure(records, spec) if objectives(spec) else None,
        curve=plots.discovery_figure(records, rounds),
        parity=plots.parity_figure(records),
        learning=plots.learning_figure(rounds),
        rounds=rounds,
        shown=shown,
        again=rediscovery_rows(spec, records) if spec.seeds.exclude else [],
        structures=_structures(shown[:_MOST_SHOWN], records, phonons),
    )
    return write_whole(path, page)


def _worth_showing(records: Sequence[StructureRecord]) -> list[StructureRecord]:
    """What is dynamically stable, the highest tier first, then nearest the hull; seeds left out."""
    unique = [
        r for r in records if r.round > 0 and r.verdict and r.validation and r.verdict.duplicate_of is None
    ]
    stable = [r for r in unique if r.dynamically_stable]
    return sorted(
        stable,
        key=lambda r: (
            -tier(r),
            r.verdict.e_above_hull_now if r.verdict else 0,
        ),
    )


def _figures(records: Sequence[StructureRecord], rounds: Sequence[RoundRecord]) -> list[tuple[Any, str]]:
    closed = [r for r in rounds if r.closed and r.number > 0]
    return [
        (sum(r.verdict is not None and r.verdict.discovery for r in records), "discoveries"),
        (sum(r.verdict is not None and r.verdict.rediscovered for r in records), "known phases rediscovered"),
        (sum(r.metrics.validated for r in closed), "validated"),
        (sum(r.metrics.failed for r in closed), "failed"),
        (len(closed), "rounds"),
        (len(records), "structures in the database"),
    ]


def _structures(
    shown: Sequence[StructureRecord], records: Sequence[StructureRecord], phonons: Sequence[PhononRecord]
) -> list[dict[str, Any]]:
    by_id = {record.id: record for record in records}
    bands = {record.record_id: record for record in phonons}
    return [
        {
            "record": record,
            "scene": structure_scene(record),
            "bands": plots.phonon_figure(bands[record.id], record.validation.phonon.tolerance)
            if record.id in bands and record.validation
            else None,
            "lineage": lineage_nodes(record, by_id.__getitem__),
        }
        for record in shown
    ]
