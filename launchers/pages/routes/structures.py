"""Pages of one structure: what it is, where it comes from, its files, and steering it."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException, Response
from fastapi import Path as InPath
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from pydantic import BaseModel, Field, ValidationError

from niobe.config.errors import ConfigError
from niobe.config.home import home, resolved
from niobe.launchers.output.exports import Cell, as_text
from niobe.launchers.pages import plots, views
from niobe.launchers.pages.routes.shared import Allowed, Db, Form, Record, page
from niobe.launchers.pages.scenes import structure_scene
from niobe.launchers.steering import Action, steer
from niobe.loop.documents.records import StructureRecord, is_own_folder
from niobe.loop.documents.structures import relaxed_structure
from niobe.loop.store.database import Database

router = APIRouter()
_MOST_FILES = 200
_TYPES = {
    "cif": "chemical/x-cif",
    "poscar": "text/plain",
    "extxyz": "chemical/x-xyz",
    "json": "application/json",
}
_SUFFIXES = {"cif": ".cif", "poscar": ".vasp", "extxyz": ".extxyz", "json": ".json"}


class _Steering(BaseModel):
    action: Action
    note: Annotated[str, Field(max_length=500)] = ""


@router.get("/structures/{record}", response_class=HTMLResponse)
def structure(database: Db, access: Allowed, record: Record) -> HTMLResponse:
    """One structure: viewer, energies, phonons, lineage, files.

    database: the campaign database. access: who may read and steer. record: the structure record.
    """
    phonons = database.phonons.find_one(record.id)
    tolerance = record.validation.phonon.tolerance if record.validation else 0.0
    modes = phonons.modes if phonons else []
    lattice = relaxed_structure(record).lattice
    return page(
        "structure.html",
        access,
        campaign=database.campaigns.find_one(record.campaign),
        record=record,
        lattice=f"{lattice.a:.3f} × {lattice.b:.3f} × {lattice.c:.3f} Å; "
        f"{lattice.alpha:.1f}°, {lattice.beta:.1f}°, {lattice.gamma:.1f}°",
        scene=structure_scene(record, phonons),
        modes=modes,
        labels=views.PREDICTED,
        bands=plots.phonon_figure(phonons, tolerance) if phonons else None,
        lineage=views.lineage_nodes(record, database.records.get),
        children=database.records.children(record.id),
        files=_file_names(record),
    )


@router.get("/structures/{record}/download/{kind}")
def download(
    record: Record, kind: Literal["cif", "poscar", "extxyz", "json"], cell: Cell = "relaxed"
) -> Response:
    """The structure as a file, relaxed where it was, in its primitive or conventional cell if asked."""
    name = f"{record.formula}-{record.id}{_SUFFIXES[kind]}"
    headers = {"content-disposition": f'attachment; filename="{name}"'}
    try:
        text = as_text(record, kind, cell)
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    return Response(text, media_type=_TYPES[kind], headers=headers)


@router.get("/structures/{record}/files/{name:path}")
def oracle_file(record: Record, name: Annotated[str, InPath(max_length=200)]) -> FileResponse:
    """One file the oracle left, where it was kept."""
    folder = _folder(record)
    if folder is None or name not in _file_names(record):
        raise HTTPException(404, f"structure {record.id!r} has no file of that name")
    return FileResponse(folder / name, media_type="text/plain; charset=utf-8")


def _file_names(record: StructureRecord) -> list[str]:
    folder = _folder(record)
    if folder is None:
        return []
    files = (path for path in folder.rglob("*") if path.is_file() and resolved(path).is_relative_to(folder))
    return sorted(str(file.relative_to(folder)) for file in islice(files, _MOST_FILES))


def _folder(record: StructureRecord) -> Path | None:
    """Where the oracle's files of this record are kept; no other folder is served, whatever it says."""
    kept = (record.failure and record.failure.files) or (record.validation and record.validation.files)
    if not kept or not is_own_folder(record, kept):
        return None
    folder = home() / kept
    return folder if folder == resolved(folder) and folder.is_dir() else None


@router.post("/structures/{record}/steer")
def pin_or_veto(database: Db, record: Record, fields: Form) -> RedirectResponse:
    """Pin or veto a screened candidate, with a note.

    database: the campaign database. record: the structure record. fields: of the form.
    """
    _steer(database, record, fields)
    return RedirectResponse(f"/structures/{record.id}#steer", 303)


def _steer(database: Database, record: StructureRecord, fields: dict[str, str]) -> None:
    try:
        wanted = _Steering.model_validate(fields)
        steer(database, record.id, wanted.action, wanted.note)
    except ValidationError:
        raise HTTPException(422, "action: pin or veto; note: at most 500 characters") from None
    except ConfigError as error:
        raise HTTPException(409, str(error)) from None
