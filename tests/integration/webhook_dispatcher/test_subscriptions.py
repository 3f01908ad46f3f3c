"""What a client can do with a subscription, and what follows for its deliveries."""

from typing import Any
from uuid import UUID, uuid4

import pytest

from services.webhook_dispatcher import use_cases
from tests.conftest import eventually
from tests.unit.webhook_dispatcher.messages import order_placed

from .asking import Asker
from .issuer import Issuer
from .receiver import Receiver, status
from .test_delivery import arrived, settled
from .world import World

NOWHERE = "http://127.0.0.1:9/hook"
USUAL: dict[str, Any] = {
    "delay": 0.0,
    "max_package_size": 1,
    "rate_limit": None,
    "ordered": False,
    "timeout": None,
    "retry_schedule": None,
    "signature": ["v1"],
    "headers": {},
    "auth": None,
    "ca_fingerprints": None,
}


async def test_every_field_is_changed_merged_and_reset(asker: Asker) -> None:
    made = await asker.subscribed(NOWHERE, config={"delay": 2, "headers": {"X-One": "1", "X-Two": "2"}})
    first = {**USUAL, "delay": 2.0, "headers": {"X-One": "********", "X-Two": "********"}}
    assert made["config"] == first

    url = "https://example.com/other"
    types = {"type": ["ACCOUNT"], "exclude_type": ["ACCOUNT.UPDATED"]}
    shown = await asker.changed(made, title="renamed", url=url, enabled=False, **types)
    assert shown == {
        **{name: value for name, value in made.items() if name != "secret"},
        "title": "renamed",
        "url": url,
        "enabled": False,
        **types,
        "updated_at": shown["updated_at"],
    }

    basic = {"type": "basic", "username": "we", "password": "a secret"}
    wish = {"max_package_size": 10, "rate_limit": 20, "ordered": True, "timeout": 5, "retry_schedule": [5, 60]}
    shown = await asker.changed(made, config={**wish, "auth": basic, "headers": {"x-one": "one", "X-Two": None}})
    signed_in = {"type": "basic", "username": "we", "token_url": None, "client_id": None, "scope": None}
    assert shown["config"] == {**first, **wish, "auth": signed_in, "headers": {"x-one": "********"}}

    shown = await asker.changed(made, config={"delay": None, "rate_limit": None, "auth": None, "headers": None})
    assert shown["config"] == {**USUAL, **wish, "rate_limit": None}
    assert (await asker.changed(made, config=None))["config"] == USUAL
    assert (await asker.ask("GET", f"/webhooks/{made['id']}")).body == await asker.changed(made)


async def test_a_change_counts_in_the_etag_and_none_is_made_under_another(asker: Asker) -> None:
    answer = await asker.ask("POST", "/webhooks", {"title": "mine", "url": NOWHERE, "type": ["ALL"]})
    path = f"/webhooks/{answer.body['id']}"
    assert answer.headers["ETag"] == '"1"'
    assert (await asker.ask("PATCH", path, {"title": "mine"}, **{"If-Match": '"1"'})).headers["ETag"] == '"1"'
    assert (await asker.ask("PATCH", path, {"title": "ours"}, **{"If-Match": '"1"'})).headers["ETag"] == '"2"'
    assert (await asker.ask("GET", path)).headers["ETag"] == '"2"'
    for method, body in (("PATCH", {"title": "theirs"}), ("DELETE", None)):
        assert (await asker.ask(method, path, body, **{"If-Match": '"1"'})).status == 412
    assert (await asker.ask("GET", path)).body["title"] == "ours"
    assert (await asker.ask("POST", f"{path}/pause")).headers["ETag"] == '"3"'
    assert (await asker.ask("POST", f"{path}/secret/rotate")).status == 200
    assert (await asker.ask("DELETE", path, None, **{"If-Match": '"4"'})).status == 204


