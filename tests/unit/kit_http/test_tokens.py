"""A token says who asks and what it may do, and nothing that is not exactly right passes for one."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from fastapi import FastAPI, Response
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from shared.kit.auth import LocalKeys, Principal, RemoteKeys, SigningKey, TokenIssuer, TokenVerifier
from shared.kit.refusals import Unauthorised, Unavailable

ID = "0190d0a0-0000-7000-8000-000000000001"
CLIENT = UUID("0190d0a0-0000-7000-8000-00000000000c")
KEY = SigningKey.generate()
NOW = 1_800_000_000.0


def a_verifier(*keys: SigningKey, at: float = NOW, leeway: int = 0) -> TokenVerifier:
    published = TokenIssuer(keys or [KEY]).jwks()
    return TokenVerifier(LocalKeys(published), leeway=leeway, clock=lambda: at)


def an_issuer(*keys: SigningKey, at: float = NOW) -> TokenIssuer:
    return TokenIssuer(keys or [KEY], clock=lambda: at)


def a_token(key: Any = None, header: dict[str, Any] | None = None, **claims: Any) -> str:
    """Give a token that is right but for what is asked for; a claim of None is left out."""
    body = {
        "iss": "portfolio-bus",
        "aud": "portfolio-bus",
        "sub": str(CLIENT),
        "scope": "accounts:read",
        "iat": int(NOW),
        "exp": int(NOW) + 600,
        **claims,
    }
    headers = {"alg": "ES256", "kid": KEY.kid, **(header or {})}
    kept = {name: value for name, value in body.items() if value is not None}
    return jwt.encode(headers, kept, key or KEY.key, algorithms=[headers["alg"]])


def _segment(value: object) -> str:
    raw = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


async def test_an_issued_token_gives_back_its_client_and_scopes() -> None:
    token = an_issuer().issue(CLIENT, ["orders:read", "accounts:admin"])
    principal = await a_verifier().verify(token)
    assert principal == Principal(CLIENT, frozenset({"orders:read", "accounts:admin"}))


async def test_the_token_made_by_hand_for_these_tests_is_right() -> None:
    assert (await a_verifier().verify(a_token())).client_id == CLIENT


def test_admin_implies_read_of_the_same_area_and_nothing_else() -> None:
    principal = Principal(CLIENT, frozenset({"accounts:admin", "orders:read"}))
    allowed = ["accounts:admin", "accounts:read", "orders:read"]
    refused = ["orders:admin", "webhooks:read", "accounts:write", "accounts", ""]
    assert [principal.may(scope) for scope in allowed + refused] == [True] * 3 + [False] * 5


async def test_a_token_is_good_until_its_end_and_not_at_it() -> None:
    token = an_issuer().issue(CLIENT, [], lifetime=600)
    assert await a_verifier(at=NOW + 599).verify(token)
    with pytest.raises(Unauthorised, match="expired"):
        await a_verifier(at=NOW + 600).verify(token)


async def test_clocks_may_differ_by_the_leeway() -> None:
    token = an_issuer().issue(CLIENT, [], lifetime=600)
    assert await a_verifier(at=NOW + 609, leeway=10).verify(token)
    with pytest.raises(Unauthorised):
        await a_verifier(at=NOW + 610, leeway=10).verify(token)


async def test_a_token_that_was_verified_before_still_ends() -> None:
    now = NOW
    verifier = TokenVerifier(LocalKeys(an_issuer().jwks()), leeway=0, clock=lambda: now)
    token = an_issuer().issue(CLIENT, [], lifetime=600)
    assert await verifier.verify(token) == await verifier.verify(token)
    now += 600
    with pytest.raises(Unauthorised):
        await verifier.verify(token)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "another"},
        {"iss": None},
        {"aud": "another"},
        {"aud": None},
        {"exp": None},
        {"exp": "2099"},
        {"exp": True},
        {"exp": 1e400},
        {"sub": None},
        {"sub": "admin"},
        {"sub": 5},
        {"sub": ["x"]},
        {"scope": ["accounts:admin"]},
        {"nbf": int(NOW) + 60},
        {"iat": int(NOW) + 60},
    ],
)
async def test_a_claim_that_is_not_right_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(Unauthorised):
        await a_verifier().verify(a_token(**claims))


async def test_a_token_may_end_later_than_any_clock_can_tell() -> None:
    verifier, token = a_verifier(), a_token(exp=10**400)
    assert await verifier.verify(token) == await verifier.verify(token)


async def test_a_token_for_several_audiences_is_taken_if_we_are_one() -> None:
    assert await a_verifier().verify(a_token(aud=["other", "portfolio-bus"]))


async def test_a_tampered_token_is_refused() -> None:
    header, claims, signature = a_token().split(".")
    forged = _segment({"iss": "portfolio-bus", "aud": "portfolio-bus", "sub": str(uuid4()), "exp": NOW + 600})
    for token in (f"{header}.{forged}.{signature}", f"{header}.{claims}.{signature[::-1]}", f"{header}.{claims}."):
        with pytest.raises(Unauthorised):
            await a_verifier().verify(token)


async def test_no_algorithm_but_ours_gets_through() -> None:
    claims = a_token().split(".")[1]
    unsigned = f"{_segment({'alg': 'none', 'kid': KEY.kid})}.{claims}."
    # The classic confusion: an HMAC keyed with the public key, which everybody knows.
    signed = f"{_segment({'alg': 'HS256', 'kid': KEY.kid})}.{claims}"
    tag = hmac.digest(KEY.key.as_pem(private=False), signed.encode(), "sha256")
    rsa = a_token(RSAKey.generate_key(2048), {"alg": "RS256"})
    for token in (unsigned, f"{signed}.{_segment(tag)}", rsa):
        with pytest.raises(Unauthorised):
            await a_verifier().verify(token)


async def test_another_key_under_our_keys_name_is_refused() -> None:
    with pytest.raises(Unauthorised):
        await a_verifier().verify(a_token(ECKey.generate_key("P-256")))


@pytest.mark.parametrize(
    "token",
    [
        "",
        "x",
        "..",
        "a.b.c",
        "é.b.c",
        "x" * 9000,
        "\ud800",
        f"{_segment(b'[' * 5000)}.e30.e30",
        f"{_segment([])}.e30.e30",
        f"{_segment({'alg': 'ES256'})}.e30.e30",
        f"{_segment({'alg': 'ES256', 'kid': ['x']})}.e30.e30",
        f"{_segment({'alg': 'ES256', 'kid': 'x'})}.e30.e30",
        f"{_segment({'alg': 5, 'kid': KEY.kid})}.e30.e30",
        f"{_segment({'alg': 'ES256', 'kid': KEY.kid, 'crit': ['b64'], 'b64': False})}.e30.e30",
        f"{_segment(b'{' + bytes([255]) + b'}')}.e30.e30",
    ],
    # The key's name is random, and every process of a parallel run must name the tests alike.
    ids=range(15),
)
async def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(Unauthorised):
        await a_verifier().verify(token)


async def test_a_new_key_signs_and_tokens_of_the_old_one_stay_good_until_it_is_taken_away() -> None:
    old, new = SigningKey.generate(), SigningKey.generate()
    of_old, of_both = an_issuer(old).issue(CLIENT, []), an_issuer(new, old).issue(CLIENT, [])
    both = a_verifier(new, old)
    assert await both.verify(of_old)
    assert await both.verify(of_both)
    with pytest.raises(Unauthorised):
        await a_verifier(new).verify(of_old)


def test_a_signing_key_is_kept_as_bytes_and_published_without_its_private_part() -> None:
    assert SigningKey.from_bytes(KEY.to_bytes()).kid == KEY.kid
    (published,) = an_issuer().jwks()["keys"]  # type: ignore[misc]
    assert published.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}  # type: ignore[has-type]


class Publisher:
    """An issuer's key endpoint that counts, and can be switched off."""

    def __init__(self) -> None:
        self.keys = [SigningKey.generate()]
        self.asked = 0
        self.answer: Callable[[], Response] | None = None
        self.app = FastAPI()
        self.app.get("/auth/verify_keys")(self._answer)

    async def _answer(self) -> Response:
        self.asked += 1
        if self.answer is not None:
            return self.answer()
        return Response(json.dumps(TokenIssuer(self.keys).jwks()), media_type="application/json")


