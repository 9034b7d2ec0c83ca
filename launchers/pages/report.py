"""One HTML file that opens offline, from the same templates and plots as the pages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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

_MOST_SHOWN, _MOST_LISTED = 6, 300


def write_report(
    path: Path,
    *,
    spec: CampaignSpec,
    records: Sequence[StructureRecord],
    rounds: Sequence[RoundRecord],
    hulls: Sequence[HullRecord],
    find_phonons: Callable[[str], PhononRecord | None],
    find: Callable[[str], StructureRecord],
    total: int,
    acceleration: str,
) -> Path:
    """Write the report of a campaign, its scripts included, whole or not at all.

    path: where the file goes. spec: the campaign. records: finds and results to show; their crystals are not
    looked at. rounds: all rounds, in order. hulls: in order, the newest among them. find, find_phonons: give
    a whole record, and its phonons or None, by id. total: records of the campaign. acceleration: what
    controls say of it, in words.
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
        figures=_figures(records, rounds, total),
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
        structures=_structures([find(record.id) for record in shown[:_MOST_SHOWN]], find, find_phonons),
    )
    return write_whole(path, page)


def _worth_showing(records: Sequence[StructureRecord]) -> list[StructureRecord]:
    """What is dynamically stable, the highest tier first, then nearest the hull; seeds left out."""
    unique = [
        r for r in records if r.round > 0 and r.verdict and r.validation and r.verdict.duplicate_of is None
    ]
    stable = [r for r in unique if r.dynamically_stable]
    ordered = sorted(
        stable,
        key=lambda r: (
            -tier(r),
            r.verdict.e_above_hull_now if r.verdict else 0,
        ),
    )
    return ordered[:_MOST_LISTED]


def _figures(
    records: Sequence[StructureRecord], rounds: Sequence[RoundRecord], total: int
) -> list[tuple[Any, str]]:
    closed = [r for r in rounds if r.closed and r.number > 0]
    return [
        (sum(r.verdict is not None and r.verdict.discovery for r in records), "discoveries"),
        (sum(r.verdict is not None and r.verdict.rediscovered for r in records), "known phases rediscovered"),
        (sum(r.metrics.validated for r in closed), "validated"),
        (sum(r.metrics.failed for r in closed), "failed"),
        (len(closed), "rounds"),
        (total, "structures in the database"),
    ]


def _structures(
    shown: Sequence[StructureRecord],
    find: Callable[[str], StructureRecord],
    find_phonons: Callable[[str], PhononRecord | None],
) -> list[dict[str, Any]]:
    bands = {record.id: find_phonons(record.id) for record in shown}
    return [
        {
            "record": record,
            "scene": structure_scene(record),
            "bands": plots.phonon_figure(found, record.validation.phonon.tolerance)
            if (found := bands[record.id]) and record.validation
            else None,
            "lineage": lineage_nodes(record, find),
        }
        for record in shown
    ]
