"""``python -m tests.benchmarks.known_phases [SYSTEM …] [--round-0] [--folder F]``: what campaigns of two
lines find of what is known.

Each system gets a file of an id and its elements, and a database of its own. Known are the structures of
Materials Project on its hull, of at most 12 atoms, of the system and its subsystems (the development rows),
relaxed by the campaign's oracle. It goes on where it was, and publishes what is finished by then.
"""

from __future__ import annotations

import argparse
import functools
import json
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pymatgen.core import Structure
from rich.console import Console

from niobe.config.loading import load_campaign
from niobe.config.spec import CampaignSpec
from niobe.flows.oracles.calculation import validate_structure
from niobe.flows.oracles.registry import make_oracle
from niobe.launchers.benchmarking import own_home
from niobe.launchers.local.launcher import run_campaign
from niobe.launchers.local.progress import CampaignProgress
from niobe.launchers.services import campaign_database
from niobe.loop.benchmark.replaying import write_json
from niobe.loop.campaign.seeds import new_record
from niobe.loop.crystals.similarity import SeenStructures
from niobe.loop.documents.records import Failure, Lineage, Status, StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.stability.hull import build_hull
from tests.benchmarks.materials import structure_of, table
from tests.benchmarks.publish import FOLDER as FIGURES
from tests.benchmarks.publish import publish

SYSTEMS = (
    *("In-Li", "Pd-Ti", "S-Zn", "Cd-Mg", "Al-Fe-Y", "Hf-Pd", "Se-Ta", "C-Si", "Au-Be", "Ca-Si", "B-Ti"),
    *("In-P", "Li-Si", "Cu-O-Sr", "Ni-Sc-Sn", "La-Ni-Si", "Ag-Cs-F", "Mg-O-Si"),
)
FOLDER = Path(".niobe/benchmarks/known_phases")
_LARGEST = 12
_ON_HULL = 1e-6
_SAME = 0.002  # eV/atom: of one crystal relaxed from two starts
_FALSE = {"stable": (0.0, 0.05), "metastable": (0.1, 0.1)}


def main() -> None:
    """Run what is asked for and not finished, score all that is, publish."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("systems", nargs="*", default=SYSTEMS)
    parser.add_argument("--round-0", action="store_true", help="competing phases only, and once more")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    started = time.monotonic()
    for system in asked.systems:
        run(asked.folder / system, system.split("-"), rounds=1 if asked.round_0 else None)
    rows = [
        json.loads(file.read_text(encoding="utf-8")) for file in sorted(asked.folder.glob("*/score.json"))
    ]
    publish_scores(rows, time.monotonic() - started)


def run(folder: Path, elements: Sequence[str], *, rounds: int | None, extra: str = "") -> dict[str, Any]:
    """One system: its campaign as far as asked, its second beginning, its known phases, its score.

    extra: more lines of the campaign file, for tests.
    """
    spec = campaign_file(folder, "first", elements, extra)
    again = campaign_file(folder, "again", elements, extra)
    with own_home(folder / "home"):
        first = _advance(spec, 1)
        second = _advance(again, 1)
        if rounds is None:
            _advance(spec, None)
        with campaign_database() as database:
            records = database.records.find(spec.id)
            asked_again = len(database.rounds.get(again.id, 0).batch)
    known = known_phases(spec, folder)
    seconds = _kept(folder / "seconds.json", {"first": first, "again": second})
    found = score(spec, records, known) | seconds | {"asked again": asked_again}
    write_json(folder / "score.json", found)
    return found


def campaign_file(folder: Path, name: str, elements: Sequence[str], extra: str = "") -> CampaignSpec:
    """A campaign of two lines, as a file in the folder. extra: more of them."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}.yaml"
    file.write_text(f"id: {name}\nelements: [{', '.join(elements)}]\n{extra}", encoding="utf-8")
    return load_campaign(file)


