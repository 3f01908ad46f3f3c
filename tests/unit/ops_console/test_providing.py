"""Signing in with an OpenID provider, which is a real server with real keys."""

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
from aiohttp import web
from fastapi import FastAPI
from joserfc import jwt
from starlette.middleware import Middleware

from deploy.local.ports import LOOPBACK, free_ports
from services.ops_console.clients import Provider, Registration
from services.ops_console.pages import Access
from services.ops_console.pages.providing import provider_routes
from services.ops_console.pages.signing_in import COOKIE, Guard, sign_in_routes
from shared.kit.auth import SigningKey, TokenIssuer
from shared.kit.http import Server

from .test_signing_in import TOKEN, Listening

CLIENT, SECRET = "the console", "its own: secret"


@dataclass
class Provided:
    """The provider: what it says of whoever comes, and what it was asked."""

    port: int
    key: SigningKey = field(default_factory=SigningKey.generate)
    #: says so of the operator, beside what the console needs
    claims: dict[str, Any] = field(default_factory=lambda: {"groups": ["staff", "ops"], "email": "a@example.com"})
    signs_with: SigningKey | None = None
    document: dict[str, Any] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)

    @property
    def issuer(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"

    def signs_in(self, location: str) -> str:
        """What the provider sends the browser back with, once somebody has signed in there."""
        self.asked = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
        return f"code=a-code&state={self.asked['state']}"

    async def configuration(self, _: web.Request) -> web.Response:
        told = {"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys"}
        pages = {"authorization_endpoint": f"{self.issuer}/authorize", "token_endpoint": f"{self.issuer}/token"}
        return web.json_response({**told, **pages, **self.document})

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response(TokenIssuer([self.key]).jwks())

    async def token(self, request: web.Request) -> web.Response:
        form = {name: str(value) for name, value in (await request.post()).items()}
        login = base64.b64encode(b"the%20console:its%20own%3A%20secret").decode()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        known = form["code"] == "a-code" and form["redirect_uri"] == self.asked["redirect_uri"]
        proven = challenge.decode() == self.asked["code_challenge"]
        if request.headers["Authorization"] != f"Basic {login}" or not known or not proven:
            return web.json_response({"error": "invalid_grant"}, status=400)
        now = int(time.time())
        about = {"iss": self.issuer, "aud": CLIENT, "sub": "1", "exp": now + 60, "nonce": self.asked["nonce"]}
        key = self.signs_with or self.key
        signed = jwt.encode({"alg": "ES256", "kid": self.key.kid}, {**about, **self.claims}, key.key)
        return web.json_response({"id_token": signed, "access_token": "x", "token_type": "Bearer"})


@pytest.fixture
async def provided() -> AsyncIterator[Provided]:
    (port,) = free_ports(1)
    made = Provided(port)
    app = web.Application()
    app.router.add_get("/.well-known/openid-configuration", made.configuration)
    app.router.add_get("/keys", made.keys)
    app.router.add_post("/token", made.token)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, LOOPBACK, port).start()
    yield made
    await runner.cleanup()


@asynccontextmanager
async def console(provided: Provided) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser before a console that knows the provider; it follows nowhere by itself."""
    (port,) = free_ports(1)
    url = f"http://{LOOPBACK}:{port}"
    callback = f"{url}/sign-in/provider/callback"
    provider = Provider(Registration(provided.issuer, CLIENT, SECRET, callback, "groups", "ops"))
    access = Access(TOKEN, hours=1.0, secure=False, guesses=3, provider=provider.host)
    app = FastAPI(middleware=[Middleware(Guard, access=access)])
    app.include_router(sign_in_routes(access))
    app.include_router(provider_routes(access, provider))
    server = Server(app, Listening(port))
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
                await asyncio.sleep(0.01)
        async with aiohttp.ClientSession(url, cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            yield session
    finally:
        server.should_exit = True
        await running


async def got(browser: aiohttp.ClientSession, path: str) -> Any:
    async with browser.get(path, allow_redirects=False) as answer:
        await answer.read()
        return answer


async def signed_in(browser: aiohttp.ClientSession, provided: Provided) -> Any:
    """To the provider and back; the console's answer to that."""
    left = await got(browser, "/sign-in/provider?next=%2Fparked")
    assert left.status == 303, await left.text()
    back = provided.signs_in(left.headers["Location"])
    return await got(browser, f"/sign-in/provider/callback?{back}")


