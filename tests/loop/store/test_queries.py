"""What a person may ask of the records: filters, and a query language that lets nothing harmful through."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from niobe.config.errors import ConfigError
from niobe.loop.documents.dynamics import Stability
from niobe.loop.store.queries import OPERATORS, Filter, facets, parse_query, sorted_query, systems_with
from tests.loop.factory import element, rutile, validated


def test_a_form_becomes_the_query_one_would_write() -> None:
    asked = Filter(
        elements="o", dynamics=Stability.STABLE, max_above=0.05, source="generated", discovery=True
    )
    assert asked.to_query(("Nb", "O")) == {
        "chemsys": {"$in": ["O", "Nb-O"]},
        "validation.phonon.outcome": "stable",
        "verdict.discovery": True,
        "round": {"$gte": 1},
        "verdict.e_above_hull_now": {"$lte": 0.05},
    }
    assert Filter.model_validate({"round": "", "max_above": ""}).to_query(("Nb", "O")) == {}


def test_systems_hold_what_is_wanted_and_nothing_foreign() -> None:
    assert systems_with(["O"], ["Nb", "O", "Ti"]) == ["O", "Nb-O", "O-Ti", "Nb-O-Ti"]
    assert systems_with(["Fe"], ["Nb", "O"]) == ["Fe", "Fe-Nb", "Fe-O", "Fe-Nb-O"]


def test_sorting_by_a_figure_asks_for_records_that_have_it() -> None:
    wanted = sorted_query({"status": "validated"}, "e_above_hull")
    assert wanted["$and"][0] == {"status": "validated"}
    assert "verdict.e_above_hull_now" in wanted["$and"][1]


@pytest.mark.parametrize(
    "text",
    [
        '{"n_atoms": {"$lte": 8}, "$or": [{"formula": "NbO"}, {"verdict.e_above_hull_now": {"$lt": 0.1}}]}',
        '{"formula": {"$regex": "^Nb2"}}',
        '{"lineage.parents": {"$size": 1}, "pinned": true, "failure": null}',
        '{"n_atoms": {"$not": {"$in": [1, 2]}}}',
    ],
)
def test_comparisons_and_logic_are_let_through_unchanged(text: str) -> None:
    assert parse_query(text) == json.loads(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"$where": "sleep(10000)"}', r"\$where"),
        ('{"a": {"$where": "1"}}', r"\$where"),
        ('{"$expr": {"$function": {}}}', r"\$expr"),
        ('{"a": {"$function": 1}}', r"\$function"),
        ('{"$and": [{"$nor": [{"$where": "1"}]}]}', r"\$where"),
        ('{"a": {"$elemMatch": {"$where": "1"}}}', r"\$where"),
        ('{"a": {"$not": {"$jsonSchema": {}}}}', r"\$jsonSchema"),
        ('{"a": {"$regex": "(a+)+$"}}', r"\$regex"),
        ('{"a": {"$regex": "a", "$options": "x"}}', r"\$options"),
        ('{"a": {"$in": [{"$where": "1"}]}}', "compare with"),
        ('{"a": NaN}', "NaN"),
        ('{"a": 1e999}', "too large"),
        (f'{{"a": {10**30}}}', "too large"),
        ('{"a.$b": 1}', "no field name"),
        ("[1]", "needs an object"),
        ("db.dropDatabase()", "not JSON"),
        ('{"a":' * 40 + "1" + "}" * 40, "nested deeper"),
        (json.dumps({"a": {"$in": list(range(500))}}), "more than"),
    ],
)
def test_what_could_write_run_code_or_hang_is_refused_by_name(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_query(text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from([*OPERATORS, "$where", "$expr", "$function", "a", "b.c"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_whatever_is_let_through_holds_only_known_operators(query: Any) -> None:
    try:
        found = parse_query(json.dumps(query))
    except ConfigError:
        return

    def check(value: Any) -> None:
        if isinstance(value, dict):
            assert all(not key.startswith("$") or key in OPERATORS for key in value)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(inner)

    check(found)


@pytest.mark.parametrize("bad", [{"elements": "Nb<script>"}, {"round": -1}, {"status": "$ne"}, {"more": 1}])
def test_a_form_takes_only_what_it_shows(bad: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Filter.model_validate(bad)


def test_facets_are_what_optimade_asks_for() -> None:
    found = facets(validated(rutile(), -9.0))
    assert found["elements"] == ["Nb", "O"]
    assert found["chemical_formula_anonymous"] == "A2B"
    assert found["elements_ratios"] == pytest.approx([1 / 3, 2 / 3])
    assert facets(validated(element("O"), -4.0))["elements_ratios"] == [1.0]
