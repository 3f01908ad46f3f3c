"""Who may see the pages: one form takes the operator's token, and a signed cookie stands for it afterwards.

The form is plain HTML without a script. Nothing else is shown to whoever has no session: no page, no file of a page, no
WebSocket.
"""

import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
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
#: to the OpenID provider, and where it sends people back to
PROVIDER: Final = "/sign-in/provider"
CALLBACK: Final = "/sign-in/provider/callback"
COOKIE: Final = "portfolio_bus_console"

#: who has signed in with the token, which has no name
NAMELESS: Final = "an operator"

#: what orchestrators and Prometheus ask of every service, and the form
_OPEN: Final = frozenset({SIGN_IN, SIGN_OUT, PROVIDER, CALLBACK, "/health/live", "/health/ready", "/metrics"})
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
{provider}<p>The token is PORTFOLIO_BUS_CONSOLE_TOKEN; <code>make up</code> keeps it in .local/stack.json.</p>
</main>
</body>
</html>
"""

_log = get_logger("console")


@dataclass(frozen=True)
class Session:
    """Somebody who has signed in."""

    #: an address or a name, as the provider has it
    name: str
    #: seconds since the epoch
    ends_at: float


class Access:
    """The operator's token, the sessions that it opens, and how often a wrong one may be tried."""

    def __init__(self, token: str, *, hours: float, secure: bool, guesses: int, provider: str | None = None) -> None:
        """Sessions last for `hours`; a minute has so many `guesses`, whoever makes them.

        `provider` is the host of the OpenID provider that signs in as well, if there is one.
        """
        self._token = token.encode()
        self.provider = provider
        # Of the token, so that every replica takes the same sessions and a new token ends all of them.
        self.key = hashlib.sha256(b"console session\0" + self._token).digest()
        self._signer = TimestampSigner(self.key, salt="session")
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

    def takes(self, token: str) -> bool:
        """Whether this is the operator's token; a wrong one is counted."""
        if hmac.compare_digest(token.encode(), self._token):
            return True
        self._wrong.append(time.monotonic())
        return False

    def session(self, name: str) -> str:
        """A new session of the operator of this name."""
        named = base64.urlsafe_b64encode(name.encode()).decode()
        return self._signer.sign(f"{secrets.token_urlsafe(16)}.{named}").decode()

    def session_in(self, cookies: Mapping[str, str]) -> Session | None:
        """The session that a browser shows; None if it shows none that holds."""
        try:
            told, began = self._signer.unsign(cookies.get(COOKIE, ""), max_age=self._seconds, return_timestamp=True)
        except BadSignature:
            return None
        name = base64.urlsafe_b64decode(told.rpartition(b".")[2]).decode()
        return Session(name, began.timestamp() + self._seconds)


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
        session = self._access.session_in(connection.cookies)
        scope.setdefault("state", {})["session"] = session
        # Of which a page has two dozen.
        scope["state"]["quiet"] = session is not None and scope["path"].startswith(_FILES)
        if not _is_of_our_pages(connection.headers):
            await _refuse(scope, receive, send, Response("Not from a page of this console.", HTTPStatus.FORBIDDEN))
        elif session is None and scope["path"] not in _OPEN:
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
        return form(request, access)

    @router.post(SIGN_IN)
    async def sign_in(request: Request) -> Response:
        if wait := access.wait():
            sentence = "Too many wrong tokens were tried. Wait a minute."
            refused = form(request, access, sentence, HTTPStatus.TOO_MANY_REQUESTS)
            refused.headers["Retry-After"] = str(int(wait) + 1)
            return refused
        sent = parse_qs((await request.body()).decode("utf-8", "replace"))
        if not access.takes(sent.get("token", [""])[0]):
            _log.warning("sign-in refused", audit=True)
            return form(request, access, "This is not the operator's token.", HTTPStatus.UNAUTHORIZED)
        return signed_in(access, NAMELESS, next_of(request))

    @router.post(SIGN_OUT)
    async def sign_out() -> Response:
        answer = RedirectResponse(SIGN_IN, HTTPStatus.SEE_OTHER)
        answer.delete_cookie(COOKIE, path="/", httponly=True, samesite="lax", secure=access.secure)
        return answer

    return router


def signed_in(access: Access, name: str, following: str) -> Response:
    """Open a session, and go on to where somebody was going."""
    _log.info("signed in", audit=True, operator=name)
    answer = RedirectResponse(following, HTTPStatus.SEE_OTHER)
    answer.set_cookie(
        *(COOKIE, access.session(name)),
        max_age=access.seconds,
        httponly=True,
        samesite="lax",
        secure=access.secure,
        path="/",
    )
    return answer


def form(request: Request, access: Access, refused: str = "", status: HTTPStatus = HTTPStatus.OK) -> HTMLResponse:
    """The form, with what was refused before."""
    following = next_of(request)
    query = "" if following == "/" else f"?next={quote(following, safe='')}"
    provider = ""
    if access.provider:
        provider = f'<p><a href="{escape(PROVIDER + query)}">Sign in with {escape(access.provider)}</a></p>\n'
    page = _PAGE.format(
        style=COLOURS + FORM,
        action=escape(SIGN_IN + query),
        refused=f'<p id="refused" role="alert">{escape(refused)}</p>\n' if refused else "",
        described=' aria-describedby="refused"' if refused else "",
        provider=provider,
    )
    return HTMLResponse(page, status, headers={"Cache-Control": "no-store"})


def next_of(request: Request) -> str:
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
