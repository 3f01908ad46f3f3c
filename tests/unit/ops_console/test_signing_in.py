"""Sessions of operators: signed, ending, bounded guesses."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from fastapi import FastAPI
from itsdangerous import TimestampSigner
from starlette.middleware import Middleware

from deploy.local.ports import LOOPBACK, free_ports
from services.ops_console.pages import Access
from services.ops_console.pages.signing_in import COOKIE, Guard, sign_in_routes
from shared.kit.http import Server

TOKEN = "the operator's token, long enough"


@dataclass(frozen=True)
class Listening:
    http_port: int
    http_host: str = LOOPBACK
    shutdown_grace: float = 1.0


def access(**changed: Any) -> Access:
    return Access(TOKEN, **{"hours": 1.0, "secure": False, "guesses": 3, **changed})


@asynccontextmanager
async def browser(guarded: Access) -> AsyncIterator[aiohttp.ClientSession]:
    """Somebody before a server with the form and one page behind it; keeps cookies, and follows nowhere."""
    app = FastAPI(middleware=[Middleware(Guard, access=guarded)])
    app.include_router(sign_in_routes(guarded))

    @app.get("/secret")
    async def secret() -> str:
        return "only for operators"

    (port,) = free_ports(1)
    server = Server(app, Listening(port))
    running = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(10):
            while not server.started:  # noqa: ASYNC110 - uvicorn tells it in no other way
                await asyncio.sleep(0.01)
        jar = aiohttp.CookieJar(unsafe=True)
        async with aiohttp.ClientSession(f"http://{LOOPBACK}:{port}", cookie_jar=jar) as session:
            yield session
    finally:
        server.should_exit = True
        await running


async def posted(session: aiohttp.ClientSession, path: str, token: str = TOKEN, **headers: str) -> Any:
    async with session.post(path, data={"token": token}, headers=headers, allow_redirects=False) as answer:
        return answer


async def got(session: aiohttp.ClientSession, path: str) -> tuple[int, str, str]:
    async with session.get(path, allow_redirects=False) as answer:
        return answer.status, answer.headers.get("Location", ""), await answer.text()


def test_a_session_holds_for_every_replica_with_the_same_token_and_for_no_other() -> None:
    cookies = {COOKIE: access().session("näme@example.com")}
    found = access().session_in(cookies)
    assert found is not None
    assert found.name == "näme@example.com"
    assert found.ends_at == pytest.approx(time.time() + 3600, abs=2)
    other = Access("another token, as long as the first", hours=1.0, secure=False, guesses=3)
    assert other.session_in(cookies) is None
    assert access().session_in({COOKIE: cookies[COOKIE] + "x"}) is None
    assert access().session_in({}) is None


def test_a_session_ends_after_its_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    cookies = {COOKIE: access().session("somebody")}
    later = int(time.time()) + 3601
    monkeypatch.setattr(TimestampSigner, "get_timestamp", lambda _: later)
    assert access().session_in(cookies) is None


async def test_after_so_many_wrong_tokens_even_the_right_one_has_to_wait() -> None:
    async with browser(access()) as session:
        assert [(await posted(session, "/sign-in", "a guess")).status for _ in range(3)] == [401] * 3
        refused = await posted(session, "/sign-in")
    assert (refused.status, COOKIE in refused.cookies) == (429, False)
    assert 1 <= int(refused.headers["Retry-After"]) <= 60


async def test_a_page_is_shown_after_signing_in_and_no_more_after_signing_out() -> None:
    async with browser(access()) as session:
        status, location, _ = await got(session, "/secret?a=1")
        assert (status, location) == (303, "/sign-in?next=%2Fsecret%3Fa%3D1")
        assert (await posted(session, location)).headers["Location"] == "/secret?a=1"
        assert await got(session, "/secret") == (200, "", '"only for operators"')
        await posted(session, "/sign-out")
        assert (await got(session, "/secret"))[0] == 303


async def test_behind_tls_the_cookie_is_sent_over_tls_alone() -> None:
    async with browser(access(secure=True)) as session:
        answer = await posted(session, "/sign-in")
    assert "Secure" in answer.headers["Set-Cookie"].split("; ")


async def test_nobody_is_sent_elsewhere_after_signing_in() -> None:
    async with browser(access()) as session:
        for following in ("https%3A//elsewhere", "//elsewhere", "/%5Celsewhere", "elsewhere", "/a%0Ab"):
            answer = await posted(session, f"/sign-in?next={following}")
            assert (answer.status, answer.headers["Location"]) == (303, "/"), following


async def test_what_another_page_sends_is_refused_and_no_frame_may_show_ours() -> None:
    async with browser(access()) as session:
        for path in ("/sign-in", "/sign-out"):
            assert (await posted(session, path, Origin=f"http://{LOOPBACK}:1")).status == 403
        async with session.get("/sign-in") as answer:
            policy = answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in policy
    assert "default-src 'self'" in policy
