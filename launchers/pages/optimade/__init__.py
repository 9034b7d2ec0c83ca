"""OPTIMADE over the campaign database: every validated structure, by optimade-python-tools.

Searches run on the records themselves: by ``facets``, which are stored beside each of them, and by the
record's own fields. Positions and species are made from the relaxed structure as it is read.
"""

from __future__ import annotations

import re
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from bson.errors import BSONError
from fastapi.exceptions import RequestValidationError
from optimade.adapters.structures.pymatgen import from_pymatgen
from optimade.exceptions import BadRequest
from optimade.models import StructureResource
from optimade.server.config import ServerConfig
from optimade.server.create_app import create_app
from optimade.server.entry_collections.mongo import MongoCollection
from optimade.server.exception_handlers import general_exception
from optimade.server.mappers import StructureMapper
from optimade.server.middleware import AddWarnings
from optimade.warnings import LocalOptimadeWarning, OptimadeWarning
from pydantic import ValidationError
from pymongo.errors import PyMongoError

from niobe.config.errors import ConfigError
from niobe.launchers.pages.optimade.fields import FIELDS
from niobe.launchers.pages.optimade.filters import RecordTransformer, check_cost
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
_JSON_PATH = re.compile(r"/(structures|references|links|info)(/|$)")
_SERVED = {"status": Status.VALIDATED.value}
_SAID: ContextVar[list[dict[str, str]]] = ContextVar("warnings of the answer that is being made")
_FACETS = (
    *("id", "elements", "elements_ratios", "chemical_formula_anonymous"),
    *("nperiodic_dimensions", "dimension_types", "structure_features"),
)


class RecordMapper(StructureMapper):
    """From a stored structure record to an OPTIMADE structure."""

    def map_back(self, doc: dict[str, Any]) -> dict[str, Any]:
        """As it is: ``ValidatedStructures`` makes resources where it reads them."""
        return doc

    def resource(self, doc: dict[str, Any]) -> dict[str, Any]:
        """Facets as stored, positions and species from the relaxed structure, and Niobe's own fields.

        Raises ConfigError or ValidationError where the document is no record.
        """
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
        attributes |= {f"_niobe_{name}": at(doc, path) for name, (path, *_) in FIELDS.items()}
        return {"id": doc["_id"], "type": "structures", "attributes": attributes}


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
        check_cost(params)
        criteria = super().handle_query_params(params)
        criteria["filter"] = {"$and": [_SERVED, criteria["filter"]]} if criteria["filter"] else _SERVED
        criteria["projection"] = {}
        criteria["max_time_ms"] = _MILLISECONDS
        return criteria

    def _run_db_query(
        self, criteria: dict[str, Any], single_entry: bool = False
    ) -> tuple[list[dict[str, Any]], int | None, bool]:
        """Resources. One that cannot be read is left out of a page, and a warning of the answer says so.

        Raises ConfigError or ValidationError where it is asked for alone.
        """
        found, count, more = super()._run_db_query({**criteria, "projection": None}, single_entry)
        mapper = cast(RecordMapper, self.resource_mapper)
        if single_entry:
            return [mapper.resource(document) for document in found], count, more
        return [made for document in found if (made := _readable(mapper, document))], count, more


def _readable(mapper: RecordMapper, document: dict[str, Any]) -> dict[str, Any] | None:
    try:
        return mapper.resource(document)
    except (ConfigError, ValidationError) as error:
        said = {"title": "left out: cannot be read", "detail": f"{document['_id']}: {_in_a_line(error)}"}
        _SAID.get().append({"type": "warning"} | said)
        return None


class _WarningsInJson(AddWarnings):
    """The library's, kept from answers that are no JSON, which it fails to read; those of one answer are not
    said in another that is made at the same time, nor on the terminal of who serves: a stranger wrote them.
    """

    @property
    def _warnings(self) -> Any:
        return _SAID.get()

    @_warnings.setter
    def _warnings(self, found: Any) -> None:
        _SAID.set(found)

    async def dispatch(self, request: Request, call_next: Any) -> Any:
        """See BaseHTTPMiddleware."""
        if not _JSON_PATH.search(request.url.path):
            return await call_next(request)
        return await super().dispatch(request, call_next)

    def showwarning(self, message: Any, category: type[Warning], *where: Any, **named: Any) -> None:
        """See ``warnings.showwarning``."""
        if not issubclass(category, OptimadeWarning) or issubclass(category, LocalOptimadeWarning):
            super().showwarning(message, category, *where, **named)
            return
        self._warnings.append({"type": "warning", "title": message.title, "detail": str(message)})


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
    return general_exception(request, Exception(_in_a_line(error)), 409)


def _in_a_line(error: Exception) -> str:
    return in_words(error) if isinstance(error, ValidationError) else str(error)


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
    aliases |= {f"_niobe_{name}": path for name, (path, *_) in FIELDS.items()}
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
                for name, (_, kind, unit, description) in FIELDS.items()
            ]
        },
        aliases={"structures": aliases},
    )