@asynccontextmanager
async def published(serve: Any, publisher: Publisher, clock: Callable[[], float]) -> AsyncIterator[RemoteKeys]:
    async with serve(publisher.app) as url:
        yield RemoteKeys(f"{url}/auth/verify_keys", aiohttp.ClientSession, clock=clock)


async def test_keys_are_fetched_once_and_serve_many_tokens(serve: Any) -> None:
    publisher = Publisher()
    async with published(serve, publisher, lambda: 0.0) as keys:
        assert not keys.ready
        verifier = TokenVerifier(keys)
        for _ in range(3):
            assert await verifier.verify(TokenIssuer(publisher.keys).issue(CLIENT, []))
        assert keys.ready
        assert publisher.asked == 1


async def test_an_unknown_key_is_asked_for_but_not_by_everyone_who_invents_one(serve: Any) -> None:
    now = 0.0
    publisher = Publisher()
    async with published(serve, publisher, lambda: now) as keys:
        await keys.refresh()
        publisher.keys.insert(0, SigningKey.generate())
        verifier = TokenVerifier(keys)
        of_the_new = TokenIssuer(publisher.keys).issue(CLIENT, [])
        for _ in range(5):
            with pytest.raises(Unauthorised):
                await verifier.verify(of_the_new)
        assert publisher.asked == 1
        now = 10.0
        assert await verifier.verify(of_the_new)
        assert publisher.asked == 2


