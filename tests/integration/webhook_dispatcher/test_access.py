"""What endpoints are approached with: headers, credentials, tokens, certificates, a schedule of their own."""

import asyncio
import json
from base64 import b64encode
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiohttp import web
from cryptography.fernet import Fernet, MultiFernet

from services.webhook_dispatcher.clients import (
    Sender,
    TokenEndpoints,
    TokenNotGivenError,
    TrustingSenders,
    guarded_connector,
    guarded_pool,
)
from services.webhook_dispatcher.domain import Access, AddressRule, OAuth2
from services.webhook_dispatcher.settings import Settings
from shared.kit.sealing import NotAllSealedError, seal_anew
from shared.kit.secrets import SecretBox, new_sealing_key
from shared.kit.service import Service

from .asking import Asker
from .receiver import Answer, Receiver, after, status
from .rude import certified, rude, says
from .test_delivery import arrived, settled
from .world import World

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
SECRETS = ["an api key of theirs", "a password of theirs", "a client secret of theirs"]


@pytest.fixture
async def issuing() -> AsyncIterator[Receiver]:
    """An endpoint that gives tokens."""
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


def a_token(value: str, **told: Any) -> Answer:
    async def answer(_: web.Request) -> web.StreamResponse:
        return web.json_response({"access_token": value, "token_type": "Bearer", "expires_in": 3600, **told})

    return answer


def oauth2(token_url: str, **more: Any) -> dict[str, Any]:
    return {"type": "oauth2", "token_url": token_url, "client_id": "we:us", "client_secret": SECRETS[2], **more}


def bearers(receiver: Receiver) -> list[str]:
    return [sent.headers["authorization"] for sent in receiver.sent]


async def test_headers_and_a_password_are_sent_and_never_shown_and_kept_sealed(
    asker: Asker, world: World, receiver: Receiver
) -> None:
    basic = {"type": "basic", "username": "we", "password": SECRETS[1]}
    made = await asker.subscribed(receiver.url, config={"headers": {"X-Api-Key": SECRETS[0]}, "auth": basic})
    async with world.sending():
        await asker.in_state(await asker.tested(made), "DELIVERED")
        await asker.changed(made, config={"headers": {"x-api-key": "another", "X-More": "more"}, "auth": None})
        await asker.in_state(await asker.tested(made), "DELIVERED")

    first, second = receiver.sent
    for sent in receiver.sent:
        sent.verified(made["secret"])
        assert sent.headers["content-type"] == "application/json"
    assert first.headers["x-api-key"] == SECRETS[0]
    assert first.headers["authorization"] == "Basic " + b64encode(f"we:{SECRETS[1]}".encode()).decode()
    assert (second.headers["x-api-key"], second.headers["x-more"]) == ("another", "more")
    assert "authorization" not in second.headers

    listed = await asker.ask("GET", "/webhooks")
    (row,) = await world.rows("SELECT subscriptions::text AS all FROM subscriptions WHERE id = :s", s=UUID(made["id"]))
    for secret in (*SECRETS, "another", made["secret"]):
        assert secret not in json.dumps(listed.body)
        assert secret not in row.all
        assert secret.encode().hex() not in row.all
    (kept,) = await world.rows("SELECT sealed_access FROM subscriptions WHERE id = :s", s=UUID(made["id"]))
    assert Access.from_bytes(world.box.open(kept.sealed_access)).headers == {"x-api-key": "another", "X-More": "more"}


