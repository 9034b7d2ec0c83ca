"""Documents of older Niobe versions, brought to the present schema; each is checked before it is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from niobe.config.spec import SCHEMA_VERSION, CampaignSpec
from niobe.loop.crystals.formulas import in_optimade_form
from niobe.loop.documents.records import StructureRecord
from niobe.loop.documents.rounds import CampaignRecord
from niobe.loop.store.database import Database

Document = dict[str, Any]
Step = Callable[[Document], Document]


@dataclass
class Upgraded:
    """How many documents were rewritten, by collection, and a line for each that could not be."""

    written: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)


def upgrade(database: Database) -> Upgraded:
    """Bring campaigns and structure records to the present schema; what is up to date stays as it is.

    A document that does not fit afterwards is left as it was and named. It can be run again at any time.
    """
    done = Upgraded()
    for collection in _STEPS:
        for document in database.documents.older(collection, max(_STEPS[collection]) + 1):
            try:
                record = upgraded(collection, document)
            except ValueError as error:
                done.broken.append(f"{collection} {document['id']}: {' '.join(str(error).split())[:200]}")
            else:
                database.documents.rewrite(collection, record)
                if isinstance(record, CampaignRecord):
                    _rename_steps(database, record.id)
                    database.documents.drop_kept([record.id])
                done.written[collection] = done.written.get(collection, 0) + 1
    return done


def upgraded(collection: str, document: Document) -> CampaignRecord | StructureRecord:
    """A campaign or structure record of an older version as one of the present. Raises ValueError."""
    try:
        for version in range(document.get("schema_version", 1), SCHEMA_VERSION):
            step = _STEPS[collection].get(version, _as_it_was)
            document = step(document) | {"schema_version": version + 1}
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"no document of an older version: {type(error).__name__} {error}") from None
    model = CampaignRecord if collection == "campaigns" else StructureRecord
    return model.model_validate(document)


def _rename_steps(database: Database, campaign: str) -> None:
    for record in database.rounds.find(campaign):
        steps = renamed_steps(record.steps)
        if steps != record.steps:
            database.rounds.update(campaign, record.number, steps=steps)


def renamed_steps(steps: dict[str, float]) -> dict[str, float]:
    """Version 4 calls a round's step ``offspring_1`` that was ``breed_1``."""
    return {name.replace("breed_", "offspring_"): seconds for name, seconds in steps.items()}


def _as_it_was(document: Document) -> Document:
    """What this version did not change."""
    return document


def _campaign_from_2(document: Document) -> Document:
    """Version 2 added sources to the spec, version 3 took ``prior.rattle`` away.

    A spec without the key is of a campaign that had no pre-relaxation.
    """
    prior = document["spec"].get("prior")
    if prior:
        prior = {key: value for key, value in prior.items() if key != "rattle"}
    return document | {"spec": document["spec"] | {"prior": prior}}


def _campaign_from_3(document: Document) -> Document:
    """Version 4 says ``prerelax`` where the spec said ``prior``; the digest covers all."""
    content = dict(document["spec"])
    content["prerelax"] = content.pop("prior")
    spec = CampaignSpec.model_validate(content)
    return document | {"spec": spec.model_dump(mode="json"), "spec_digest": spec.digest()}


def _campaign_from_4(document: Document) -> Document:
    """Version 5 corrects raw energies; what was begun before goes on with its own, and their fingerprint."""
    content = dict(document["spec"])
    content["oracle"] = content["oracle"] | {"corrections": "legacy"}
    spec = CampaignSpec.model_validate(content)
    return document | {"spec": spec.model_dump(mode="json"), "spec_digest": spec.digest()}


def _structure_from_1(document: Document) -> Document:
    """Version 2 adds OPTIMADE's formula and the number of elements."""
    return document | {
        "formula_reduced": in_optimade_form(document["formula"]),
        "nelements": len(document["chemsys"].split("-")),
    }


def _structure_from_3(document: Document) -> Document:
    """Version 4 says ``prerelaxed`` for ``prior``, and ``selection`` for the ``arm`` of a choice.

    That phonons are pending was a sentence among the reasons of what is undecided.
    """
    document = dict(document)
    document["prerelaxed"] = document.pop("prior", None)
    if choice := document.get("choice"):
        renamed = {key: value for key, value in choice.items() if key != "arm"}
        document["choice"] = renamed | {"selection": choice["arm"]}
    validation = document.get("validation")
    if validation and validation["phonon"]["reason"] == "phonons not run yet":
        pending = validation["phonon"] | {"outcome": "pending", "reason": ""}
        document["validation"] = validation | {"phonon": pending}
    return document


_STEPS: dict[str, dict[int, Step]] = {  # campaigns last: by them one sees that all is done
    "structures": {1: _structure_from_1, 2: _as_it_was, 3: _structure_from_3, 4: _as_it_was},
    "campaigns": {
        1: _as_it_was,
        2: _campaign_from_2,
        3: _campaign_from_3,
        4: _campaign_from_4,
        5: _as_it_was,  # no Niobe that leaves results unmarked takes a campaign of version 6
    },
}
