"""Who may ask: whoever holds the token, from this page alone. Every answer says what a browser may do with it."""

from __future__ import annotations

import hmac
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Scripts, styles and requests of this address alone; nothing inline, nothing evaluated, nobody frames it.
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
#: The report is one file with its scripts in it: it is shown without an origin, so that it can ask for nothing here.
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline'; "
    "style-src 'unsafe-inline'; img-src data: blob:; frame-ancestors 'none'"
)
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
MOST_BYTES = 32 << 20  # of a request: a selection of eight million rows


class Guard:
    """Refuses requests without the token, for another host, from another origin, and ones that are too large.

    The token comes in the address at first; the page then holds it in a cookie that no script reads and no other site
    sends along, named after the port, because cookies of one host are shared by its ports.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self._cookie = f"recryst-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI hands it over."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        said, given = self._refused(scope, headers), self._given(scope)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                out = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    out[name] = value
                out.setdefault("content-security-policy", PAGE_POLICY)
                if given and said is None:
                    cookie = f"{self._cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
                    out.append("set-cookie", cookie)
            await send(message)

        if said is not None:
            await JSONResponse({"error": said}, 403)(scope, receive, guarded)
        else:
            await self._app(scope, receive, guarded)

    def _refused(self, scope: Scope, headers: Headers) -> str | None:
        """Why a request is refused, in one sentence; None: it is not."""
        if headers.getlist("host") not in [[host] for host in self._hosts]:
            return "this page answers only to the address it was opened by"
        origins = {f"http://{host}" for host in self._hosts}
        origin = headers.get("origin")
        if origin is not None and origin not in origins:
            return "a request from another origin is refused"
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not self._led_here(scope, headers):
            return "a request from another site is refused"
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return "only GET and POST are answered"
        if scope["method"] == "POST":
            if origin is None:
                return "a request that acts says its origin"
            length = headers.get("content-length", "")
            if not length.isdigit() or int(length) > MOST_BYTES:
                return "a request that acts says its length, and is not larger than 32 MB"
        if not self._given(scope) and not self._held(headers):
            return "the token is missing: open the address that the terminal shows"
        return None

    def _led_here(self, scope: Scope, headers: Headers) -> bool:
        """Whether the page of another run, on another port of this machine, opened this one by address and token."""
        site, mode = (headers.get(f"sec-fetch-{name}") for name in ("site", "mode"))
        return site == "same-site" and mode == "navigate" and scope["path"] == "/" and self._given(scope)

    def _given(self, scope: Scope) -> bool:
        """Whether the address holds the token."""
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return any(hmac.compare_digest(token.encode(), self._token.encode()) for token in tokens)

    def _held(self, headers: Headers) -> bool:
        """Whether the cookie holds the token."""
        try:
            found = SimpleCookie(headers.get("cookie", "")).get(self._cookie)
        except CookieError:
            return False
        return found is not None and hmac.compare_digest(found.value.encode(), self._token.encode())
