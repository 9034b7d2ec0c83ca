"""OPTIMADE over the campaign database: every validated structure, by optimade-python-tools.

Searches run on the records themselves: by ``facets``, which are stored beside each of them, and by the
record's own fields. Positions and species are made from the relaxed structure as it is read.
"""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from bson.errors import BSONError
from fastapi.exceptions import RequestValidationError
from optimade.adapters.structures.pymatgen import from_pymatgen
from optimade.exceptions import BadRequest
from optimade.filtertransformers.mongo import MongoTransformer
from optimade.models import StructureResource
from optimade.server.config import ServerConfig
from optimade.server.create_app import create_app
from optimade.server.entry_collections.mongo import MongoCollection
from optimade.server.exception_handlers import general_exception
from optimade.server.mappers import StructureMapper
from optimade.server.middleware import AddWarnings
from pydantic import ValidationError
from pymongo.errors import PyMongoError

from niobe.config.errors import ConfigError
from niobe.launchers.terminal import in_words
from niobe.loop.crystals.symmetry import hermann_mauguin
from niobe.loop.documents.records import Status, StructureRecord
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.store.mapping import at, from_mongo
from niobe.loop.store.queries import facets

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

    from niobe.loop.store.database import Database

PREFIX = "/optimade"
_MILLISECONDS = 5_000
_LONGEST, _DEEPEST, _MOST_TERMS = 4_000, 20, 200
_MOST_FIELDS, _FURTHEST = 100, 10_000_000
_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_JSON_PATH = re.compile(r"/(structures|references|links|info)(/|$)")
_TERMS = re.compile(r"[^\s(),:]+")
_SERVED = {"status": Status.VALIDATED.value}
_FACETS = (
    *("id", "elements", "elements_ratios", "chemical_formula_anonymous"),
    *("nperiodic_dimensions", "dimension_types", "structure_features"),
)
_FIELDS: dict[str, tuple[str, str, str | None, str]] = {
    "campaign": ("campaign", "string", None, "The campaign that found the structure."),
    "round": ("round", "integer", None, "The round in which it was generated; 0 for seeds."),
    "generator": ("lineage.generator", "string", None, "What drew it: gan, random, prototype, offspring, …"),
    "oracle": ("validation.oracle", "string", None, "Fingerprint of what answered for energies and forces."),
    "symprec": (
        "validation.refined.symprec",
        "float",
        "angstrom",
        "Tightest tolerance that finds the space group of a find, relaxed tightly.",
    ),
    "prototype": ("validation.refined.prototype", "string", None, "AFLOW label of a find's prototype."),
    "mineral": (
        "validation.refined.mineral",
        "string",
        None,
        "Mineral that a find's prototype is named for.",
    ),
    "pressure": ("validation.pressure", "float", "GPa", "Under which energies are enthalpies; else 0."),
    "energy_per_atom": (
        "validation.energy_per_atom",
        "float",
        "eV",
        "Energy by the oracle, corrected, per atom; under a pressure the enthalpy.",
    ),
    "formation_energy_per_atom": (
        "verdict.formation_energy_per_atom",
        "float",
        "eV",
        "Formation energy against the oracle's own elements, per atom.",
    ),
    "e_above_hull": (
        "verdict.e_above_hull_now",
        "float",
        "eV",
        "Energy above the newest convex hull of the campaign's own structures, per atom.",
    ),
    "temperature": (
        "verdict.thermal.temperature",
        "float",
        "K",
        "Temperature of a find's harmonic free energies.",
    ),
    "gibbs_above_products": (
        "verdict.thermal.above",
        "float",
        "eV",
        "Gibbs energy of a find above the other phases that have free energies, there, per atom.",
    ),
    "lowest_phonon_frequency": (
        "validation.phonon.lowest_frequency",
        "float",
        "THz",
        "Lowest phonon frequency; negative where the mode is imaginary.",
    ),
    "double_well_depth": (
        "validation.phonon.well.depth",
        "float",
        "eV",
        "What an unstable crystal gains along its softest mode, per atom; null where it is stable.",
    ),
    "verdict": (
        "validation.phonon.outcome",
        "string",
        None,
        "Dynamical verdict: stable, unstable, stabilised (unstable at 0 K, held by its motion) or undecided.",
    ),
    "challenge_survived": (
        "challenge.survived",
        "boolean",
        None,
        "Whether the find survived a search for what may take its claim away; null where there was none.",
    ),
    "opinions_agreeing": (
        "verdict.opinions_agreeing",
        "integer",
        None,
        "How many oracles besides the campaign's agree, each on a hull of its own.",
    ),
    "opinions_asked": (
        "verdict.opinions_asked",
        "integer",
        None,
        "How many oracles besides the campaign's were asked.",
    ),
    "opinions_spread": (
        "verdict.spread",
        "float",
        "eV",
        "Between the highest and the lowest height above its products by all oracles asked, per atom.",
    ),
    "novelty": (
        "verdict.novelty.kind",
        "string",
        None,
        "Of a find: known, ordering, distortion, disputed, substitution or new, beside all that is known.",
    ),
    "novelty_of": (
        "verdict.novelty.of",
        "string",
        None,
        "What a find is, or is an ordering, a distortion or a substitution of.",
    ),
    "rediscovered": (
        "verdict.rediscovered",
        "boolean",
        None,
        "As a discovery, but known before.",
    ),
    "discovery": (
        "verdict.discovery",
        "boolean",
        None,
        "Near the hull, unique, novel against the seeds and dynamically stable.",
    ),
}


