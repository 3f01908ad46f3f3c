"""Who may see the pages: one form takes the operator's token, and a signed cookie stands for it afterwards.

The form is plain HTML without a script. Nothing else is shown to whoever has no session: no page, no file of a page, no
WebSocket.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from html import escape
from http import HTTPStatus
from typing import Final
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import APIRouter
from itsdangerous import BadSignature, TimestampSigner
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared.kit.logs import get_logger

from .style import COLOURS, FORM

SIGN_IN: Final = "/sign-in"
SIGN_OUT: Final = "/sign-out"
COOKIE: Final = "portfolio_bus_console"

#: what orchestrators and Prometheus ask of every service, and the form
_OPEN: Final = frozenset({SIGN_IN, SIGN_OUT, "/health/live", "/health/ready", "/metrics"})
_FILES: Final = "/_nicegui"
_HOUR: Final = 3600
_MINUTE: Final = 60.0
#: NiceGUI's pages have scripts and styles within them, and Vue compiles its templates in the browser. Nothing is loaded
#: from anywhere else, and nobody puts the pages into a frame.
_POLICY: Final = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; base-uri 'self'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS: Final = {
    b"content-security-policy": _POLICY.encode(),
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"same-origin",
}

_PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in · portfolio-bus</title>
<style>{style}</style>
</head>
<body class="sign-in">
<main>
<h1>portfolio-bus console</h1>
<form method="post" action="{action}">
{refused}<label for="token">Operator token</label>
<input id="token" name="token" type="password" autocomplete="current-password" required autofocus{described}>
<button type="submit">Sign in</button>
</form>
<p>The token is PORTFOLIO_BUS_CONSOLE_TOKEN of this console; <code>make up</code> writes it to .local/stack.json.</p>
</main>
</body>
</html>
"""

_log = get_logger("console")


class Access:
    """The operator's token, the sessions that it opens, and how often a wrong one may be tried."""

    def __init__(self, token: str, *, hours: float, secure: bool, guesses: int) -> None:
        """Sessions last for `hours`; a minute has so many `guesses`, whoever makes them."""
        self._token = token.encode()
        # Of the token, so that every replica takes the same sessions and a new token ends all of them.
        self._signer = TimestampSigner(hashlib.sha256(b"console session\0" + self._token).digest(), salt="session")
        self._seconds = int(hours * _HOUR)
        self._guesses = guesses
        self._wrong: list[float] = []
        self.secure = secure

    @property
    def seconds(self) -> int:
        """How long a session lasts."""
        return self._seconds

    def wait(self) -> float:
        """Seconds until a token may be tried again; 0 where it may."""
        now = time.monotonic()
        self._wrong = [at for at in self._wrong if now - at < _MINUTE]
        return self._wrong[0] + _MINUTE - now if len(self._wrong) >= self._guesses else 0.0

    def opens(self, token: str) -> str | None:
        """A new session, if this is the operator's token."""
        if not hmac.compare_digest(token.encode(), self._token):
            self._wrong.append(time.monotonic())
            return None
        return self._signer.sign(secrets.token_urlsafe(16)).decode()

    def ends_at(self, cookies: Mapping[str, str]) -> float | None:
        """When the session ends that a browser shows, as seconds since the epoch; None if it shows none that holds."""
        try:
            _, began = self._signer.unsign(cookies.get(COOKIE, ""), max_age=self._seconds, return_timestamp=True)
        except BadSignature:
            return None
        return began.timestamp() + self._seconds