@pytest.mark.parametrize(
    "answer",
    [
        lambda: Response(status_code=500),
        lambda: Response("not json"),
        lambda: Response("[" * 100_000),
        lambda: Response('{"keys": []}'),
        lambda: Response('{"keys": [5, {"kty": "oct", "k": "AAAA"}, {"kty": "EC", "crv": "P-256", "x": "?"}]}'),
        lambda: Response('{"keys": [{"kty": "EC", "crv": "P-256", "alg": ["ES256"]}, {"kty": ["EC"], "alg": {}}]}'),
        lambda: Response("x" * 300_000),
        lambda: Response(status_code=307, headers={"Location": "/auth/elsewhere"}),
    ],
)
async def test_keys_are_kept_while_the_issuer_answers_nonsense(serve: Any, answer: Callable[[], Response]) -> None:
    publisher = Publisher()
    async with published(serve, publisher, lambda: 0.0) as keys:
        assert await keys.refresh()
        publisher.answer = answer
        assert not await keys.refresh()
        assert await TokenVerifier(keys).verify(TokenIssuer(publisher.keys).issue(CLIENT, []))


async def test_without_any_key_the_answer_is_to_come_back_later() -> None:
    keys = RemoteKeys("http://127.0.0.1:9/auth/verify_keys")
    with pytest.raises(Unavailable) as refused:
        await TokenVerifier(keys).verify(a_token())
    assert refused.value.retry_after == 1.0


async def test_a_token_whose_key_was_taken_back_is_refused_even_if_it_was_verified_before(serve: Any) -> None:
    publisher = Publisher()
    async with published(serve, publisher, lambda: 0.0) as keys:
        verifier = TokenVerifier(keys)
        token = TokenIssuer(publisher.keys).issue(CLIENT, [])
        assert await verifier.verify(token)
        publisher.keys = [SigningKey.generate()]
        await keys.refresh()
        with pytest.raises(Unauthorised):
            await verifier.verify(token)


async def test_keys_are_fetched_in_the_background_as_soon_as_the_issuer_answers(serve: Any) -> None:
    publisher, beats = Publisher(), 0

    def beat() -> None:
        nonlocal beats
        beats += 1

    publisher.answer = lambda: Response(status_code=503)
    async with published(serve, publisher, time.monotonic) as keys, asyncio.timeout(10):
        running = asyncio.create_task(keys.run(beat))
        await _until(lambda: publisher.asked == 2)
        assert not keys.ready
        publisher.answer = None
        await _until(lambda: keys.ready)
        running.cancel()
    assert beats >= publisher.asked


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - nothing tells when; the caller has the deadline
        await asyncio.sleep(0.01)


def _bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}"}


async def test_a_request_with_the_scope_is_answered_and_its_cause_names_the_client(
    ask: Any,
    issuer: TokenIssuer,
) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    headers = {"X-Request-Id": "r-1", "traceparent": trace, **_bearer(issuer.issue(CLIENT, ["accounts:read"]))}
    reply = await ask("GET", "/mine", headers=headers)
    assert reply.body == {"client_id": str(CLIENT), "correlation_id": "r-1", "traceparent": trace, "etag": '"3"'}


@pytest.mark.parametrize("trace", ["x", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", "ff-" + "1" * 32 + "-1-01"])
async def test_a_malformed_trace_context_is_left_behind(ask: Any, issuer: TokenIssuer, trace: str) -> None:
    headers = {"traceparent": trace, **_bearer(issuer.issue(CLIENT, ["accounts:admin"]), "bearer")}
    assert (await ask("GET", "/mine", headers=headers)).body["traceparent"] is None


async def test_a_request_without_the_scope_is_403_and_names_it(ask: Any, issuer: TokenIssuer) -> None:
    token = issuer.issue(CLIENT, ["accounts:read", "orders:admin"])
    reply = await ask("POST", "/mine", json={"allocation_id": ID}, headers=_bearer(token))
    assert reply.is_problem("forbidden", 403)
    assert "accounts:admin" in reply.body["detail"]


async def test_a_request_without_a_token_is_401_and_told_how_to_bring_one(ask: Any) -> None:
    reply = await ask("GET", "/mine")
    assert reply.is_problem("unauthorised", 401)
    assert reply.headers["www-authenticate"] == 'Bearer realm="portfolio-bus"'


@pytest.mark.parametrize("value", ["Bearer", "Bearer x", "Basic YTpi", "Bearer \u00e9", "x"])
async def test_a_request_with_a_wrong_token_is_401(ask: Any, value: str) -> None:
    reply = await ask("GET", "/mine", headers={"Authorization": value})
    assert reply.is_problem("unauthorised", 401)
    assert 'error="invalid_token"' in reply.headers["www-authenticate"]


async def test_who_may_not_ask_is_not_told_what_is_wrong_with_the_body(ask: Any) -> None:
    assert (await ask("POST", "/mine", json={"wrong": 1})).is_problem("unauthorised", 401)