class RecordMapper(StructureMapper):
    """From a stored structure record to an OPTIMADE structure."""

    def map_back(self, doc: dict[str, Any]) -> dict[str, Any]:
        """Facets as stored, positions and species from the relaxed structure, and Niobe's own fields."""
        record = StructureRecord.model_validate(from_mongo(doc))
        structure = relaxed_structure(record)
        structure.unset_charge()
        attributes = from_pymatgen(structure.remove_oxidation_states()).model_dump(mode="json")
        attributes |= {facet: value for facet, value in facets(record).items() if facet != "id"}
        attributes["chemical_formula_reduced"] = record.formula_reduced
        attributes["chemical_formula_descriptive"] = record.formula
        number = record.validation.spacegroup if record.validation else None
        attributes["space_group_it_number"] = number
        attributes["space_group_symbol_hermann_mauguin"] = number and hermann_mauguin(number)
        modified = doc.get("modified")
        attributes["last_modified"] = f"{modified.isoformat()}Z" if isinstance(modified, datetime) else None
        attributes |= {f"_niobe_{name}": at(doc, path) for name, (path, *_) in _FIELDS.items()}
        return {"id": doc["_id"], "type": "structures", "attributes": attributes}


class RecordTransformer(MongoTransformer):
    """From an OPTIMADE filter to a query of records.

    ``species_at_sites`` is searched in the stored elements: the same symbols, but not as many of them. The
    library keeps one length for each stored field, so this one gets its stored name after it is done.
    """

    def fuzzy_string_op_rhs(self, arg: list[Any]) -> dict[str, str]:
        """CONTAINS, STARTS and ENDS: the text itself, as the library would take it for a pattern."""
        text = re.escape(str(arg[-1]))
        patterns = {"CONTAINS": text, "STARTS": f"^{text}", "ENDS": f"{text}$"}
        return {"$regex": patterns[str(arg[0])]}

    def postprocess(self, query: dict[str, Any]) -> Any:
        """The query as MongoDB takes it. Raises BadRequest for a time that is none."""
        return _renamed(super().postprocess(query), "species_at_sites", "facets.elements")

    def _apply_mongo_date_filter(self, filter_: dict[str, Any]) -> Any:
        """Times as MongoDB stores them; the library reads numbers and knownness as times too."""
        return _with_times(filter_, "modified", stored=False)


def _with_times(query: Any, name: str, *, stored: bool) -> Any:
    """The query, what is compared with the field of that name as a time. stored: within that field."""
    if isinstance(query, dict):
        known = {"$exists", "$type"}
        return {
            key: value if key in known else _with_times(value, name, stored=stored or key == name)
            for key, value in query.items()
        }
    if isinstance(query, list):
        return [_with_times(part, name, stored=stored) for part in query]
    return query if query is None or not stored else _time(query)


def _time(text: Any) -> datetime:
    try:
        found = datetime.fromisoformat(text if isinstance(text, str) else "")
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise BadRequest(detail="filter: a time is as in last_modified > 2026-01-31T12:00:00Z") from None


def _renamed(query: Any, name: str, stored: str) -> Any:
    if isinstance(query, dict):
        return {key.replace(name, stored): _renamed(value, name, stored) for key, value in query.items()}
    return [_renamed(part, name, stored) for part in query] if isinstance(query, list) else query


class ValidatedStructures(MongoCollection):
    """The structure records that an oracle answered for."""

    def __init__(self, config: ServerConfig) -> None:
        mapper = RecordMapper(config)
        super().__init__(config.structures_collection, StructureResource, mapper, config)
        self.transformer = RecordTransformer(mapper=mapper)

    def __len__(self) -> int:
        return self.collection.count_documents(_SERVED)

    def count(self, **kwargs: Any) -> int | None:
        """How many match within the time allowed, or None."""
        return super().count(**({"filter": _SERVED} | kwargs))

    def handle_query_params(self, params: Any) -> dict[str, Any]:
        """The query of a request, for validated records alone; whole records are read.

        Raises BadRequest for one that costs more than any that a person would write.
        """
        _check_cost(params)
        criteria = super().handle_query_params(params)
        criteria["filter"] = {"$and": [_SERVED, criteria["filter"]]} if criteria["filter"] else _SERVED
        criteria["projection"] = {}
        criteria["max_time_ms"] = _MILLISECONDS
        return criteria

    def _run_db_query(
        self, criteria: dict[str, Any], single_entry: bool = False
    ) -> tuple[list[dict[str, Any]], int | None, bool]:
        return super()._run_db_query({**criteria, "projection": None}, single_entry)


