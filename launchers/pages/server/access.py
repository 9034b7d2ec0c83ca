"""Who may read and who may steer: hosts, a token, and no request that another site made."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING

from niobe.launchers.pages.server.pace import MOST_A_SECOND, Pace

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = ("127.0.0.1", "localhost", "::1")
COOKIE = "niobe"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_OPEN_PATHS = ("/login", "/static/")
_HEADERS = {
    "content-security-policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@dataclass(frozen=True)
class Access:
    """What this server allows. token: None where nothing needs one.

    hosts: names it may be called by; None for any, where it listens on all addresses and all that is read
    needs the token, which no other site has. guarded: reading needs the token too, as on any address but
    loopback.
    """

    hosts: tuple[str, ...] | None = LOOPBACK
    token: str | None = None
    steering: bool = False
    guarded: bool = False

    def knows(self, token: str) -> bool:
        """Whether this is the token, compared in constant time."""
        return self.token is not None and secrets.compare_digest(token.encode(), self.token.encode())


class Gate:
    """ASGI middleware that lets through what ``Access`` allows, and adds the headers every answer carries."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access, self._pace = app, access, Pace()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        status, reason = self._verdict(scope["method"], scope["path"], headers)
        if self._access.guarded and not self._pace.allows((scope.get("client") or ("",))[0]):
            status, reason = 429, f"More than {MOST_A_SECOND} requests in a second: ask again in a moment."
        send = _with_headers(send)
        if not reason:
            await self._app(scope, receive, send)
            return
        from starlette.responses import HTMLResponse

        from niobe.launchers.pages.rendering import render

        template = "login.html" if status == 401 else "message.html"
        page = render(template, title="Not allowed", message=reason, page="", steering=False)
        await HTMLResponse(page, status)(scope, receive, send)

    def _verdict(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        """The status and why a request is refused, or 200 and ""."""
        hosts = self._access.hosts
        if hosts is not None and _host_name(headers.get("host", "")) not in hosts:
            return 421, "This server is not known by that name."
        if _from_elsewhere(method, headers):
            return 403, "Requests from other sites are refused."
        if path == "/login" or (method in _SAFE and path.startswith(_OPEN_PATHS)):
            return 200, ""
        if method not in _SAFE and not self._access.steering:
            return 403, "Read only: start `niobe serve --steer` to steer campaigns."
        if (method not in _SAFE or self._access.guarded) and not self._has_token(headers):
            return 401, "This needs the token."
        return 200, ""

    def _has_token(self, headers: dict[str, str]) -> bool:
        kind, _, value = headers.get("authorization", "").partition(" ")
        given = value if kind.lower() == "bearer" else _cookie(headers.get("cookie", ""))
        return self._access.knows(given)


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value


def _host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def _from_elsewhere(method: str, headers: dict[str, str]) -> bool:
    """Whether another site made the browser send this; following a link from there is no harm."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != headers.get("host"):
        return True
    site = headers.get("sec-fetch-site", "none")
    if site in {"none", "same-origin"}:
        return False
    return not (method == "GET" and headers.get("sec-fetch-mode") == "navigate")


def _with_headers(send: Send) -> Send:
    extra: Iterable[tuple[bytes, bytes]] = [(k.encode(), v.encode()) for k, v in _HEADERS.items()]

    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", []), *extra]
        await send(message)

    return sending