def _advance(spec: CampaignSpec, rounds: int | None) -> float | None:
    """Wall seconds of round 0 where this call ran it from its beginning, else None."""
    started = time.monotonic()
    with campaign_database() as database:
        database.campaigns.create(spec)
        before = database.rounds.find(spec.id)
        if rounds is not None and any(record.closed for record in before):
            return None
        with CampaignProgress(database, spec, Console()) as progress:
            run_campaign(database, spec, progress.tick, rounds=rounds)
    return None if before else round(time.monotonic() - started, 1)


def _kept(file: Path, seconds: dict[str, float | None]) -> dict[str, float | None]:
    """Times of the runs that were not interrupted, of this call or an earlier one."""
    before = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    kept = {name: before.get(name) if value is None else value for name, value in seconds.items()}
    write_json(file, kept)
    return kept


def known_phases(spec: CampaignSpec, folder: Path) -> list[StructureRecord]:
    """Known ground states of the system and its subsystems, relaxed once by the oracle and kept."""
    kept = folder / "known.json"
    if not kept.is_file():
        oracle, records = make_oracle(spec.oracle), []
        for index, (label, structure) in enumerate(ground_states(spec.chemsys)):
            outcome = validate_structure(spec, oracle, structure, folder / "work")
            if not isinstance(outcome, Failure):
                record = new_record(
                    spec, 0, index, structure, Lineage(generator="known", origin={"id": label})
                )
                update = {"status": Status.VALIDATED, "validation": outcome}
                records.append(record.model_copy(update=update).model_dump(mode="json"))
        write_json(kept, records)
    return [StructureRecord.model_validate(one) for one in json.loads(kept.read_text(encoding="utf-8"))]


@functools.cache
def _rows() -> Any:
    rows = table("dev_mp_structures.parquet")
    return rows[(rows.numbers.map(len) <= _LARGEST) & (rows.e_hull <= _ON_HULL)]


def ground_states(system: str) -> list[tuple[str, Structure]]:
    """Id and structure of what lies on Materials Project's hull, of at most 12 atoms, in a system and its
    subsystems. system: symbols joined by hyphens."""
    from pymatgen.core import Element

    elements = {Element(symbol).Z for symbol in system.split("-")}
    inside = _rows()[_rows().numbers.map(lambda numbers: set(numbers) <= elements)]
    return [(row.material_id, structure_of(row)) for row in inside.itertuples()]


def score(
    spec: CampaignSpec, records: Sequence[StructureRecord], known: Sequence[StructureRecord]
) -> dict[str, Any]:
    """What of the known compounds was validated, after round 0 and in the end, and what was called stable
    that is not once they compete."""
    compounds = [record for record in known if record.nelements > 1]
    validated = [record for record in records if record.validation is not None]
    found, as_low = _found(compounds, validated), _as_low(compounds, validated)
    rounds = [first for first in found.values() if first is not None]
    own = build_hull(spec.id, 0, spec.elements, validated)
    joint = build_hull(spec.id, 0, spec.elements, [*validated, *known])
    pairs = [
        (mine.e_above_hull, full.e_above_hull)
        for mine, full in zip(own.entries, joint.entries, strict=False)
        if len(mine.composition) > 1
    ]
    wrong = {
        f"{name}, over {far}": sum(full > far for mine, full in pairs if mine <= limit + _ON_HULL)
        for name, (limit, far) in _FALSE.items()
    }
    called = {name: sum(mine <= limit + _ON_HULL for mine, _ in pairs) for name, (limit, _) in _FALSE.items()}
    return {
        "system": spec.chemsys,
        "known": len(compounds),
        "after round 0": rounds.count(0),
        "or as low, after round 0": sum(first == 0 for first in as_low.values()),
        "in the end": len(rounds),
        "or as low, in the end": sum(first is not None for first in as_low.values()),
        "missing": sorted(record.formula for record in compounds if as_low[record.id] is None),
        "asked in round 0": sum(record.asked and record.round == 0 for record in records),
        "validations": sum(bool(record.acquired_round) and record.asked for record in records),
        **called,
        **wrong,
    }