@pytest.mark.parametrize(
    ("change", "status_code", "field"),
    [
        ({"title": None}, 400, "body.title"),
        ({"url": "http://2130706433/"}, 400, "body.url"),
        ({"url": "http://10.0.0.1/"}, 422, "body.url"),
        ({"url": "https://example.com:22/"}, 422, "body.url"),
        ({"type": ["NEWS"]}, 400, "body.type.0"),
        ({"type": ["WEBHOOK.TEST"]}, 400, "body.type.0"),
        ({"id": str(uuid4())}, 400, "body.id"),
        ({"config": {"signature": ["v1a"]}}, 400, "body.config.signature"),
        ({"config": {"headers": {"a b": "c"}}}, 400, "body.config.headers.a b.[key]"),
        ({"config": {"headers": {"X-Key": "a\r\nb: c"}}}, 400, "body.config.headers.X-Key"),
        ({"config": {"headers": {"Webhook-Signature": "v1,x"}}}, 422, "body.config.headers.Webhook-Signature"),
        ({"config": {"headers": {"HOST": "example.com"}}}, 422, "body.config.headers.HOST"),
        ({"config": {"headers": {"Content-Type": "x/y"}}}, 422, "body.config.headers.Content-Type"),
        ({"config": {"headers": {"Transfer-Encoding": "chunked"}}}, 422, "body.config.headers.Transfer-Encoding"),
        ({"config": {"headers": {"X-Key": "********"}}}, 422, "body.config.headers.X-Key"),
        ({"config": {"headers": {f"X-{n}": "v" * 1000 for n in range(5)}}}, 422, "body.config.headers"),
        ({"config": {"headers": {f"X-{n}": "v" for n in range(21)}}}, 400, "body.config.headers"),
        ({"config": {"retry_schedule": []}}, 400, "body.config.retry_schedule"),
        ({"config": {"retry_schedule": [0.001]}}, 422, "body.config.retry_schedule"),
        ({"config": {"retry_schedule": [5] * 21}}, 422, "body.config.retry_schedule"),
        ({"config": {"retry_schedule": [604_800, 5]}}, 422, "body.config.retry_schedule"),
        ({"config": {"ca_bundle": "-----BEGIN CERTIFICATE-----"}}, 422, "body.config.ca_bundle"),
        ({"config": {"auth": {"type": "digest"}}}, 400, "body.config.auth"),
        (
            {
                "config": {
                    "auth": {"type": "oauth2", "client_id": "c", "client_secret": "s", "token_url": "http://10.0.0.1/"}
                }
            },
            422,
            "body.config.auth.token_url",
        ),
    ],
)
async def test_a_change_that_cannot_be_is_refused_by_naming_the_field(
    asker: Asker, change: dict[str, Any], status_code: int, field: str
) -> None:
    made = await asker.subscribed(NOWHERE)
    for answer in (
        await asker.ask("PATCH", f"/webhooks/{made['id']}", change),
        await asker.ask("POST", "/webhooks", {"title": "new", "url": NOWHERE, "type": ["ALL"], **change}),
    ):
        assert (answer.status, answer.at_fault) == (status_code, [field]), answer.body
    assert (await asker.ask("GET", f"/webhooks/{made['id']}")).headers["ETag"] == '"1"'


async def test_another_clients_subscription_is_not_found_whatever_is_asked(
    asker: Asker, issuer: Issuer, receiver: Receiver
) -> None:
    made = await asker.subscribed(receiver.url)
    client_id = uuid4()
    stranger = Asker(asker.session, client_id, issuer.token(client_id))
    for path in ("pause", "resume", "test", "secret/rotate"):
        assert (await stranger.ask("POST", f"/webhooks/{made['id']}/{path}")).status == 404
    assert (await stranger.ask("PATCH", f"/webhooks/{made['id']}", {"title": "theirs"})).status == 404
    assert (await asker.ask("GET", "/deliveries")).body["data"] == []


async def test_nothing_is_planned_while_it_is_off_and_what_waited_ends_where_it_can_be_seen(
    asker: Asker, world: World
) -> None:
    made = await asker.subscribed(NOWHERE)
    await world.happened(order_placed(uuid4()))
    assert (await asker.changed(made, enabled=False))["disabled_reason"] is None, "its client did it"
    await world.happened(order_placed(uuid4()))
    assert await world.states() == [("FAILED", "SUBSCRIPTION_DISABLED")]
    assert (await asker.ask("POST", f"/webhooks/{made['id']}/test")).status == 409
    await asker.changed(made, enabled=True)
    await world.happened(order_placed(uuid4()))
    assert await world.states() == [("FAILED", "SUBSCRIPTION_DISABLED"), ("WAITING", None)]