class Guard:
    """Lets nobody without a session any further than to the form, and tells browsers what pages may do."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        """Stand before `app`."""
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request or a WebSocket through, or answer it here."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        ends_at = self._access.ends_at(connection.cookies)
        scope.setdefault("state", {})["session_ends_at"] = ends_at
        # Of which a page has two dozen.
        scope["state"]["quiet"] = ends_at is not None and scope["path"].startswith(_FILES)
        if not _is_of_our_pages(connection.headers):
            await _refuse(scope, receive, send, Response("Not from a page of this console.", HTTPStatus.FORBIDDEN))
        elif ends_at is None and scope["path"] not in _OPEN:
            await _refuse(scope, receive, send, _to_the_form(scope))
        else:
            await self._unless_gone(scope, receive, _with_our_headers(send))

    async def _unless_gone(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer; that a browser has gone on to another page before it had its answer is no fault of anybody."""
        gone = False

        async def receiving() -> Message:
            nonlocal gone
            message = await receive()
            gone = gone or message["type"] == "http.disconnect"
            return message

        try:
            await self._app(scope, receiving, send)
        except RuntimeError:
            # Starlette's middleware finds that nothing was answered.
            if not gone:
                raise


def sign_in_routes(access: Access) -> APIRouter:
    """The form, what it sends, and the way out."""
    router = APIRouter(include_in_schema=False)

    @router.get(SIGN_IN)
    async def show(request: Request) -> Response:
        return _form(request)

    @router.post(SIGN_IN)
    async def sign_in(request: Request) -> Response:
        if wait := access.wait():
            refused = _form(request, "Too many wrong tokens were tried. Wait a minute.", HTTPStatus.TOO_MANY_REQUESTS)
            refused.headers["Retry-After"] = str(int(wait) + 1)
            return refused
        sent = parse_qs((await request.body()).decode("utf-8", "replace"))
        session = access.opens(sent.get("token", [""])[0])
        if session is None:
            _log.warning("sign-in refused", audit=True)
            return _form(request, "This is not the operator's token.", HTTPStatus.UNAUTHORIZED)
        _log.info("signed in", audit=True)
        answer = RedirectResponse(_next_of(request), HTTPStatus.SEE_OTHER)
        answer.set_cookie(
            COOKIE, session, max_age=access.seconds, httponly=True, samesite="lax", secure=access.secure, path="/"
        )
        return answer

    @router.post(SIGN_OUT)
    async def sign_out() -> Response:
        answer = RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=access.secure)
        return answer

    return router


def _form(request: Request, refused: str = "", status: HTTPStatus = HTTPStatus.OK) -> HTMLResponse:
    following = _next_of(request)
    action = SIGN_IN if following == "/" else f"{SIGN_IN}?next={quote(following, safe='')}"
    page = _PAGE.format(
        style=COLOURS + FORM,
        action=escape(action),
        refused=f'<p id="refused" role="alert">{escape(refused)}</p>\n' if refused else "",
        described=' aria-describedby="refused"' if refused else "",
    )
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})


def _next_of(request: Request) -> str:
    """Where to go on to: a page of ours, never an address elsewhere."""
    following = request.query_params.get("next", "/")
    parsed = urlsplit(following)
    ours = (
        following.startswith("/") and not following.startswith(("//", "/\\")) and not (parsed.scheme or parsed.netloc)
    )
    return following if ours and following.isprintable() else "/"


def _is_of_our_pages(headers: Headers) -> bool:
    # A page of another port of this host is same-site for the cookie: the browser names where it comes from.
    origin = headers.get("origin")
    return origin is None or urlsplit(origin).netloc == headers.get("host")


def _to_the_form(scope: Scope) -> Response:
    wanted = scope["path"] + (f"?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else "")
    if scope["type"] == "http" and scope["method"] == "GET" and not wanted.startswith(_FILES):
        following = "" if wanted == "/" else f"?next={quote(wanted, safe='')}"
        return RedirectResponse(SIGN_IN + following, HTTPStatus.SEE_OTHER)
    return Response("Sign in first.", HTTPStatus.UNAUTHORIZED)


async def _refuse(scope: Scope, receive: Receive, send: Send, answer: Response) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
    else:
        await answer(scope, receive, _with_our_headers(send))


def _with_our_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            told = {name for name, _ in message.get("headers", ())}
            more = [(name, value) for name, value in _HEADERS.items() if name not in told]
            message = {**message, "headers": [*message.get("headers", ()), *more]}
        await send(message)

    return sending
