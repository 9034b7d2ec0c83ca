"""What a campaign says by names of its own names no code to what decodes its stored jobs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from monty.json import MontyDecoder, MontyEncoder
from pydantic import ValidationError

from niobe.config.spec import CampaignSpec
from niobe.flows.round import prepare

BASE: dict[str, Any] = {"id": "x", "elements": ["Cu", "Au"], "oracle": {"name": "emt"}}
ASE = {"name": "ase", "calculator": "ase.calculators.emt:EMT"}
CODE = ({"@module": "this", "@class": "x"}, {"@module": "this", "@callable": "x"}, {"$oid": "0" * 24})
PLACES = {
    "surrogate.options": lambda code: BASE | {"surrogate": {"options": code}},
    "oracle.kwargs": lambda code: BASE | {"oracle": ASE | {"kwargs": code}},
    "within a list of it": lambda code: BASE | {"oracle": ASE | {"kwargs": {"a": [[{"b": code}]]}}},
}


def free(schema: dict[str, Any], part: dict[str, Any], path: str = "") -> Iterator[str]:
    """Where a campaign may use names of its own, by the schema of its spec."""
    if "$ref" in part:
        name = part["$ref"].rsplit("/", 1)[-1]
        if path.count(".") < 8:
            yield from free(schema, schema["$defs"][name], path)
        return
    if part.get("type") == "object" and part.get("additionalProperties", False) is not False:
        yield path.lstrip(".")
    for key, inside in part.get("properties", {}).items():
        yield from free(schema, inside, f"{path}.{key}")
    items = [part["items"]] if "items" in part else []
    for inside in (*part.get("anyOf", ()), *part.get("oneOf", ()), *items):
        yield from free(schema, inside, path)


@pytest.mark.parametrize("place", PLACES)
def test_a_name_that_is_looked_up_is_refused(place: str) -> None:
    CampaignSpec.model_validate(PLACES[place]({"depth": 2}))
    for code in CODE:
        with pytest.raises(ValidationError, match="no name may begin with @ or"):
            CampaignSpec.model_validate(PLACES[place](code))


def test_these_are_all_places() -> None:
    schema = CampaignSpec.model_json_schema()
    found = set(free(schema, schema))
    assert found == {"surrogate.options", "oracle.kwargs", "limits.fractions"}  # of elements, the last


def test_what_a_job_carries_imports_nothing_when_it_is_decoded() -> None:
    words = {"model": "gbt", "options": {"module": "this", "class": "x"}}
    spec = CampaignSpec.model_validate(BASE | {"surrogate": words})
    (job, *_) = prepare(spec, 0).jobs
    MontyDecoder().decode(json.dumps(job.as_dict(), cls=MontyEncoder))
    assert "this" not in sys.modules
