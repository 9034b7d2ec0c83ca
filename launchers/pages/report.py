"""One HTML file that opens offline."""

from __future__ import annotations

import html
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from config.spec import CampaignSpec
from launchers.exports import summary
from launchers.pages import plots
from launchers.tables import rediscovery_rows
from loop.closing import acceleration_line
from loop.records import Stability, StructureRecord
from loop.rounds import HullRecord, PhononRecord, RoundRecord

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_MOST_SHOWN = 6


def write_report(
    path: Path,
    *,
    spec: CampaignSpec,
    records: Sequence[StructureRecord],
    rounds: Sequence[RoundRecord],
    hulls: Sequence[HullRecord],
    phonons: Sequence[PhononRecord],
) -> Path:
    """Write the report of a campaign, plotly included, whole or not at all."""
    from plotly.offline import get_plotlyjs

    shown = _worth_showing(records)
    bands = {record.record_id: record for record in phonons}
    sections = [
        _section("Convex hull", _plot(plots.hull_figure(hulls, records, spec.elements))),
        _section("Discoveries", _plot(plots.discovery_figure(records, rounds)) + _table(shown)),
        _section("Predicted against validated", _plot(plots.parity_figure(records))),
        _section("Rounds", _rounds(rounds)),
    ]
    if spec.seeds.exclude:
        again = _html_table(rediscovery_rows(spec, records))
        sections.insert(2, _section("Kept out of the seeds, and found again", again))
    sections += [_structure(record, bands.get(record.id)) for record in shown[:_MOST_SHOWN]]
    page = _PAGE.format(
        title=html.escape(f"Niobe: {spec.id}"),
        style=_STYLE,
        script=get_plotlyjs(),
        lead=_lead(spec, records, rounds),
        body="\n".join(sections),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_name(f".{path.name}.part")
    scratch.write_text(page, encoding="utf-8")
    scratch.replace(path)
    return path


def _worth_showing(records: Sequence[StructureRecord]) -> list[StructureRecord]:
    """Discoveries first, then what else is dynamically stable, nearest the hull first; seeds left out."""
    unique = [
        r for r in records if r.round > 0 and r.verdict and r.validation and r.verdict.duplicate_of is None
    ]
    stable = [r for r in unique if r.validation and r.validation.phonon.outcome is Stability.STABLE]
    return sorted(
        stable,
        key=lambda r: (
            not (r.verdict and r.verdict.discovery),
            r.verdict.e_above_hull_now if r.verdict else 0,
        ),
    )


def _lead(spec: CampaignSpec, records: Sequence[StructureRecord], rounds: Sequence[RoundRecord]) -> str:
    closed = [r for r in rounds if r.state == "closed" and r.number > 0]
    found = [r for r in records if r.verdict and r.verdict.discovery]
    validated = sum(r.metrics.validated for r in closed)
    failed = sum(r.metrics.failed for r in closed)
    oracle = next((r.validation.oracle for r in records if r.validation), spec.oracle.name)
    figures = [
        (len(found), "discoveries"),
        (validated, "validated"),
        (failed, "failed"),
        (len(closed), "rounds"),
        (len(records), "structures in the database"),
    ]
    cells = "".join(f"<li><b>{value}</b><span>{label}</span></li>" for value, label in figures)
    about = html.escape(f"{spec.chemsys} · oracle {oracle} · seed {spec.seed}")
    speed = html.escape(acceleration_line(records))
    return f"<p>{about}</p><ul class='figures'>{cells}</ul><p>{speed}</p>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{html.escape(title)}</h2>{content}</section>"


def _plot(figure: Figure) -> str:
    return figure.to_html(
        full_html=False, include_plotlyjs=False, config={"displaylogo": False, "responsive": True}
    )


def _structure(record: StructureRecord, phonons: PhononRecord | None) -> str:
    parts = [_plot(plots.structure_figure(record))]
    if phonons is not None and record.validation is not None:
        parts.append(_plot(plots.phonon_figure(phonons, record.validation.phonon.tolerance)))
    origin = html.escape(json.dumps(record.lineage.model_dump(mode="json")))
    return _section(
        f"{record.formula} {record.id}",
        f"<div class='pair'>{''.join(parts)}</div><p class='origin'>{origin}</p>",
    )


def _table(records: Sequence[StructureRecord]) -> str:
    return _html_table([summary(record) for record in records])


def _rounds(rounds: Sequence[RoundRecord]) -> str:
    rows = []
    for record in rounds:
        m = record.metrics
        rows.append(
            {
                "round": record.number,
                "generated": m.generated,
                "duplicates": m.duplicates,
                "invalid": m.invalid,
                "validated": m.validated,
                "failed": m.failed,
                "discoveries": m.discoveries,
                "hit rate": m.hit_rate,
                "control": m.control_hit_rate,
                "MAE (eV/atom)": m.mae,
                "coverage": m.coverage,
                "seconds": round(sum(m.seconds.values())),
            }
        )
    return _html_table(rows)


def _html_table(rows: Sequence[dict[str, Any]]) -> str:
    if not rows:
        return "<p>none yet</p>"
    head = "".join(f"<th>{html.escape(key.replace('_', ' '))}</th>" for key in rows[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{_cell(value)}</td>" for value in row.values()) + "</tr>" for row in rows
    )
    return f"<div class='wide'><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else html.escape(str(value))


_STYLE = """
body{margin:0;background:#f7f8fa;color:#1f2933}
body{font:16px/1.5 Inter,system-ui,-apple-system,'Segoe UI',sans-serif}
main{max-width:1080px;margin:0 auto;padding:2rem 1rem}
h1{font-size:1.9rem;margin:0}h2{font-size:1.15rem;margin:0 0 .75rem}
section{background:#fff;border:1px solid #e4e7eb;border-radius:10px;padding:1.25rem;margin:1.25rem 0}
.figures{display:flex;flex-wrap:wrap;gap:1.5rem;list-style:none;padding:0;margin:1rem 0}
.figures b{display:block;font-size:1.7rem;line-height:1.1}.figures span{color:#52606d;font-size:.9rem}
.wide{overflow-x:auto}table{border-collapse:collapse;font-size:.85rem;width:100%}
th,td{text-align:left;padding:.35rem .6rem;border-bottom:1px solid #e4e7eb;white-space:nowrap}
th{color:#52606d;font-weight:600}.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(300px,1fr));gap:1rem}
.origin{color:#52606d;font-size:.8rem;overflow-wrap:anywhere}
"""
_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>{title}</title><style>{style}</style><script>{script}</script></head>
<body><main><h1>{title}</h1>{lead}
{body}
</main></body></html>
"""
