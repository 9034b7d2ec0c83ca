"""The web pages of a campaign database: ``create_app`` and what it is told.

Pages read; only with ``Access.steering`` may they pin, veto and stop.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, RedirectResponse
from pydantic import ValidationError
from pymongo.errors import PyMongoError
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.staticfiles import StaticFiles

from niobe.config.errors import ConfigError
from niobe.launchers.pages.rendering import STATIC, render
from niobe.launchers.pages.routes import campaigns, structures, table, workers
from niobe.launchers.pages.routes.kept import KeptPages
from niobe.launchers.pages.routes.shared import Form
from niobe.launchers.pages.server.access import COOKIE, Access, Gate
from niobe.launchers.terminal import in_words

if TYPE_CHECKING:
    from niobe.loop.store.database import Database

_YEAR = "public, max-age=31536000"


def create_app(database: Database, access: Access, uri: str) -> FastAPI:
    """The application over one database, which is at ``uri`` for those that connect themselves.

    access: who may read and steer.
    """
    app = FastAPI(title="Niobe", docs_url=None, redoc_url=None)
    app.state.database, app.state.access, app.state.kept = database, access, KeptPages()
    app.add_middleware(Gate, access=access)
    for module in (campaigns, structures, table, workers):
        app.include_router(module.router)
    app.add_api_route("/login", _ask_token, methods=["GET"], response_class=HTMLResponse)
    app.add_api_route("/login", _login, methods=["POST"], response_class=RedirectResponse)
    app.add_api_route("/static/plotly.js", _plotly, methods=["GET"], include_in_schema=False)
    app.mount("/optimade", _optimade(database, uri))
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    app.add_exception_handler(StarletteHTTPException, _refused)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(ConfigError, _mistake)
    app.add_exception_handler(PyMongoError, _outage)
    app.add_exception_handler(ValidationError, _no_shape)
    return app


def _optimade(database: Database, uri: str) -> FastAPI:
    logging.getLogger("optimade").addHandler(logging.NullHandler())  # its import would log to /var/log
    from niobe.launchers.pages.optimade import optimade_app

    return optimade_app(database, uri)


def _ask_token(request: Request) -> HTMLResponse:
    access: Access = request.app.state.access
    needed = "Steering needs the token." if access.token else "This server needs no token."
    return HTMLResponse(render("login.html", message=needed, page="", steering=access.steering))


def _login(request: Request, fields: Form) -> Response:
    """Trade the token for a cookie that no script and no other site can use."""
    access: Access = request.app.state.access
    token = fields.get("token", "").strip()
    if not access.knows(token):
        raise HTTPException(401, "That is not the token.")
    answer = RedirectResponse("/", 303)
    answer.set_cookie(COOKIE, token, httponly=True, samesite="strict")
    return answer


def _plotly() -> FileResponse:
    """plotly.js as the plotly package ships it."""
    from pathlib import Path

    import plotly

    file = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return FileResponse(file, media_type="text/javascript", headers={"cache-control": _YEAR})


def _message(request: Request, status: int, title: str, message: str) -> HTMLResponse:
    access: Access = request.app.state.access
    template = "login.html" if status == 401 else "message.html"
    page = render(template, title=title, message=message, page="", steering=access.steering)
    return HTMLResponse(page, status)


def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, StarletteHTTPException) else 500
    detail = str(error.detail) if isinstance(error, StarletteHTTPException) else ""
    return _message(request, status, "Not there" if status == 404 else "Not possible", detail)


def _malformed(request: Request, error: Exception) -> Response:
    found = error.errors()[:3] if isinstance(error, RequestValidationError) else []
    said = "; ".join(f"{part['loc'][-1]}: {part['msg']}" for part in found)
    return _message(request, 422, "Not understood", said)


def _outage(request: Request, error: Exception) -> Response:
    """Niobe's own server is started again meanwhile, see ``serving``; another may come back."""
    said = f"The database does not answer ({type(error).__name__}). Load the page again in a moment."
    return _message(request, 503, "No database", said)


def _no_shape(request: Request, error: Exception) -> Response:
    said = in_words(error) if isinstance(error, ValidationError) else ""
    return _message(request, 409, "Not readable", said)


def _mistake(request: Request, error: Exception) -> Response:
    return _message(request, 400, "Not possible", str(error))
