"""The Materials Project's own interface, as mp-api asks it. MP_API_KEY holds the key, never stored."""

from __future__ import annotations

import os
from collections.abc import Sequence
from itertools import combinations
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

from niobe.config.errors import ConfigError
from niobe.loop.crystals.decoding import decoded
from niobe.loop.documents.entries import Found, label
from niobe.loop.sources.paging import Document, Page

BASE = "https://api.materialsproject.org"
PAGE_LIMIT = 500
_FINGERPRINT = "mp GGA/GGA+U/r2SCAN mixed"
_FIELDS = (
    *("material_id", "structure", "energy_per_atom", "formation_energy_per_atom", "energy_above_hull"),
    *("band_gap", "theoretical", "database_IDs", "last_updated"),
)


def key_header() -> dict[str, str]:
    """The header that names the user. Raises ConfigError where MP_API_KEY is not set."""
    key = os.environ.get("MP_API_KEY", "")
    if not key:
        raise ConfigError("MP_API_KEY: not set; the Materials Project gives each user a key")
    return {"X-API-KEY": key}


class SummaryQuery:
    """Summary documents of all subsystems of some elements."""

    def __init__(self, base: str, elements: Sequence[str]) -> None:
        systems = [
            "-".join(chosen)
            for size in range(1, len(elements) + 1)
            for chosen in combinations(sorted(elements), size)
        ]
        parameters = {
            "chemsys": ",".join(systems),
            "deprecated": "false",
            "_fields": ",".join(_FIELDS),
            "_limit": PAGE_LIMIT,
            "_skip": 0,
        }
        self.first = f"{(base or BASE).rstrip('/')}/materials/summary/?{urlencode(parameters, safe=',')}"

    def page(self, url: str, answer: Document) -> Page:
        """See Query.page."""
        data = answer.get("data")
        if not isinstance(data, list) or not all(isinstance(d, dict) and "material_id" in d for d in data):
            raise ValueError("the answer has no list of documents with a material_id under data")
        total = _total(answer.get("meta"))
        following = (
            _after(url, len(data)) if data and (total is None or _skip(url) + len(data) < total) else None
        )
        return Page(ids=[str(d["material_id"]) for d in data], entries=data, next=following, total=total)


def found(document: Document) -> Found:
    """Structure and labels of a summary document. Raises ValueError where there is no structure."""
    structure = decoded(document.get("structure"))
    labels = [
        *label("energy_per_atom", document.get("energy_per_atom"), _FINGERPRINT),
        *label("formation_energy_per_atom", document.get("formation_energy_per_atom"), _FINGERPRINT),
        *label("e_above_hull", document.get("energy_above_hull"), _FINGERPRINT),
        *label("band_gap", document.get("band_gap"), _FINGERPRINT),
    ]
    references = {
        name: ", ".join(str(identifier) for identifier in identifiers)
        for name, identifiers in (document.get("database_IDs") or {}).items()
    }
    if document.get("theoretical") is not None:
        references["theoretical"] = str(document["theoretical"]).lower()
    return Found(str(document["material_id"]), structure, labels, references)


def _skip(url: str) -> int:
    return int(parse_qs(urlsplit(url).query)["_skip"][0])


def _after(url: str, count: int) -> str:
    parts = urlsplit(url)
    parameters = {key: values[0] for key, values in parse_qs(parts.query).items()}
    parameters["_skip"] = str(_skip(url) + count)
    return urlunsplit(parts._replace(query=urlencode(parameters, safe=",")))


def _total(meta: Any) -> int | None:
    total = meta.get("total_doc") if isinstance(meta, dict) else None
    return total if isinstance(total, int) and not isinstance(total, bool) and total >= 0 else None
