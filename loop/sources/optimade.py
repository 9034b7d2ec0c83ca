"""OPTIMADE: any provider, paged by its own links, read by optimade-python-tools' models.

Specification: https://www.optimade.org, version 1.2. optimade-python-tools' client retries without end,
ignores Retry-After and cannot resume (decision 50), so the requests are made here.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any
from urllib.parse import quote, urlencode, urljoin

from niobe.config.errors import ConfigError
from niobe.loop.documents.entries import Found, Label, Quantity, label
from niobe.loop.readers.documents import optimade_structure
from niobe.loop.sources.paging import Document, Page

PAGE_LIMIT = 100
# Attribute (a dot reaches inside), what it says, and what is behind it; from the providers' own pages.
_LABELS: tuple[tuple[str, Quantity, str], ...] = (
    ("_mp_stability.gga_gga+u.formation_energy_per_atom", "formation_energy_per_atom", "mp GGA/GGA+U MP2020"),
    ("_mp_stability.gga_gga+u.energy_above_hull", "e_above_hull", "mp GGA/GGA+U MP2020"),
    ("_mp_stability.r2scan.formation_energy_per_atom", "formation_energy_per_atom", "mp r2SCAN"),
    ("_mp_stability.r2scan.energy_above_hull", "e_above_hull", "mp r2SCAN"),
    ("_oqmd_delta_e", "formation_energy_per_atom", "oqmd PBE/PBE+U"),
    ("_oqmd_stability", "e_above_hull", "oqmd PBE/PBE+U"),
    ("_oqmd_band_gap", "band_gap", "oqmd PBE/PBE+U"),
    ("_alexandria_formation_energy_per_atom", "formation_energy_per_atom", "alexandria PBE"),
    ("_alexandria_hull_distance", "e_above_hull", "alexandria PBE"),
    ("_niobe_energy_per_atom", "energy_per_atom", "niobe {}"),
    ("_niobe_formation_energy_per_atom", "formation_energy_per_atom", "niobe {}"),
    ("_niobe_e_above_hull", "e_above_hull", "niobe {}"),
)


class OptimadeQuery:
    """Structures of one provider that a filter lets through."""

    def __init__(self, base: str, filter: str) -> None:
        _check_filter(filter)
        parameters = {"filter": filter, "page_limit": PAGE_LIMIT, "response_format": "json"}
        self.first = f"{versioned(base)}/structures?{urlencode(parameters, quote_via=quote)}"

    def page(self, url: str, answer: Document) -> Page:
        """See Query.page."""
        data = answer.get("data")
        if not isinstance(data, list) or not all(isinstance(entry, dict) and "id" in entry for entry in data):
            raise ValueError("the answer has no list of entries with ids under data")
        meta = answer.get("meta")
        return Page(
            ids=[str(entry["id"]) for entry in data],
            entries=data,
            next=_next(url, answer),
            total=_total(meta),
            more=isinstance(meta, dict) and meta.get("more_data_available") is True,
        )


def versioned(base: str) -> str:
    """The base address with its major version."""
    base = base.rstrip("/")
    last = base.rsplit("/", 1)[-1]
    return base if last[:1] == "v" and last[1:2].isdigit() else f"{base}/v1"


def subsystems_filter(elements: Sequence[str]) -> str:
    """Everything made of these elements only, by what every provider must support (HAS ONLY is optional)."""
    terms = []
    for size in range(1, len(elements) + 1):
        for chosen in combinations(sorted(elements), size):
            named = ", ".join(f'"{symbol}"' for symbol in chosen)
            terms.append(f"(elements HAS ALL {named} AND nelements = {size})")
    return " OR ".join(terms)


def found(entry: Document) -> Found:
    """Structure and labels of an entry. Raises ValueError where it is no OPTIMADE structure."""
    attributes = entry.get("attributes")
    if not isinstance(attributes, dict):
        raise ValueError("the entry has no attributes")
    references = {
        key.lstrip("_"): str(attributes[key])
        for key in ("immutable_id", "last_modified", "_oqmd_entry_id", "_oqmd_icsd_id", "_niobe_record")
        if attributes.get(key) is not None
    }
    return Found(str(entry["id"]), optimade_structure(entry), labels(attributes), references)


def labels(attributes: Document) -> list[Label]:
    """What the attributes of an entry say, by the providers' own names."""
    found: list[Label] = []
    oracle = attributes.get("_niobe_oracle")
    for path, quantity, fingerprint in _LABELS:
        value: Any = attributes
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        found += label(quantity, value, fingerprint.format(oracle))
    return found


def _next(url: str, answer: Document) -> str | None:
    """Where more is. Raises ValueError where something else stands there: the rest would be left out."""
    links = answer.get("links") or {}
    following = links.get("next") if isinstance(links, dict) else [links]
    following = following.get("href") if isinstance(following, dict) else following
    if not following:
        return None
    if not isinstance(following, str):
        raise ValueError("the next page (links.next) is no address")
    return urljoin(url, following)


def _total(meta: Any) -> int | None:
    total = meta.get("data_returned") if isinstance(meta, dict) else None
    return total if isinstance(total, int) and not isinstance(total, bool) and total >= 0 else None


def _check_filter(filter: str) -> None:
    from optimade.exceptions import BadRequest
    from optimade.filterparser import LarkParser, ParserError

    try:
        LarkParser().parse(filter)
    except (BadRequest, ParserError) as error:
        raise ConfigError(
            f"filter: {filter!r} is no OPTIMADE filter ({' '.join(str(error).split())[:120]})"
        ) from None
