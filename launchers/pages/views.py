"""What pages say about a campaign and a structure, as plain values from the database."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from niobe.config.spec import CampaignSpec
from niobe.launchers.local.progress import doing
from niobe.launchers.output.tables import descent, lineage_rows
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.rounds import CampaignRecord, CampaignState, HullRecord, RoundMetrics, RoundRecord
from niobe.loop.store.database import Database

Values = dict[str, Any]
Find = Callable[[str], StructureRecord]
PREDICTED = {
    "formation_energy_per_atom": "formation energy",
    "e_above_hull": "energy above hull",
    "p_stable": "P(dynamically stable)",
    "p_failure": "P(failure)",
    "log_volume": "log volume",
}
_MOST_ANCESTORS = 6
_DONE = (Status.VALIDATED.value, Status.FAILED.value)


def snapshot(database: Database, campaign: CampaignRecord, rounds: Sequence[RoundRecord]) -> Values:
    """The state of a campaign as its page shows it live; cheap enough to ask for once a second.

    database: the campaign database. rounds: all rounds, in order.
    """
    spec = CampaignSpec.model_validate(campaign.spec)
    closed = [r for r in rounds if r.closed and r.number > 0]
    current = rounds[-1] if rounds and not rounds[-1].closed else None
    done = _finished(database, campaign.id, current) if current else Counter[str]()
    counts = _candidates(database, campaign.id, current.number) if current and current.number > 0 else {}
    spent = sum(r.metrics.validated + r.metrics.failed for r in closed)
    return {
        "state": campaign.state,
        "reason": campaign.reason,
        "stopping": campaign.stop and campaign.state is CampaignState.RUNNING,
        "round": current.number if current else (rounds[-1].number if rounds else 0),
        "doing": doing(current, spec) if current else "between rounds",
        "discoveries": database.records.count(campaign.id, verdict__discovery=True),
        "records": database.records.count(campaign.id),
        "spent": spent + (done.total() if current and current.number > 0 else 0),
        "failed": sum(r.metrics.failed for r in rounds if r.closed) + done[Status.FAILED.value],
        "budget": spec.budget.validations + campaign.extra_validations,
        "closed": len(closed),
        "rounds": spec.budget.rounds + campaign.extra_rounds,
        "batch": len(current.batch) if current else 0,
        "batch_done": done.total(),
        "candidates": counts,
    }


def _finished(database: Database, campaign: str, current: RoundRecord) -> Counter[str]:
    """Finished validations of the running round's batch by status."""
    if not current.batch:
        return Counter()
    return Counter({s: database.records.answered(campaign, s, acquired_round=current.number) for s in _DONE})


def _candidates(database: Database, campaign: str, number: int) -> dict[str, int]:
    counts = {s.value: database.records.count(campaign, round=number, status=s.value) for s in Status}
    return {status: count for status, count in counts.items() if count}


def failures(rounds: Sequence[RoundRecord]) -> dict[str, int]:
    """Failed validations of closed rounds by cause, most frequent first."""
    total: Counter[str] = Counter()
    for closed in rounds:
        total.update(closed.metrics.failures_by_cause)
    return dict(total.most_common())


def rejected_rows(rounds: Sequence[RoundRecord]) -> list[Values]:
    """What generators drew and had to reject, a row a reason and a column a round."""
    drawn = {r.number: _of_all_draws(r.metrics.rejected_by_generator) for r in rounds}
    drawn = {number: counts for number, counts in drawn.items() if counts}
    reasons = sorted({reason for counts in drawn.values() for reason in counts})
    return [
        {"reason": reason} | {f"round {number}": counts[reason] for number, counts in drawn.items()}
        for reason in reasons
    ]


def _of_all_draws(rejected: Mapping[str, int]) -> Counter[str]:
    """By generator and reason, whatever offspring_batch or fallback it drew for."""
    total: Counter[str] = Counter()
    for key, lost in rejected.items():
        drawer, reason = key.split(": ", 1)
        total[f"{drawer.split('/')[0]}: {reason}"] += lost
    return total


def difference(before: RoundRecord, after: RoundRecord, hulls: Sequence[HullRecord]) -> Values:
    """What changed from one round to another: metrics, and who joined and left the hull.

    before: earlier state. after: later state. hulls: one per round.
    """
    rows = []
    for field in RoundMetrics.model_fields:
        old, new = getattr(before.metrics, field), getattr(after.metrics, field)
        if not any(isinstance(value, int | float) for value in (old, new)):
            continue
        change = new - old if old is not None and new is not None else None
        rows.append({"what": field.replace("_", " "), "before": old, "after": new, "change": change})
    by_round = {hull.round: {e.record_id: e for e in hull.vertices()} for hull in hulls}
    old_hull, new_hull = by_round.get(before.number, {}), by_round.get(after.number, {})
    changes = {
        "joined the hull": [entry for key, entry in new_hull.items() if key not in old_hull],
        "left the hull": [entry for key, entry in old_hull.items() if key not in new_hull],
    }
    return {"metrics": rows, "hull": changes}


def lineage_nodes(record: StructureRecord, find: Find) -> list[Values]:
    """From the first ancestor and the generator's checkpoint to the verdict, a node a step."""
    nodes = [_ancestor(parent, child) for parent, child in _ancestors(record, find)]
    if record.lineage.checkpoint:
        nodes.append(_node("checkpoint", record.lineage.checkpoint, "weights of the generator"))
    predictions = []
    for row in lineage_rows(find, record):
        if row["step"] == "prediction":
            target = PREDICTED.get(row["what"], row["what"])
            predictions.append(f"{target} {row['detail'].partition(' (')[0]}")
        elif row["step"] != "parent" and row["what"] not in {"validated", "failed"}:
            nodes.append(_node(row["step"], row["what"], row["detail"]))
    if predictions:
        place = next((i for i, n in enumerate(nodes) if n["step"] == "acquisition"), len(nodes))
        what = f"surrogate of round {record.prediction_round}"
        nodes.insert(place, _node("prediction", what, "; ".join(predictions)))
    return nodes


def _ancestors(record: StructureRecord, find: Find) -> list[tuple[StructureRecord, StructureRecord]]:
    """Parents and their children, oldest first; further back along the first parent of each."""
    chain: list[tuple[StructureRecord, StructureRecord]] = []
    current = record
    while current.lineage.parents and len(chain) < _MOST_ANCESTORS:
        parents = [find(parent) for parent in current.lineage.parents]
        chain = [(parent, current) for parent in parents] + chain
        current = parents[0]
    return chain


def _ancestor(parent: StructureRecord, child: StructureRecord) -> Values:
    phonon = parent.validation.phonon if parent.validation else None
    lowest = phonon.lowest_frequency if phonon and child.lineage.generator == "soft_mode" else None
    detail = descent(child) if lowest is None else f"soft mode at {lowest:.2f} THz followed"
    return _node("parent", f"{parent.formula} {parent.id[:6]}", detail, f"/structures/{parent.id}")


def _node(step: str, what: str, detail: str, link: str | None = None) -> Values:
    mood = "good" if what in {"discovery", "stable"} else ""
    if step == "failure" or what in {"unstable", "vetoed", "invalid"}:
        mood = "bad"
    detail = re.sub(r"(?<![\w.])-(?=\d)", "−", detail)
    return {"step": step, "what": what, "detail": detail, "kind": mood, "link": link}
