"""The dispatcher's HTTP side, as a process of its own that also sends, dies and comes back."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.services import RunningSystem
from deploy.local.stack import Stack
from services.webhook_dispatcher.domain import DeliveryBoundary, WebhookType
from shared.kit.kafka import Kafka
from shared.kit.secrets import new_sealing_key
from tests.conftest import eventually
from tests.unit.webhook_dispatcher.messages import account_created, configured, deleted, order_placed, rebalancing

from .issuer import Issuer
from .receiver import Receiver, status
from .test_overtaking import publish

NAME = "webhook_dispatcher"
PREFIX = "webhooks_http."


@pytest.fixture(scope="module")
async def system(stack: Stack, issuer: Issuer) -> AsyncIterator[RunningSystem]:
    running = RunningSystem(
        stack,
        databases={NAME: stack.create_database("webhooks_http")},
        urls={NAME: f"http://{LOOPBACK}:{free_ports(1)[0]}", "config_service": issuer.url},
        environment={
            "PORTFOLIO_BUS_KAFKA": stack.kafka,
            "PORTFOLIO_BUS_SECRET_KEYS": new_sealing_key(),
            "PORTFOLIO_BUS_TOPIC_PREFIX": PREFIX,
            "PORTFOLIO_BUS_PARTITIONS": "3",
            "PORTFOLIO_BUS_DELIVER_TO": "127.0.0.0/8,::1/128",
            "PORTFOLIO_BUS_DELIVER_TO_PORTS": "9,80,443,1024-65535",
            "PORTFOLIO_BUS_RETRY_SCHEDULE": "0.5,0.5,0.5,0.5,0.5,0.5",
            "PORTFOLIO_BUS_ATTEMPT_TIMEOUT": "1",
            "PORTFOLIO_BUS_LEASE_SECONDS": "3",
        },
    )
    await asyncio.to_thread(running.migrate, NAME)
    await started(running)
    yield running
    for service in running.services.values():
        await asyncio.to_thread(service.stop)


async def started(system: RunningSystem) -> None:
    """Start the process and wait for it, in a thread: it asks the issuer, which lives in this event loop."""
    await asyncio.to_thread(system.start(NAME).wait_ready)


@dataclass
class Caller:
    """One client, signed in."""

    session: aiohttp.ClientSession
    client_id: UUID
    token: str

    async def call(self, method: str, path: str, body: object = None, key: UUID | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.token}", "Idempotency-Key": str(key or uuid4())}
        async with self.session.request(method, path, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None) if await response.read() else None

    async def subscribed(self, url: str, *types: str) -> dict[str, Any]:
        code, body = await self.call("POST", "/webhooks", {"title": "mine", "url": url, "type": types or ["ALL"]})
        assert code == 201, body
        made: dict[str, Any] = body
        return made


@pytest.fixture
async def session(system: RunningSystem) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(system.urls[NAME]) as opened:
        yield opened


@pytest.fixture
def caller(session: aiohttp.ClientSession, issuer: Issuer) -> Caller:
    client_id = uuid4()
    return Caller(session, client_id, issuer.token(client_id))


@pytest.fixture
def stranger(session: aiohttp.ClientSession, issuer: Issuer) -> Caller:
    client_id = uuid4()
    return Caller(session, client_id, issuer.token(client_id))


@pytest.fixture
def bus(stack: Stack, system: RunningSystem) -> Kafka:
    """Kafka as the process sees it."""
    del system
    return Kafka(stack.kafka, PREFIX, client_id="test")


async def test_a_subscription_is_made_read_listed_and_deleted(caller: Caller) -> None:
    made = await caller.subscribed("https://example.com/hook", "PORTFOLIO_ORDER", "ACCOUNT.CREATED")
    assert made["secret"].startswith("whsec_")
    shown = {name: value for name, value in made.items() if name != "secret"}
    assert shown["type"] == ["PORTFOLIO_ORDER", "ACCOUNT.CREATED"]
    assert (shown["enabled"], shown["exclude_type"], shown["disabled_reason"]) == (True, [], None)

    assert await caller.call("GET", f"/webhooks/{made['id']}") == (200, shown), "its secret is shown once"
    code, listed = await caller.call("GET", "/webhooks")
    assert (code, listed["data"], listed["meta"]["total_count"]) == (200, [shown], 1)
    assert await caller.call("DELETE", f"/webhooks/{made['id']}") == (204, None)
    assert (await caller.call("GET", f"/webhooks/{made['id']}"))[0] == 404
    assert (await caller.call("DELETE", f"/webhooks/{made['id']}"))[0] == 404


async def test_how_an_endpoint_wants_to_be_told_is_kept_and_shown(caller: Caller) -> None:
    wish = {"delay": 1.5, "max_package_size": 10, "rate_limit": 20, "ordered": True, "timeout": 5.0}
    unasked: dict[str, Any] = {
        "retry_schedule": None,
        "signature": ["v1"],
        "headers": {},
        "auth": None,
        "ca_fingerprints": None,
    }
    asked = {"title": "mine", "url": "http://127.0.0.1:9/hook", "type": ["ALL"], "config": wish}
    code, made = await caller.call("POST", "/webhooks", asked)
    assert (code, made["config"]) == (201, wish | unasked)
    _, shown = await caller.call("GET", f"/webhooks/{made['id']}")
    assert shown["config"] == wish | unasked
    usual = await caller.subscribed("http://127.0.0.1:9/hook")
    assert usual["config"] == {
        "delay": 0,
        "max_package_size": 1,
        "rate_limit": None,
        "ordered": False,
        "timeout": None,
        **unasked,
    }
    for each in (made, usual):
        await caller.call("DELETE", f"/webhooks/{each['id']}")


async def test_the_types_are_listed(caller: Caller) -> None:
    assert await caller.call("GET", "/webhooks/types") == (
        200,
        {"data": [each.value for each in WebhookType if each.category != "WEBHOOK"]},
    )


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"url": "ftp://example.com"}, "body.url"),
        ({"url": "https://user:pw@example.com/"}, "body.url"),
        ({"url": "http://2130706433/"}, "body.url"),
        ({"type": []}, "body.type"),
        ({"type": "ALL"}, "body.type"),
        ({"type": ["PORTFOLIO_ORDER", "NEWS"]}, "body.type.1"),
        ({"type": ["ALL", "ACCOUNT"]}, "body.type"),
        ({"exclude_type": ["ALL"]}, "body.exclude_type.0"),
        ({"title": ""}, "body.title"),
        ({"enabled": "yes"}, "body.enabled"),
        ({"config": {"rate_limit": 0}}, "body.config.rate_limit"),
        ({"config": {"max_package_size": 101}}, "body.config.max_package_size"),
        ({"config": {"speed": 1}}, "body.config.speed"),
        ({"sekret": "x"}, "body.sekret"),
    ],
)
async def test_a_bad_subscription_is_refused_by_naming_the_field(
    caller: Caller, changed: dict[str, object], field: str
) -> None:
    body = {"title": "mine", "url": "https://example.com/hook", "type": ["ALL"], **changed}
    code, problem = await caller.call("POST", "/webhooks", body)

    assert (code, [error["location"] for error in problem["errors"]]) == (400, [field])
    assert (await caller.call("GET", "/webhooks"))[1]["data"] == [], "nothing is written"


@pytest.mark.parametrize("url", ["http://10.0.0.1/hook", "http://169.254.169.254/latest", "http://[::ffff:10.0.0.1]/"])
async def test_an_endpoint_in_a_private_network_is_refused(caller: Caller, url: str) -> None:
    code, problem = await caller.call("POST", "/webhooks", {"title": "mine", "url": url, "type": ["ALL"]})
    assert (code, [error["location"] for error in problem["errors"]]) == (422, ["body.url"])


async def test_a_list_of_words_is_never_taken_for_an_id(caller: Caller) -> None:
    headers = {"Authorization": f"Bearer {caller.token}"}
    async with caller.session.delete("/webhooks/types", headers=headers) as response:
        assert (response.status, response.headers["Allow"]) == (405, "GET")


async def test_another_clients_resources_are_not_found(
    caller: Caller, stranger: Caller, bus: Kafka, receiver: Receiver
) -> None:
    made = await caller.subscribed(receiver.url)
    await publish(bus, caller.client_id, order_placed(uuid4()))
    (delivery,) = await delivered(caller, 1)

    for path in (f"/webhooks/{made['id']}", f"/webhooks/{made['id']}/deliveries", f"/deliveries/{delivery['id']}"):
        assert (await stranger.call("GET", path))[0] == 404
    assert (await stranger.call("GET", f"/deliveries/{delivery['id']}/attempts"))[0] == 404
    assert (await stranger.call("DELETE", f"/webhooks/{made['id']}"))[0] == 404
    assert (await stranger.call("GET", "/deliveries"))[1]["data"] == []


async def test_reading_takes_the_scope_to_read_and_changing_the_one_to_administer(
    session: aiohttp.ClientSession, issuer: Issuer
) -> None:
    client_id = uuid4()
    reader = Caller(session, client_id, issuer.token(client_id, "webhooks:read"))
    outsider = Caller(session, client_id, issuer.token(client_id, "orders:admin"))
    body = {"title": "mine", "url": "https://example.com/hook", "type": ["ALL"]}

    assert (await reader.call("GET", "/webhooks"))[0] == 200
    assert (await reader.call("POST", "/webhooks", body))[0] == 403
    assert (await outsider.call("GET", "/deliveries"))[0] == 403
    async with session.get("/webhooks") as response:
        assert response.status == 401


async def delivered(caller: Caller, count: int) -> list[dict[str, Any]]:
    async def there() -> list[dict[str, Any]]:
        _, body = await caller.call("GET", "/deliveries?state=DELIVERED")
        return body["data"] if len(body["data"]) >= count else []

    found: list[dict[str, Any]] = await eventually(there)
    return found


async def test_deliveries_and_their_attempts_can_be_looked_at(caller: Caller, bus: Kafka, receiver: Receiver) -> None:
    made = await caller.subscribed(receiver.url)
    receiver.answers.append(status(500, b"\xff not today"))
    account_id = uuid4()
    await publish(bus, caller.client_id, order_placed(account_id))
    (delivery,) = await delivered(caller, 1)

    (sent, _) = receiver.sent
    assert delivery["message_id"] == sent.message_id
    assert (delivery["subscription_id"], delivery["account_id"]) == (made["id"], str(account_id))
    assert (delivery["event_type"], delivery["attempts"]) == ("PORTFOLIO_ORDER.NEW", 2)
    code, attempts = await caller.call("GET", f"/deliveries/{delivery['id']}/attempts")
    assert code == 200
    first, second = attempts["data"]
    assert (first["outcome"], first["status_code"], first["response_body"]) == ("REJECTED", 500, "\ufffd not today")
    assert (second["outcome"], second["status_code"]) == ("DELIVERED", 200)
    _, mine = await caller.call("GET", f"/webhooks/{made['id']}/deliveries?event_type=PORTFOLIO_ORDER.NEW")
    assert mine["data"] == [delivery]
    _, others = await caller.call("GET", f"/deliveries?account_id={uuid4()}")
    assert others["data"] == []
    assert (await caller.call("GET", "/deliveries?state=LOST"))[0] == 400


async def test_a_killed_process_sends_what_it_had_planned_once_it_is_back(
    system: RunningSystem, caller: Caller, bus: Kafka, receiver: Receiver
) -> None:
    await caller.subscribed(receiver.url)
    process = system.services[NAME]
    receiver.answers.extend([status(500)] * 2)
    await publish(bus, caller.client_id, *[order_placed(uuid4()) for _ in range(20)])
    await eventually(lambda: one_was_sent(receiver))
    process.kill()
    await started(system)
    await delivered(caller, 20)

    assert len({sent.message_id for sent in receiver.sent}) == 20


async def one_was_sent(receiver: Receiver) -> bool:
    return bool(receiver.sent)


@pytest.mark.parametrize("boundary", list(DeliveryBoundary))
async def test_a_process_killed_at_a_boundary_of_the_delivery_loses_nothing_and_opens_no_gate(
    system: RunningSystem, caller: Caller, bus: Kafka, receiver: Receiver, boundary: str
) -> None:
    await caller.subscribed(receiver.url, "REBALANCING_EXECUTION_ORDER")
    stays, goes = uuid4(), uuid4()
    await asyncio.to_thread(system.services[NAME].stop)
    doomed = system.start(NAME, environment={"PORTFOLIO_BUS_KILL_AT": boundary})
    states = [state for each in (stays, goes) for state in (account_created(each), configured(each))]
    await publish(bus, caller.client_id, *states, rebalancing(stays), rebalancing(goes))

    async def dead() -> bool:
        return not doomed.alive()

    await eventually(dead)
    sent_before = sum(str(goes).encode() in sent.body for sent in receiver.sent)
    await publish(bus, caller.client_id, deleted(goes))
    await started(system)
    await eventually(lambda: nothing_is_open(caller, 2))

    _, body = await caller.call("GET", f"/deliveries?account_id={stays}")
    assert [each["state"] for each in body["data"]] == ["DELIVERED"]
    assert {sent.message_id for sent in receiver.sent if str(stays).encode() in sent.body} == {
        body["data"][0]["message_id"]
    }
    _, body = await caller.call("GET", f"/deliveries?account_id={goes}")
    (stopped,) = body["data"]
    if stopped["state"] != "DELIVERED":
        assert stopped["state"] == "SUPPRESSED"
        assert sum(str(goes).encode() in sent.body for sent in receiver.sent) == sent_before


async def nothing_is_open(caller: Caller, count: int) -> bool:
    _, body = await caller.call("GET", "/deliveries")
    states = [each["state"] for each in body["data"]]
    return len(states) == count and not {"WAITING", "LEASED"} & set(states)


async def test_a_stop_is_orderly(system: RunningSystem) -> None:
    process = system.services[NAME]
    await asyncio.to_thread(process.stop)
    log = (system.stack.directory / f"{NAME}.log").read_text()
    assert "Traceback" not in log.rpartition('"stopping"')[2]
    await started(system)


async def test_a_subscription_asked_for_again_under_its_key_is_made_once_and_its_secret_is_not_told_again(
    caller: Caller,
) -> None:
    key, body = uuid4(), {"title": "mine", "url": "https://example.com/hook", "type": ["ALL"]}
    code, made = await caller.call("POST", "/webhooks", body, key)
    assert (code, made["secret"][:6]) == (201, "whsec_")
    assert await caller.call("POST", "/webhooks", body, key) == (201, made | {"secret": None})
    assert (await caller.call("POST", "/webhooks", body | {"title": "yours"}, key))[0] == 422
    assert [each["id"] for each in (await caller.call("GET", "/webhooks"))[1]["data"]] == [made["id"]]


async def test_a_subscription_without_a_key_is_refused(caller: Caller) -> None:
    headers = {"Authorization": f"Bearer {caller.token}"}
    body = {"title": "mine", "url": "https://example.com/hook", "type": ["ALL"]}
    async with caller.session.post("/webhooks", json=body, headers=headers) as response:
        assert (response.status, (await response.json())["type"]) == (400, "/problems/missing_idempotency_key")


async def test_lists_are_followed_by_cursor(caller: Caller, bus: Kafka, receiver: Receiver) -> None:
    made = [await caller.subscribed(receiver.url, "PORTFOLIO_ORDER") for _ in range(3)]
    await publish(bus, caller.client_id, order_placed(uuid4()))
    found = await delivered(caller, 3)

    assert [each["id"] for each in await followed(caller, "/webhooks?limit=2")] == [each["id"] for each in made]
    assert await followed(caller, "/deliveries?limit=1&state=DELIVERED") == found
    path = f"/deliveries/{found[0]['id']}/attempts"
    assert [each["number"] for each in await followed(caller, f"{path}?limit=1")] == [1]

    _, body = await caller.call("GET", "/deliveries?limit=1")
    cursor = body["meta"]["next_cursor"]
    for other in (f"/webhooks?cursor={cursor}", f"/deliveries?state=FAILED&cursor={cursor}", f"{path}?cursor={cursor}"):
        code, problem = await caller.call("GET", other)
        assert (code, [error["location"] for error in problem["errors"]]) == (400, ["query.cursor"])


async def followed(caller: Caller, path: str) -> list[dict[str, Any]]:
    """The whole list, page by page."""
    code, body = await caller.call("GET", path)
    assert code == 200, body
    found: list[dict[str, Any]] = body["data"]
    while (cursor := body["meta"]["next_cursor"]) is not None:
        code, body = await caller.call("GET", f"{path}&cursor={cursor}")
        assert code == 200, body
        found += body["data"]
    return found


async def test_deliveries_are_sent_again_one_by_one_and_by_recovery(
    caller: Caller, stranger: Caller, bus: Kafka, receiver: Receiver
) -> None:
    made = await caller.subscribed(receiver.url, "PORTFOLIO_ORDER")
    await publish(bus, caller.client_id, order_placed(uuid4()))
    (delivery,) = await delivered(caller, 1)
    path, key = f"/deliveries/{delivery['id']}/resend", uuid4()
    code, again = await caller.call("POST", path, key=key)
    assert (code, again["state"], again["message_id"]) == (202, "WAITING", delivery["message_id"])
    assert await caller.call("POST", path, key=key) == (202, again), "it is answered as before"
    assert (await stranger.call("POST", path))[0] == 404
    await eventually(lambda: has_sent(receiver, 2))
    (twice,) = await delivered(caller, 1)
    assert (twice["attempts"], twice["created_at"]) == (2, delivery["created_at"])

    path, window = f"/webhooks/{made['id']}/recover", {"since": "2026-01-01T00:00:00Z"}
    for wrong in ({}, {"since": "yesterday"}, {**window, "until": "2025-12-31T00:00:00Z"}, {**window, "all": True}):
        assert (await caller.call("POST", path, wrong))[0] == 400
    assert (await stranger.call("POST", path, window))[0] == 404
    code, begun = await caller.call("POST", path, window)
    assert (code, begun["state"]) == (202, "RUNNING")
    shown = await eventually(lambda: completed(caller, begun["id"]))
    assert (shown["recovered"], shown["waiting"]) == (0, 0), "nothing has failed"
    assert [each["id"] for each in await followed(caller, f"/webhooks/{made['id']}/recoveries?limit=1")] == [
        begun["id"]
    ]
    assert (await caller.call("DELETE", f"/recoveries/{begun['id']}"))[0] == 409
    for method in ("GET", "DELETE"):
        assert (await stranger.call(method, f"/recoveries/{begun['id']}"))[0] == 404


async def has_sent(receiver: Receiver, count: int) -> bool:
    return len(receiver.sent) >= count


async def completed(caller: Caller, recovery_id: str) -> Any:
    _, shown = await caller.call("GET", f"/recoveries/{recovery_id}")
    return shown if shown["state"] == "COMPLETED" else None


async def test_nothing_secret_stands_in_the_log(system: RunningSystem, caller: Caller, receiver: Receiver) -> None:
    secrets = [f"{uuid4()} {name}" for name in ("a header", "another header", "a password", "a client secret")]
    sign_in = {"type": "basic", "username": "we", "password": secrets[2]}
    token_url = "http://127.0.0.1:9/token"
    oauth2 = {"type": "oauth2", "token_url": token_url, "client_id": "we", "client_secret": secrets[3]}
    config = {"headers": {"X-Key": secrets[0]}, "auth": sign_in, "signature": ["v1", "v1a"]}
    code, made = await caller.call(
        "POST", "/webhooks", {"title": "mine", "url": receiver.url, "type": ["ALL"], "config": config}
    )
    assert code == 201
    path = f"/webhooks/{made['id']}"
    # Also what is refused, and what ends in a failed attempt.
    assert (await caller.call("PATCH", path, {"config": {"headers": {"Host": secrets[1]}}}))[0] == 422
    assert (await caller.call("PATCH", path, {"config": {"auth": {**oauth2, "type": secrets[1]}}}))[0] == 400
    _, rotated = await caller.call("POST", f"{path}/secret/rotate")
    await caller.call("POST", f"{path}/test")
    await delivered(caller, 1)
    assert (await caller.call("PATCH", path, {"config": {"auth": oauth2}}))[0] == 200
    code, failing = await caller.call("POST", f"{path}/test")
    assert code == 201

    async def failed() -> bool:
        _, attempts = await caller.call("GET", f"/deliveries/{failing['id']}/attempts")
        return [each["outcome"] for each in attempts["data"]][:1] == ["SIGN_IN_FAILED"]

    await eventually(failed)
    log = (system.stack.directory / f"{NAME}.log").read_text()
    assert failing["id"] in log, "the attempts are told"
    for secret in (*secrets, made["secret"], rotated["secret"], "whsk_", "whsec_"):
        assert secret not in log