async def test_whom_the_provider_calls_an_operator_is_signed_in_by_name(provided: Provided) -> None:
    async with console(provided) as browser:
        form = await got(browser, "/sign-in?next=%2Fparked")
        assert f'<a href="/sign-in/provider?next=%2Fparked">Sign in with {LOOPBACK}' in await form.text()
        answer = await signed_in(browser, provided)
    assert (answer.status, answer.headers["Location"]) == (303, "/parked")
    told = {COOKIE: answer.cookies[COOKIE].value}
    session = Access(TOKEN, hours=1.0, secure=False, guesses=3).session_in(told)
    assert session is not None
    assert session.name == "a@example.com"
    assert provided.asked["code_challenge_method"] == "S256"
    assert SECRET not in str(provided.asked)


@pytest.mark.parametrize(
    ("claims", "status", "says"),
    [
        ({"groups": ["staff"]}, 403, "You may not sign in here."),
        ({"groups": "operators"}, 403, "You may not sign in here."),
        ({}, 403, "You may not sign in here."),
        ({"groups": "ops", "aud": "another"}, 502, "does not hold"),
        ({"groups": "ops", "iss": "http://another"}, 502, "does not hold"),
        ({"groups": "ops", "nonce": "another"}, 502, "does not hold"),
        ({"groups": "ops", "exp": 1}, 502, "does not hold"),
        ({"groups": "ops", "aud": [CLIENT, "another"], "azp": "another"}, 502, "to somebody else"),
    ],
)
async def test_whoever_is_no_operator_and_whatever_does_not_hold_is_refused(
    provided: Provided, claims: dict[str, Any], status: int, says: str
) -> None:
    provided.claims = claims
    async with console(provided) as browser:
        answer = await signed_in(browser, provided)
        assert (answer.status, COOKIE in answer.cookies) == (status, False)
        assert says in await answer.text()


async def test_a_signature_of_another_key_is_refused(provided: Provided) -> None:
    provided.signs_with = SigningKey.generate()
    async with console(provided) as browser:
        answer = await signed_in(browser, provided)
    assert (answer.status, COOKIE in answer.cookies) == (502, False)


async def test_an_answer_that_this_browser_has_not_asked_for_is_refused(provided: Provided) -> None:
    async with console(provided) as victim, console(provided) as attacker:
        left = await got(attacker, "/sign-in/provider")
        back = provided.signs_in(left.headers["Location"])
        for browser in (victim, attacker):
            for tried in (back, "code=a-code", f"{back}x") if browser is victim else ("code=a-code", f"{back}x"):
                answer = await got(browser, f"/sign-in/provider/callback?{tried}")
                assert (answer.status, COOKIE in answer.cookies) == (400, False), tried


async def test_a_provider_that_calls_itself_otherwise_or_is_away_is_not_gone_to(provided: Provided) -> None:
    too_much = {"more": "x" * 300_000}
    for wrong in ({"issuer": "http://another"}, {"token_endpoint": "ftp://x"}, {"jwks_uri": None}, too_much):
        provided.document = wrong
        async with console(provided) as browser:
            answer = await got(browser, "/sign-in/provider")
            assert (answer.status, "Location" in answer.headers) == (502, False), wrong
    (nowhere,) = free_ports(1)
    async with console(Provided(nowhere)) as browser:
        answer = await got(browser, "/sign-in/provider")
        assert "does not answer as it should" in await answer.text()