async def test_one_that_was_switched_off_begins_anew_with_a_closed_circuit(
    asker: Asker, world: World, receiver: Receiver
) -> None:
    made = await asker.subscribed(receiver.url)
    receiver.answers.append(status(410))
    async with world.sending():
        await asker.tested(made)
        await eventually(lambda: is_off(asker, made))
        await set_back(world, made)
        shown = await asker.changed(made, enabled=True)
        assert (shown["enabled"], shown["disabled_reason"]) == (True, None)
        assert await endpoint_of(world, made) == ("UNTRIED", 0, 0, None)
        await asker.in_state(await asker.tested(made), "DELIVERED")


async def is_off(asker: Asker, subscription: dict[str, Any]) -> bool:
    shown = (await asker.ask("GET", f"/webhooks/{subscription['id']}")).body
    return not shown["enabled"] and shown["disabled_reason"] == use_cases.sending.GONE


async def set_back(world: World, subscription: dict[str, Any]) -> None:
    """As after many failed attempts."""
    await world.rows(
        "UPDATE endpoints SET pace = 'SILENT', failures = 9, failing_since = now(), opened = 3, "
        "open_until = now() + interval '1 hour' WHERE subscription_id = :s RETURNING 1",
        s=UUID(subscription["id"]),
    )


async def endpoint_of(world: World, subscription: dict[str, Any]) -> tuple[Any, ...]:
    (row,) = await world.rows(
        "SELECT pace, failures, opened, open_until FROM endpoints WHERE subscription_id = :s",
        s=UUID(subscription["id"]),
    )
    return tuple(row)


async def test_another_url_is_another_endpoint_and_other_changes_are_not(
    asker: Asker, world: World, receiver: Receiver
) -> None:
    made = await asker.subscribed(NOWHERE)
    await set_back(world, made)
    await asker.changed(made, title="renamed", config={"timeout": 1})
    assert (await endpoint_of(world, made))[:3] == ("SILENT", 9, 3)
    delivery = await asker.tested(made)
    async with world.sending():
        await asker.changed(made, url=receiver.url)
        await asker.in_state(delivery, "DELIVERED")
    assert (await endpoint_of(world, made))[1:] == (0, 0, None)


async def test_a_paused_subscription_plans_and_waits_and_goes_on_when_it_is_resumed(
    asker: Asker, world: World, receiver: Receiver
) -> None:
    paused, other = await asker.subscribed(receiver.url), await asker.subscribed(receiver.url)
    shown = (await asker.ask("POST", f"/webhooks/{paused['id']}/pause")).body
    assert shown["paused_at"] is not None
    assert (await asker.ask("POST", f"/webhooks/{paused['id']}/pause")).body == shown, "it is so already"
    async with world.sending():
        await world.happened(order_placed(uuid4()), order_placed(uuid4()))
        await arrived(receiver, 2)
        assert {sent.verified(other["secret"])["payload"][0]["webhook_id"] for sent in receiver.sent} == {other["id"]}
        waiting = (await asker.ask("GET", f"/webhooks/{paused['id']}/deliveries")).body["data"]
        assert [(each["state"], each["attempts"]) for each in waiting] == [("WAITING", 0)] * 2
        assert (await asker.ask("POST", f"/webhooks/{paused['id']}/resume")).body["paused_at"] is None
        await settled(world, *["DELIVERED"] * 4)


async def test_a_test_event_goes_to_one_subscription_alone_whatever_it_wants_to_be_told_of(
    asker: Asker, world: World, receiver: Receiver
) -> None:
    made = await asker.subscribed(receiver.url, type=["ACCOUNT.CREATED"], config={"delay": 60})
    await asker.subscribed(receiver.url)
    async with world.sending():
        key = str(uuid4())
        path = f"/webhooks/{made['id']}/test"
        first, again = [await asker.ask("POST", path, **{"Idempotency-Key": key}) for _ in range(2)]
        assert (first.status, first.body) == (again.status, again.body)
        assert first.headers["Location"] == f"/deliveries/{first.body['id']}"
        delivered = await asker.in_state(first.body, "DELIVERED")

    (sent,) = receiver.sent
    (item,) = sent.verified(made["secret"])["payload"]
    assert item["type"] == delivered["event_type"] == "WEBHOOK.TEST"
    assert item["object"] == {"subscription_id": made["id"], "title": "mine"}
    assert (item["id"], item["webhook_id"]) == (delivered["event_id"], made["id"])
    found = (await asker.ask("GET", "/deliveries?event_type=WEBHOOK.TEST")).body["data"]
    assert [each["id"] for each in found] == [delivered["id"]]