async def test_a_token_is_fetched_once_for_many_deliveries_and_anew_once_it_is_not_taken(
    asker: Asker, world: World, receiver: Receiver, issuing: Receiver
) -> None:
    asked = asyncio.Event()
    issuing.answers.extend([after(asked, a_token("one")), a_token("two"), a_token("three")])
    made = await asker.subscribed(receiver.url, config={"auth": oauth2(issuing.url, scope="a b")})
    await world.rows("UPDATE endpoints SET pace = 'QUICK' WHERE subscription_id = :s RETURNING 1", s=UUID(made["id"]))
    async with world.sending():
        await world.waiting_for(UUID(made["id"]), 5)
        await arrived(issuing, 1)
        asked.set()
        await settled(world, *["DELIVERED"] * 5)
        assert bearers(receiver) == ["Bearer one"] * 5
        assert len(issuing.sent) == 1
        request = issuing.sent[0]
        assert request.body == b"grant_type=client_credentials&scope=a+b"
        shown = f"we%3Aus:{SECRETS[2].replace(' ', '+')}"
        assert request.headers["authorization"] == "Basic " + b64encode(shown.encode()).decode()

        # The token is no longer good: another one within the same attempt.
        receiver.answers.append(status(401))
        delivery = await asker.in_state(await asker.tested(made), "DELIVERED")
        assert (delivery["attempts"], bearers(receiver)[5:]) == (1, ["Bearer one", "Bearer two"])

        # Nor is the fresh one: that is the endpoint's answer, and not asked about again and again.
        receiver.answers.extend([status(401), status(401)])
        delivery = await asker.in_state(await asker.tested(made), "DELIVERED")
        first, _ = await asker.attempts(delivery)
        assert (first["outcome"], first["status_code"]) == ("REJECTED", 401)
        assert bearers(receiver)[7:9] == ["Bearer two", "Bearer three"]


NO_TOKENS: dict[str, Answer] = {
    "the token endpoint answered 400": status(400, b'{"error": "invalid_client"}'),
    "the token endpoint answered 302": status(302, Location="http://169.254.169.254/"),
    "the token endpoint's answer is no JSON": status(200, b"<html>"),
    "the token endpoint's answer holds no token": a_token("a\nb"),
    "the token endpoint's token is no bearer token": a_token("x", token_type="mac"),
    "the token endpoint's answer is too large": status(200, b" " * 70_000),
}


async def test_without_a_token_nothing_is_sent_and_the_attempt_says_why(
    asker: Asker, world: World, receiver: Receiver, issuing: Receiver
) -> None:
    issuing.answers.extend(NO_TOKENS.values())
    schedule = [0.01] * len(NO_TOKENS)
    made = await asker.subscribed(receiver.url, config={"auth": oauth2(issuing.url), "retry_schedule": schedule})
    issuing.answers.append(a_token("at-last"))
    async with world.sending():
        delivery = await asker.in_state(await asker.tested(made), "DELIVERED")
    attempts = await asker.attempts(delivery)
    assert [each["error"] for each in attempts] == [*(f"no access token: {reason}" for reason in NO_TOKENS), None]
    assert {each["outcome"] for each in attempts[:-1]} == {"SIGN_IN_FAILED"}
    assert bearers(receiver) == ["Bearer at-last"]


async def test_a_token_endpoint_at_a_forbidden_address_is_not_dialled(issuing: Receiver) -> None:
    endpoints = TokenEndpoints(partial(guarded_pool, AddressRule()))
    with pytest.raises(TokenNotGivenError, match="is not an address that deliveries may reach"):
        await endpoints.fetch(OAuth2(issuing.url, "we", "x"), None, within=2)
    assert issuing.sent == []


async def test_a_schedule_of_its_own_is_followed_and_then_the_delivery_has_failed(
    asker: Asker, world: World, receiver: Receiver
) -> None:
    receiver.answers.extend([status(500)] * 5)
    made = await asker.subscribed(receiver.url, config={"retry_schedule": [0.01]})
    other = await asker.subscribed(receiver.url)
    async with world.sending():
        deliveries = [await asker.tested(each) for each in (made, other)]
        ended = [await asker.in_state(each, "FAILED") for each in deliveries]
    assert [each["attempts"] for each in ended] == [2, 3]


async def test_a_certificate_is_checked_against_the_subscriptions_own_bundle(
    asker: Asker, world: World, tmp_path: Path
) -> None:
    bundles = []
    for name in ("theirs", "others"):
        (tmp_path / name).mkdir()
        tls = certified(tmp_path / name, "127.0.0.1")
        bundles.append((tls, only_certificate(tmp_path / name / "certificate.pem")))
    (tls, theirs), (_, others) = bundles
    async with rude(says(OK), tls) as url, world.sending():
        made = await asker.subscribed(url, config={"ca_bundle": theirs + others})
        assert len(made["config"]["ca_fingerprints"]) == 2
        await asker.in_state(await asker.tested(made), "DELIVERED")
        for bundle in (others, None):
            await asker.changed(made, config={"ca_bundle": bundle})
            failed = await asker.in_state(await asker.tested(made), "FAILED")
            assert {each["outcome"] for each in await asker.attempts(failed)} == {"TLS_FAILED"}
    with_a_key = (tmp_path / "theirs" / "certificate.pem").read_text()
    answer = await asker.ask("PATCH", f"/webhooks/{made['id']}", {"config": {"ca_bundle": with_a_key}})
    assert (answer.status, answer.at_fault) == (422, ["body.config.ca_bundle"])