def _found(
    compounds: Sequence[StructureRecord], validated: Sequence[StructureRecord]
) -> dict[str, int | None]:
    """The round in which each known compound was first validated, by record id."""
    rounds: dict[str, int | None] = {record.id: None for record in compounds}
    wanted = SeenStructures((record.id, relaxed_structure(record)) for record in compounds)
    for record in sorted(validated, key=lambda r: r.acquired_round or 0):
        match = wanted.find(relaxed_structure(record))
        if match is not None and rounds[match] is None:
            rounds[match] = record.acquired_round or 0
    return rounds


def _as_low(
    compounds: Sequence[StructureRecord], validated: Sequence[StructureRecord]
) -> dict[str, int | None]:
    """The round in which each compound, or what the oracle holds to be as low, was first validated."""
    found: dict[str, int | None] = {}
    for known in compounds:
        rounds = [
            record.acquired_round or 0
            for record in validated
            if record.formula == known.formula and _energy(record) <= _energy(known) + _SAME
        ]
        found[known.id] = min(rounds, default=None)
    return found


def _energy(record: StructureRecord) -> float:
    return record.validation.energy_per_atom if record.validation else float("inf")


def publish_scores(rows: Sequence[dict[str, Any]], seconds: float) -> None:
    """All finished systems, and their sum; those that are published and not in the folder stay."""
    columns = ["known", "after round 0", "or as low, after round 0", "in the end", "or as low, in the end"]
    columns += ["asked in round 0", "validations"]
    columns += [key for key in rows[0] if key.startswith(("stable", "metastable"))]
    found = _published() | {row["system"]: _shown(row, columns) for row in rows}
    systems = [found[system] for system in sorted(found)]
    total = {"system": f"all {len(systems)}"} | {key: sum(row[key] for row in systems) for key in columns}
    searched = [row for row in systems if row["validations"]]
    on = {key: sum(row[key] for row in searched) for key in columns}
    publish(
        "known_phases",
        page="discovery",
        title="Known phases found from two lines, and what is called stable for want of them",
        command="python -m tests.benchmarks.known_phases",
        rows=[_shown(total, columns), *systems],
        seconds=seconds,
        headline="{0[after round 0]} of {0[known]} known compounds after round 0, with others as low "
        "{0[or as low, after round 0]}; in the end {0[in the end]} and {0[or as low, in the end]}",
        notes=[
            f"{len(systems)} of {len(SYSTEMS)} systems; the rest was not run by then",
            f"{', '.join(row['system'] for row in searched)} went on after round 0, by {on['validations']} "
            f"validations, and have {on['in the end']} of their {on['known']} known compounds in the end "
            f"({on['after round 0']} after round 0); the others, with 0 validations, were not run on",
            f"{', '.join(_names(rows))} are of this run, the others of earlier ones",
            "or as low: the crystal itself, or one of its composition at most 0.002 eV/atom higher; oracles "
            "need not agree with Materials Project on the lowest polymorph",
            "known: Materials Project's ground states of at most 12 atoms, relaxed by the campaign's oracle",
            "stable, over 0.05: on the campaign's hull but more than 0.05 eV/atom above the hull of known "
            "phases and all finds; metastable likewise within 0.1 and over 0.1",
            "again: round 0 of a second campaign over the same system in the same database",
        ],
        order=5,
    )


def _shown(row: dict[str, Any], columns: Sequence[str]) -> dict[str, Any]:
    return (
        {key: row.get(key, "") for key in ("system", *columns)}
        | {"round 0, s": row.get("first", ""), "again, s": row.get("again", "")}
        | {"asked again": row.get("asked again", ""), "missing": ", ".join(row.get("missing", []))}
    )


def _names(rows: Sequence[dict[str, Any]]) -> list[str]:
    return [row["system"] for row in rows]


def _published() -> dict[str, dict[str, Any]]:
    """Rows of systems, by system, as they were published last."""
    file = FIGURES / "known_phases.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"] if file.is_file() else []
    return {row["system"]: row for row in rows if "-" in row["system"]}


if __name__ == "__main__":
    main()
