"""Goals on pages and in tables: a column with its unit, the front of the objectives, the reason of a gap."""

from __future__ import annotations

import re

from niobe.config.spec import CampaignSpec
from niobe.launchers.output import goals
from niobe.launchers.output.summary import summary
from niobe.launchers.output.tables import brief_rows, finds_title, lineage_rows, record_row, round_row
from niobe.launchers.pages.plots import pareto_figure
from niobe.launchers.pages.rendering import environment
from niobe.loop.documents.properties import Level, PropertyValue
from niobe.loop.documents.records import Thermal
from niobe.loop.documents.rounds import RoundMetrics, RoundRecord
from tests.launchers.pages.serving import as_plotly
from tests.loop.goals.test_pareto import SPEC, result

ONE = CampaignSpec.model_validate(
    {"id": "t", "elements": ["Nb", "O"], "goals": [{"property": "bulk_modulus", "maximize": True}]}
)


def test_a_front_joins_what_nothing_in_range_surpasses() -> None:
    surpassed, best, stiff = result(8.0, 90.0, 0.0), result(7.0, 95.0, 0.02), result(8.5, 120.0, 0.04)
    out, high = result(9.5, 200.0, 0.0), result(7.5, 190.0, 0.3)
    figure = as_plotly(pareto_figure([surpassed, best, stiff, out, high], SPEC))
    front, *points = figure.data
    assert (list(front.x), list(front.y)) == ([7.0, 8.5], [95.0, 120.0])
    assert {trace.name: len(trace.x) for trace in points} == {
        "seeds and competing phases": 3,
        "the same, out of range": 2,
    }
    assert figure.layout.xaxis.title.text == "density (u)"


def test_one_objective_stands_against_the_hull() -> None:
    soft, stiff, surpassed = result(8.0, 60.0, 0.0), result(8.1, 90.0, 0.05), result(8.2, 50.0, 0.06)
    figure = as_plotly(pareto_figure([soft, stiff, surpassed], ONE))
    assert (list(figure.data[0].x), list(figure.data[0].y)) == ([60.0, 90.0], [0.0, 0.05])
    assert figure.layout.yaxis.title.text == "energy above hull (eV/atom)"
    assert len(pareto_figure([], ONE).data) == 1


def test_tables_have_a_column_with_its_unit() -> None:
    record = result(8.0, None, 0.0)
    record.properties["bulk_modulus"] = PropertyValue(unit="GPa", source="s", reason="no minimum")
    shown = goals.units([record])
    (row,) = brief_rows([record], shown)
    assert (row["density (u)"], row["bulk_modulus (GPa)"], row["out of range"]) == (8.0, None, None)
    flat = summary(record, shown)
    assert (flat["density"], flat["density_unit"], flat["bulk_modulus"]) == (8.0, "u", None)
    assert "density" not in summary(record)
    said = {line["step"]: line for line in lineage_rows(lambda _: record, record)}
    assert said["goal: density"]["what"] == "8 u" and said["goal: density"]["detail"] == "in range; s"
    assert (said["goal: bulk_modulus"]["what"], said["goal: bulk_modulus"]["detail"]) == (
        "none",
        "no minimum",
    )
    page = environment().get_template("macros.html").module
    table = str(page.structure_table([record]))  # type: ignore[attr-defined]
    assert '<th class="n">density (u)</th>' in table and re.search(r">8.00</td>", table)
    out = result(9.5, 60.0, 0.0)
    assert brief_rows([out], shown)[0]["out of range"] == "density"
    assert re.search(r">9.50 .*out of range", str(page.structure_table([out])))  # type: ignore[attr-defined]


def test_a_hypervolume_has_its_unit_and_the_point_it_is_measured_from() -> None:
    point = {"density": Level(value=2.2, unit="g/cm³"), "bulk_modulus": Level(value=11.35, unit="GPa")}
    metrics = RoundMetrics(hypervolume=3.12, highest_above=0.1, reference=point)
    row = round_row(RoundRecord(campaign="t", number=1, metrics=metrics))
    assert (row["hypervolume so far"], row["hypervolume in"]) == (3.12, "eV/atom · g/cm³ · GPa")
    assert row["hypervolume beyond"] == "0.1 eV/atom above hull, density 2.2 g/cm³, bulk_modulus 11.35 GPa"
    plain = round_row(RoundRecord(campaign="t", number=1))
    assert plain["hypervolume in"] is None and plain["hypervolume beyond"] is None


def test_whose_energies_and_forces_under_what_conditions_is_said_of_what_is_best() -> None:
    record = result(8.0, 60.0, 0.0)
    thermal = Thermal(temperature=300.0, oracle="forces of emt", free_energy=-0.05, above=0.01)
    assert record.verdict is not None and record.validation is not None
    hot = record.model_copy(update={"verdict": record.verdict.model_copy(update={"thermal": thermal})})
    row = record_row(hot)
    assert (row["oracle"], row["pressure"]) == (record.validation.oracle, 0.0)
    assert (row["temperature"], row["thermal_oracle"]) == (300.0, "forces of emt")
    assert (row["vibrational_free_energy"], row["gibbs_above_products"]) == (-0.05, 0.01)
    assert record_row(record)["temperature"] is None and summary(hot)["thermal_oracle"] == "forces of emt"
    assert brief_rows([hot], {})[0]["G above products at 300 K (eV/atom)"] == 0.01
    assert finds_title([record, hot]) == "Energies by test; 300 K: harmonic, forces by forces of emt"
    assert finds_title([record]) == "Energies by test"
