"""Access checks: which requests are accepted at all, and the headers of every answer.

A page of another site must not be able to use a visitor's studio (DNS rebinding, forged requests),
so the Host must be ours, an Origin must be the Host, and a request that changes something must be
JSON, which a browser sends across sites only after asking.
"""

from __future__ import annotations

import ipaddress
import json
import secrets
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "musicgen-studio"
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; img-src 'self' data: blob:; media-src 'self' blob:; "
        "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
_SAFE_METHODS = ("GET", "HEAD")


@dataclass(frozen=True)
class Refusal(Exception):  # noqa: N818 - an answer
    """A request is refused before anything is done."""

    status: int
    message: str
    field: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class AccessCheck:
    """The rules of access: `host` is the address at which the server listens; with a `token`, every
    request must have it."""

    host: str
    token: str = ""

    def check(self, scope: Scope) -> None:
        """Check a request.

        Raises:
            Refusal: it is not accepted.
        """
        headers = Headers(scope=scope)
        self._check_host(headers)
        if "content-length" in headers and "transfer-encoding" in headers:
            # Servers differ in which of them holds, so that one request may pass as two.
            raise Refusal(400, "send Content-Length or Transfer-Encoding, not both")
        _check_origin(scope, headers)
        if scope["method"] not in _SAFE_METHODS:
            _check_type(headers)
        if self.token and not self._knows_token(scope, headers):
            raise Refusal(
                401,
                "the token is missing or wrong; use the address that `musicgen studio` printed",
                headers=(("WWW-Authenticate", "Bearer"),),
            )

    def _check_host(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            raise Refusal(400, "the request needs one Host header", "Host")
        name = host_name(hosts[0])
        if name is None or not self._is_ours(name):
            raise Refusal(
                403, "this Host is not the studio's; use the address that it printed", "Host"
            )

    def _is_ours(self, name: str) -> bool:
        if name in ("localhost", self.host.lower()):
            return True
        known = bool(self.token)  # then another name of this machine does no harm
        try:
            return ipaddress.ip_address(name).is_loopback or known
        except ValueError:
            return known and name == socket.gethostname().lower()

    def _knows_token(self, scope: Scope, headers: Headers) -> bool:
        kind, _, sent = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(sent.strip()):
            return True
        # Only for the page and its parts, for which a browser cannot send a header.
        return not scope["path"].startswith("/api/") and self._is_token(_page_token(scope, headers))

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self.token.encode())


def host_name(text: str) -> str | None:
    """The name in a Host header, without its port; None if it is not a host name."""
    try:
        parts = urlsplit(f"//{text}")
        parts.port  # noqa: B018 - raises if it is not a number
    except ValueError:
        return None
    plain = parts.hostname is not None and parts.netloc == text and "@" not in text
    return parts.hostname if plain else None


def _check_origin(scope: Scope, headers: Headers) -> None:
    """Refuse requests of pages of other sites; a link on them may lead to the page."""
    refusal = Refusal(403, "this request comes from another site", "Origin")
    origins = [f"{scheme}://{headers['host'].lower()}" for scheme in ("http", "https")]
    if any(origin.lower() not in origins for origin in headers.getlist("origin")):
        raise refusal
    site = headers.get("sec-fetch-site", "same-origin")
    link = scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
    if site not in ("same-origin", "none") and not link:
        raise refusal


def _check_type(headers: Headers) -> None:
    types = headers.getlist("content-type")
    kind, _, parameters = (types[0] if len(types) == 1 else "").partition(";")
    charset = parameters.strip().lower().removeprefix("charset=").strip('"')
    if kind.strip().lower() != "application/json" or charset not in ("", "utf-8", "utf8"):
        raise Refusal(415, "send JSON: Content-Type: application/json", "Content-Type")


def _page_token(scope: Scope, headers: Headers) -> str:
    """The token in the address, or in the cookie that came with the page."""
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    if "token" in query:
        return str(query["token"][0])
    try:
        cookie = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return str(cookie[COOKIE].value) if COOKIE in cookie else ""


class Guard:
    """An application behind an access check, with `HEADERS` on all its answers."""

    def __init__(self, app: ASGIApp, access: AccessCheck) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (the interface of ASGI)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.update(HEADERS)
                headers.setdefault("Cache-Control", "no-store")
                if self.access.token and scope["path"] == "/" and message["status"] == 200:
                    cookie = f"{COOKIE}={self.access.token}; Path=/; HttpOnly; SameSite=Strict"
                    headers.append("Set-Cookie", cookie)
            await send(message)

        try:
            self.access.check(scope)
        except Refusal as refusal:
            await refuse(refusal, guarded)
            return
        await self.app(scope, receive, guarded)


def error_body(message: str, **about: object) -> bytes:
    """The JSON of an error; `about` are field, line and column where they are known."""
    known = {name: value for name, value in about.items() if value}
    return json.dumps({"error": {"message": message, **known}}, ensure_ascii=False).encode()


async def refuse(refusal: Refusal, send: Send) -> None:
    """Answer with an error and close the connection, since the body may not have been read."""
    body = error_body(refusal.message, field=refusal.field)
    headers: Mapping[str, str] = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        "connection": "close",
        **dict(refusal.headers),
    }
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": refusal.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
