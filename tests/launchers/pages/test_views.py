"""What pages say and draw, against values worked out by hand and against the command line's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition, Lattice, Structure

from niobe.config.loading import load_campaign, with_changes
from niobe.launchers.pages import hull_plots, plots, views
from niobe.launchers.pages.acceleration import picture
from niobe.launchers.pages.rendering import number, plot_json
from niobe.launchers.pages.style import Plot
from niobe.loop.benchmark.ablation import SIZES, ablation_series
from niobe.loop.campaign.closing import close_round, round_metrics
from niobe.loop.campaign.controls import acceleration
from niobe.loop.documents.records import Choice, Failure, Status, StructureRecord
from niobe.loop.documents.rounds import HullEntry, HullRecord, RoundMetrics, RoundRecord, RoundState
from niobe.loop.stability.hull import build_hull
from niobe.loop.store.database import Database
from tests.launchers.pages.serving import as_plotly
from tests.loop.factory import SPEC, element, nbo, rocksalt, rutile, validated

TERNARY = ("N", "Nb", "O")
CLOSED = {"state": RoundState.CLOSED}
NB_O = load_campaign(Path(__file__).parents[3] / "config" / "campaigns" / "nb-o.yaml")


def chosen(
    record: StructureRecord, setting: Literal["acquired", "control"], **update: Any
) -> StructureRecord:
    return record.model_copy(update={"choice": Choice(function="qlogei", selection=setting, rank=0)} | update)


def test_the_acceleration_counts_finished_calls_and_controls_of_all_campaigns(database: Database) -> None:
    failure = Failure(step="relax", cause="timeout", exception="TimeoutError", message="")
    failed = {"status": Status.FAILED, "validation": None, "failure": failure}
    waiting = {"status": Status.ACQUIRED, "validation": None}
    records = [
        validated(element("Nb"), -10.0),
        validated(element("O", 3.0), -4.5, index=1),
        chosen(validated(nbo(), -9.2, round_number=1), "acquired"),
        chosen(validated(rocksalt(), -1.0, round_number=1, index=1), "control"),
        chosen(validated(rocksalt(5.0), -1.0, round_number=1, index=2), "acquired", **failed),
        chosen(validated(rutile(), -1.0, round_number=1, index=3), "control", **failed),
        chosen(validated(nbo(4.9), -9.0, round_number=2), "acquired", **waiting),
        chosen(validated(nbo(5.2), -9.0, round_number=2, index=1), "control", **waiting),
    ]
    database.campaigns.create(SPEC)
    database.records.insert(records)
    for identifier, verdict in close_round(SPEC, 1, records)[1].items():
        database.records.update(identifier, verdict=verdict)
    counted = acceleration(database, "t")
    metrics = round_metrics(SPEC, database.rounds.open("t", 1), database.records.find("t"))
    database.rounds.update("t", 1, metrics=metrics, state=RoundState.CLOSED)
    assert acceleration(database, "t") == counted
    other = {"id": "0" * 16, "campaign": "other"}
    database.campaigns.create(SPEC.model_copy(update={"id": "other"}))
    database.records.insert([database.records.get(records[3].id).model_copy(update=other)])
    said = acceleration(database, "t")
    assert "1 of 2 chosen, 0 of 3 drawn at random in 2 campaigns" in said
    assert acceleration(database, "other").startswith("acceleration unknown: 0 of 0 chosen, 0 of 3 drawn")


def test_what_generators_rejected_is_added_up_over_litters_and_fallbacks() -> None:
    lost = [{}, {"random: overlap": 2}, {"offspring/1: overlap": 3, "offspring/4: overlap": 4}]
    rounds = [
        RoundRecord(
            campaign="t",
            number=n,
            state=RoundState.CLOSED,
            metrics=RoundMetrics(rejected_by_generator=rejected),
        )
        for n, rejected in enumerate(lost)
    ]
    assert views.rejected_rows(rounds) == [
        {"reason": "offspring: overlap", "round 1": 0, "round 2": 7},
        {"reason": "random: overlap", "round 1": 2, "round 2": 0},
    ]


def test_seconds_of_all_litters_stand_together() -> None:
    steps = {"screen": 1.0, "offspring_1": 2.0, "choose_promising_1": 0.5, "offspring_2": 3.0}
    rounds = [RoundRecord(campaign="t", number=n, steps=steps if n else {}) for n in range(2)]
    bars = {bar.name: list(bar.x) for bar in as_plotly(plots.time_figure(rounds)).data}
    assert bars == {"screen": [0, 1.0], "offspring": [0, 5.0], "choose promising": [0, 0.5]}


def test_a_line_stands_where_each_round_but_the_last_ended() -> None:
    rounds = [
        RoundRecord(
            campaign="t",
            number=number,
            state=RoundState.CLOSED,
            batch=[f"{number}{i}" for i in range(number + 1)],
        )
        for number in range(4)
    ]
    figure = as_plotly(plots.discovery_figure([], rounds))
    assert list(figure.layout.xaxis.minor.tickvals) == [2, 5]


def test_no_two_settings_of_a_ladder_are_drawn_alike() -> None:
    """Means by hand: after one and two calls of (hit, hit) and (miss, hit)."""
    spec = with_changes(NB_O, {"generation.finetune": True, "acquisition.function": "p_target"})
    curves = {setting.adds: [[True, True], [False, True]] for setting in ablation_series(spec, SIZES["full"])}
    drawn = ElementTree.fromstring(picture(curves))
    lines, names = drawn.findall("polyline"), [text.text for text in drawn.findall("text")]
    assert [name for name in names if name in curves] == list(curves)
    assert len({line.get("stroke") for line in lines}) == len(curves) == 10
    assert [bool(line.get("stroke-dasharray")) for line in lines] == [True] + [False] * 9
    ups = [340 - float(point.split(",")[1]) for point in lines[0].get("points", "").split()]
    assert ups == pytest.approx([0.5 / 2 * 330, 1.5 / 2 * 330])
    assert ElementTree.fromstring(picture({"<b> & co": [[True]]})).findall("text")[-1].text == "<b> & co"


def test_a_ternary_hull_has_a_corner_an_element_and_tie_lines_to_what_is_stable() -> None:
    corners = [validated(element(symbol), -4.0, index=i) for i, symbol in enumerate(TERNARY)]
    inside = validated(Structure(Lattice.cubic(4.0), TERNARY, np.eye(3) / 2), -6.0, round_number=1)
    above = validated(nbo(), -1.0, round_number=1, index=1)
    hulls = [
        build_hull("t", number, TERNARY, known)
        for number, known in enumerate((corners, [*corners, inside, above]))
    ]
    figure = as_plotly(hull_plots.hull_figure(hulls, [*corners, inside, above], TERNARY))
    assert [frame.name for frame in figure.frames] == ["0", "1"]
    assert [figure.layout.ternary[f"{axis}axis"].title.text for axis in "abc"] == list(TERNARY)
    before, now = ({trace.name: trace for trace in frame.data} for frame in figure.frames)
    assert _edges(before["tie lines"]) == 3
    assert _edges(now["tie lines"]) == 6  # NbNO splits the triangle in three
    assert sorted(_places(now["seed"])) == [(0, 0, 1), (0, 1, 0), (1, 0, 0)]
    found = dict(zip(now["candidate"].customdata, _places(now["candidate"]), strict=True))
    assert found[inside.id] == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    assert found[above.id] == pytest.approx((0, 1 / 2, 1 / 2))


def test_a_ternary_hull_names_the_compounds_on_it_and_colours_say_how_far_above_the_rest_lies() -> None:
    corners = [validated(element(symbol), -4.0, index=i) for i, symbol in enumerate(TERNARY)]
    found = [
        validated(Structure(Lattice.cubic(4.0), TERNARY, np.eye(3) / 2), -7.0, round_number=1),
        validated(nbo(), -6.5, round_number=1, index=1),
        validated(nbo(4.4), -6.0, round_number=1, index=2),
    ]
    hull = build_hull("t", 1, TERNARY, [*corners, *found])
    figure = as_plotly(hull_plots.hull_figure([hull], [*corners, *found], TERNARY))
    (labels,) = [trace for trace in figure.data if trace.mode == "markers+text"]
    ternary, binary = (record.formula for record in found[:2])
    sides = dict(zip(labels.text, labels.textposition, strict=True))
    assert sides.keys() == {ternary, binary}
    assert sides[binary] == "bottom center"  # N is on top, and NbO holds none
    (points,) = [trace for trace in figure.data if trace.name == "candidate"]
    above = dict(zip(points.customdata, points.marker.color, strict=True))
    assert above[found[2].id] == pytest.approx(0.5)
    assert above[found[0].id] == above[found[1].id] == 0
    assert list(points.marker.color) == sorted(points.marker.color, reverse=True), "the nearest on top"


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 9), st.integers(1, 9)), min_size=1, max_size=12))
def test_any_ternary_compound_on_the_hull_is_named_once(amounts: list[tuple[int, int, int]]) -> None:
    entries = [
        HullEntry(
            record_id=str(index),
            formula=Composition(dict(zip(TERNARY, counts, strict=True))).reduced_formula,
            n_atoms=sum(counts),
            composition={s: n / sum(counts) for s, n in zip(TERNARY, counts, strict=True) if n},
            energy_per_atom=-1.0,
            formation_energy_per_atom=-1.0,
            e_above_hull=0.0,
        )
        for index, counts in enumerate(amounts)
    ]
    hull = HullRecord(campaign="t", round=1, oracle="o", entries=entries)
    figure = hull_plots.hull_figure([hull], [], TERNARY)
    (labels,) = [trace for trace in figure.data if trace["mode"] == "markers+text"]
    named = [text.replace("<sub>", "").replace("</sub>", "") for text in labels["text"]]
    assert sorted(named) == sorted({entry.formula for entry in entries})


def _edges(trace: Any) -> int:
    return sum(place is None for place in trace.a)


def _places(trace: Any) -> list[tuple[float, float, float]]:
    return list(zip(trace.a, trace.b, trace.c, strict=True))


def test_a_zero_has_no_sign() -> None:
    assert [number(value) for value in (-1e-5, 0.0, -0.25, None)] == ["0.000", "0.000", "−0.250", "–"]


def test_a_plot_is_json_that_ends_no_script_and_has_null_where_a_number_is_none() -> None:
    text = str(
        plot_json(Plot([{"x": [1.5, float("nan"), None], "name": "</script> & \u202e"}], {"height": 3}))
    )
    assert not set("<>&\u202e") & set(text)
    assert json.loads(text) == {
        "data": [{"x": [1.5, None, None], "name": "</script> & \u202e"}],
        "layout": {"height": 3},
    }