def only_certificate(file: Path) -> str:
    return file.read_text().partition("-----BEGIN PRIVATE KEY-----")[0]


async def test_pools_of_connections_are_kept_for_so_many_bundles_and_none_is_closed_in_use(
    world: World, tmp_path: Path
) -> None:
    found = []
    for name in ("one", "two", "three"):
        (tmp_path / name).mkdir()
        certified(tmp_path / name, "127.0.0.1")
        found.append(only_certificate(tmp_path / name / "certificate.pem"))
    made: list[Sender] = []

    def make(trust: Any) -> Sender:
        made.append(Sender(lambda: guarded_connector(world.rule, trust), timeout=1))
        return made[-1]

    senders = TrustingSenders(make, kept=1)
    async with senders.of(found[0]) as first:
        async with senders.of(found[1]) as second:
            assert [each._connector is not None for each in (first, second)] == [True, True]
        assert [each._connector is not None for each in (first, second)] == [True, False], "the first is in use"
    async with senders.of(found[2]), senders.of(found[2]) as again:
        assert again is made[2]
    assert [each._connector is not None for each in made] == [False, False, True]
    await senders.close()
    assert made[2]._connector is None


async def test_everything_is_sealed_anew_in_chunks_while_deliveries_go_on_and_what_cannot_be_opened_is_told(
    asker: Asker, world: World, service: Service, settings: Settings, receiver: Receiver
) -> None:
    made = [await asker.subscribed(receiver.url, config={"headers": {"X-Key": "k"}}) for _ in range(3)]
    revisions = [(await asker.ask("GET", f"/webhooks/{each['id']}")).headers["ETag"] for each in made]
    # As before there were ids, and as if its key were lost.
    old = MultiFernet([Fernet(key) for key in settings.sealing_keys])
    unnamed = old.encrypt(world.box.open(await sealed_of(world, made[0])))
    await sealed_as(world, made[0], unnamed)
    await is_delivered_to(asker, world, made[0])
    lost = SecretBox([new_sealing_key()]).seal(b"whsec_x")
    kept = await sealed_of(world, made[1])
    await sealed_as(world, made[1], lost)

    new = new_sealing_key()
    keys = settings.sealing_keys
    with pytest.raises(NotAllSealedError, match="; 1 can be opened with none of the keys"):
        await seal_anew(world.database, SecretBox([new, *keys]), service.sealed, at_once=2)
    assert await sealed_of(world, made[1]) == lost
    await sealed_as(world, made[1], kept)
    assert await seal_anew(world.database, SecretBox([new, *keys]), service.sealed, at_once=2) == 1
    assert await seal_anew(world.database, SecretBox([new]), service.sealed, at_once=2) == 0
    for each in made:
        assert SecretBox([new]).open(await sealed_of(world, each)).decode() == each["secret"]
    assert await seal_anew(world.database, SecretBox([*keys, new]), service.sealed) >= 6
    assert revisions == [(await asker.ask("GET", f"/webhooks/{each['id']}")).headers["ETag"] for each in made]
    await is_delivered_to(asker, world, made[2])


async def is_delivered_to(asker: Asker, world: World, subscription: dict[str, Any]) -> None:
    async with world.sending():
        await asker.in_state(await asker.tested(subscription), "DELIVERED")


async def sealed_of(world: World, subscription: dict[str, Any]) -> bytes:
    (row,) = await world.rows("SELECT sealed_secret FROM subscriptions WHERE id = :s", s=UUID(subscription["id"]))
    return bytes(row.sealed_secret)


async def sealed_as(world: World, subscription: dict[str, Any], sealed: bytes) -> None:
    await world.rows(
        "UPDATE subscriptions SET sealed_secret = :sealed WHERE id = :s RETURNING 1",
        s=UUID(subscription["id"]),
        sealed=sealed,
    )