class _WarningsInJson(AddWarnings):
    """The library's, kept from answers that are no JSON, which it fails to read."""

    async def dispatch(self, request: Request, call_next: Any) -> Any:
        """See BaseHTTPMiddleware."""
        if not _JSON_PATH.search(request.url.path):
            return await call_next(request)
        return await super().dispatch(request, call_next)


def _check_cost(params: Any) -> None:
    """Raises BadRequest, before anything is parsed, for a filter or a page that costs too much."""
    filter, fields = getattr(params, "filter", None) or "", getattr(params, "response_fields", None) or ""
    bare = _QUOTED.sub('""', filter)
    depths = itertools.accumulate((letter == "(") - (letter == ")") for letter in bare)
    offset = getattr(params, "page_offset", 0) or 0
    number = getattr(params, "page_number", 0) or 0
    problems = {
        f"filter: more than {_LONGEST} characters": len(filter) > _LONGEST,
        f"filter: parentheses deeper than {_DEEPEST}": max(depths, default=0) > _DEEPEST,
        f"filter: more than {_MOST_TERMS} words and values": len(_TERMS.findall(bare)) > _MOST_TERMS,
        f"response_fields: more than {_MOST_FIELDS}": fields.count(",") >= _MOST_FIELDS,
        f"sort: more than {_LONGEST} characters": len(getattr(params, "sort", None) or "") > _LONGEST,
        f"page_offset, page_number: not between 0 and {_FURTHEST}": not (
            0 <= offset <= _FURTHEST and number <= _FURTHEST
        ),
    }
    for problem, found in problems.items():
        if found:
            raise BadRequest(detail=problem)


def _refused(request: Request, error: Exception) -> Response:
    """What the database will not do is the client's mistake; where there is no database, that is said."""
    from pymongo.errors import ConnectionFailure, ExecutionTimeout

    if isinstance(error, ConnectionFailure):
        return general_exception(request, Exception("the database does not answer; ask again"), 503)
    said = f"the database refuses this query ({type(error).__name__})"
    if isinstance(error, ExecutionTimeout):
        said = f"the query takes longer than {_MILLISECONDS / 1000:g} s; narrow it"
    return general_exception(request, BadRequest(detail=said))


def _unreadable(request: Request, error: Exception) -> Response:
    """A stored record is none: one line, as on the pages."""
    said = in_words(error) if isinstance(error, ValidationError) else str(error)
    return general_exception(request, Exception(said), 409)


def _malformed(request: Request, error: Exception) -> Response:
    """A parameter of the wrong kind, for which the library answers 500."""
    found = error.errors() if isinstance(error, RequestValidationError) else []
    said = "; ".join(f"{part['loc'][-1]}: {part['msg']}" for part in found[:3])
    return general_exception(request, BadRequest(detail=said))


def optimade_app(database: Database, uri: str) -> FastAPI:
    """The OPTIMADE server as an application to be mounted at ``PREFIX``."""
    config = _config(database, uri)
    app = create_app(config)
    config.root_path = PREFIX
    for middleware in app.user_middleware:
        if middleware.cls is AddWarnings:
            middleware.cls = _WarningsInJson
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(ConfigError, _unreadable)
    app.add_exception_handler(ValidationError, _unreadable)
    for error in (PyMongoError, BSONError, OverflowError, RecursionError, UnicodeEncodeError):
        app.add_exception_handler(error, _refused)
    app.state.entry_collections["structures"] = ValidatedStructures(config)
    return app


def _config(database: Database, uri: str) -> ServerConfig:
    aliases = {
        "nelements": "nelements",
        "nsites": "n_atoms",
        "chemical_formula_reduced": "formula_reduced",
        "chemical_formula_descriptive": "formula",
        "space_group_it_number": "validation.spacegroup",
        "last_modified": "modified",
    }
    aliases |= {facet: f"facets.{facet}" for facet in _FACETS}
    aliases |= {f"_niobe_{name}": path for name, (path, *_) in _FIELDS.items()}
    return ServerConfig(
        insert_test_data=False,
        database_backend="mongodb",
        mongo_uri=uri,
        mongo_database=database.mongo.name,
        structures_collection="structures",
        links_collection="optimade_links",
        references_collection="optimade_references",
        page_limit_max=100,
        provider={
            "prefix": "niobe",
            "name": "Niobe",
            "description": "Crystals found, relaxed and judged by a Niobe campaign",
            "homepage": None,
        },
        provider_fields={
            "structures": [
                {"name": f"_niobe_{name}", "type": kind, "description": description}
                | ({"unit": unit} if unit else {})
                for name, (_, kind, unit, description) in _FIELDS.items()
            ]
        },
        aliases={"structures": aliases},
    )
