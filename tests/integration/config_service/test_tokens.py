"""Tokens: who gets one, what it allows, and who can verify it."""

import asyncio
import base64
from uuid import uuid4

import aiohttp
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet
from sqlalchemy import text

from services.config_service import use_cases
from shared.kit.secrets import SecretBox, UnsealableError, new_sealing_key
from shared.kit.unit_of_work import Database

from .callers import ALL_SCOPES, Caller
from .conftest import NewCaller


async def test_a_token_names_the_client_and_can_be_verified_with_the_published_keys(caller: Caller) -> None:
    answer = await caller.token()
    keys = KeySet.import_key_set((await caller.get("/auth/verify_keys")).body)
    claims = jwt.decode(answer.body["access_token"], keys, algorithms=["ES256"]).claims
    assert (claims["sub"], claims["scope"]) == (str(caller.client_id), ALL_SCOPES)
    assert claims["exp"] - claims["iat"] == answer.body["expires_in"] == 600
    assert (answer.body["token_type"], answer.body["scope"]) == ("Bearer", ALL_SCOPES)
    assert answer.headers["Cache-Control"] == "no-store"


async def test_the_published_keys_hold_nothing_private(caller: Caller) -> None:
    (key,) = (await caller.get("/auth/verify_keys")).body["keys"]
    assert sorted(key) == ["alg", "crv", "kid", "kty", "use", "x", "y"]


async def test_credentials_may_come_by_http_basic(caller: Caller, session: aiohttp.ClientSession) -> None:
    basic = {"Authorization": aiohttp.encode_basic_auth(*vars(caller.credentials).values())}
    form = {"grant_type": "client_credentials"}
    async with session.post("/auth/token", data=form, headers=basic) as response:
        assert response.status == 200
    async with session.post("/auth/token", data=form | vars(caller.credentials), headers=basic) as response:
        assert response.status == 400, "the credentials stand there twice"


async def test_a_token_may_ask_for_less_than_the_client_has(caller: Caller) -> None:
    answer = await caller.token(scope="accounts:read")
    caller.headers = {"Authorization": f"Bearer {answer.body['access_token']}"}
    assert (await caller.get("/accounts")).status == 200
    refused = await caller.post("/accounts", {"user_id": str(uuid4()), "type": "TRADING"})
    assert (refused.status, refused.body["type"]) == (403, "/problems/forbidden")
    assert (await caller.get("/portfolios/allocations")).status == 403


async def test_a_token_cannot_ask_for_more_than_the_client_has(caller: Caller) -> None:
    refused = await caller.token(scope="accounts:read ops:read")
    assert (refused.status, refused.at_fault) == (400, ["body.scope"])


async def test_wrong_credentials_are_401_and_do_not_say_what_is_wrong(caller: Caller, stranger: Caller) -> None:
    attempts = [
        await caller.token(client_secret="wrong"),
        await caller.token(client_secret=stranger.credentials.client_secret),
        await caller.token(client_id=str(uuid4())),
        await caller.token(client_id="no uuid"),
        await caller.token(client_id="", client_secret=""),
    ]
    told = [{k: v for k, v in attempt.body.items() if k != "request_id"} for attempt in attempts]
    assert told[0]["type"] == "/problems/unauthorised"
    assert all(attempt.status == 401 for attempt in attempts)
    assert all(each == told[0] for each in told)


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic " + base64.b64encode(b"\xff:x").decode(), "Bearer x"])
async def test_credentials_that_cannot_be_read_are_401(session: aiohttp.ClientSession, header: str) -> None:
    form = {"grant_type": "client_credentials"}
    async with session.post("/auth/token", data=form, headers={"Authorization": header}) as response:
        assert response.status == 401


async def test_the_form_is_read_strictly(caller: Caller, session: aiohttp.ClientSession) -> None:
    assert (await caller.token(grant_type="password")).at_fault == ["body.grant_type"]
    assert (await caller.token(nonsense="1")).at_fault == ["body.nonsense"]
    async with session.post("/auth/token", json={"grant_type": "client_credentials"}) as response:
        assert response.status == 415


async def test_a_revoked_client_gets_no_token(caller: Caller, database: Database) -> None:
    async with database.unit_of_work() as work:
        revoke = text("UPDATE clients SET revoked_at = now() WHERE client_id = :id")
        await work.connection.execute(revoke, {"id": caller.client_id})
    assert (await caller.token()).status == 401


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer x.y.z", "Basic eDp5"])
async def test_without_a_valid_token_every_route_is_401(caller: Caller, header: str | None) -> None:
    caller.headers = {} if header is None else {"Authorization": header}
    somewhere = f"/portfolios/configurations/{uuid4()}"
    for path in ("/accounts", "/portfolios/allocations", "/portfolios/configurations", somewhere):
        assert (await caller.get(path)).status == 401
    assert (await caller.delete(somewhere)).status == 401


async def test_scopes_are_asked_route_by_route(new_caller: NewCaller) -> None:
    reader = await new_caller("portfolios:read")
    assert (await reader.get("/portfolios/configurations")).status == 200
    assert (await reader.get("/accounts")).status == 403
    assert (await reader.delete(f"/portfolios/configurations/{uuid4()}")).status == 403


async def test_secrets_and_signing_keys_cannot_be_read_from_the_database(caller: Caller, database: Database) -> None:
    async with database.reading() as connection:
        hashed = await connection.execute(
            text("SELECT secret_hash FROM client_secrets WHERE client_id = :id"), {"id": caller.client_id}
        )
        assert caller.credentials.client_secret not in hashed.scalar_one()
        sealed = (await connection.execute(text("SELECT sealed FROM signing_keys"))).scalar_one()
    with pytest.raises(UnsealableError):
        SecretBox([new_sealing_key()]).open(sealed)


async def test_replicas_that_start_at_once_share_one_signing_key(database: Database) -> None:
    box = SecretBox([new_sealing_key()])
    async with database.unit_of_work() as work:
        # The service's own key goes aside, in a transaction that is undone in the end.
        await work.connection.execute(text("ALTER TABLE signing_keys RENAME TO kept_signing_keys"))
        await work.connection.execute(text("CREATE TABLE signing_keys (LIKE kept_signing_keys INCLUDING ALL)"))
    try:
        found = await asyncio.gather(*(_kids(database, box) for _ in range(5)))
    finally:
        async with database.unit_of_work() as work:
            await work.connection.execute(text("DROP TABLE signing_keys"))
            await work.connection.execute(text("ALTER TABLE kept_signing_keys RENAME TO signing_keys"))
    assert len(found[0]) == 1
    assert all(kids == found[0] for kids in found)


async def _kids(database: Database, box: SecretBox) -> list[str]:
    async with database.unit_of_work() as work:
        return [key.kid for key in await use_cases.signing_keys(work, box)]
