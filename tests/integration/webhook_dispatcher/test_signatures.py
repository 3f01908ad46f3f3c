"""Signatures as they arrive: both schemes, and through a rotation of the keys."""

from typing import Any
from uuid import UUID

import pytest
from standardwebhooks import WebhookVerificationError

from services.webhook_dispatcher import use_cases
from tests.unit.webhook_dispatcher.test_signing_keys import is_verified_by_public

from .asking import Asker
from .receiver import Receiver, Sent
from .world import World


async def rotated(asker: Asker, subscription: dict[str, Any], body: Any = None) -> dict[str, Any]:
    answer = await asker.ask("POST", f"/webhooks/{subscription['id']}/secret/rotate", body)
    assert answer.status == 200, answer.body
    shown: dict[str, Any] = answer.body
    return shown


async def next_sent(asker: Asker, receiver: Receiver, subscription: dict[str, Any]) -> Sent:
    await asker.in_state(await asker.tested(subscription), "DELIVERED")
    return receiver.sent[-1]


def schemes(sent: Sent) -> list[str]:
    return [each.partition(",")[0] for each in sent.headers["webhook-signature"].split(" ")]


async def test_a_secret_is_replaced_while_deliveries_go_on_and_the_former_one_is_forgotten(
    asker: Asker, world: World, receiver: Receiver
) -> None:
    made = await asker.subscribed(receiver.url)
    async with world.sending():
        (await next_sent(asker, receiver, made)).verified(made["secret"])
        first = await rotated(asker, made)
        assert first["overlap_until"] is not None
        assert first["public_key"] is None
        sent = await next_sent(asker, receiver, made)
        assert schemes(sent) == ["v1", "v1"]
        for secret in (made["secret"], first["secret"]):
            sent.verified(secret)

        # As if the day were over.
        await let_the_overlap_end(world, made)
        assert await use_cases.forget_former_keys(world.database, world.box) == 1
        assert await use_cases.forget_former_keys(world.database, world.box) == 0
        sent = await next_sent(asker, receiver, made)
        assert schemes(sent) == ["v1"]
        sent.verified(first["secret"])

        second = await rotated(asker, made, {"overlap_seconds": 0})
        assert second["overlap_until"] is None
        sent = await next_sent(asker, receiver, made)
        sent.verified(second["secret"])
        with pytest.raises(WebhookVerificationError):
            sent.verified(first["secret"])
    shown = (await asker.ask("GET", f"/webhooks/{made['id']}")).body
    assert "secret" not in shown
    for _ in range(4):
        await rotated(asker, made)
    assert (await asker.ask("POST", f"/webhooks/{made['id']}/secret/rotate")).status == 409
    too_long = await asker.ask("POST", f"/webhooks/{made['id']}/secret/rotate", {"overlap_seconds": 2_592_001})
    assert (too_long.status, too_long.at_fault) == (400, ["body.overlap_seconds"])


async def let_the_overlap_end(world: World, subscription: dict[str, Any]) -> None:
    found = {"s": UUID(subscription["id"])}
    (row,) = await world.rows("SELECT sealed_secret FROM subscriptions WHERE id = :s", **found)
    present, former = world.box.open(row.sealed_secret).decode().splitlines()
    ended = f"{present}\n{former.partition(' ')[0]} 1700000000".encode()
    await world.rows(
        "UPDATE subscriptions SET sealed_secret = :sealed, former_keys_until = now() WHERE id = :s RETURNING 1",
        **found,
        sealed=world.box.seal(ended),
    )


async def test_ed25519_signatures_come_where_they_are_asked_for_and_are_rotated_as_well(
    asker: Asker, world: World, receiver: Receiver
) -> None:
    made = await asker.subscribed(receiver.url)
    assert made["public_key"] is None
    async with world.sending():
        shown = await asker.changed(made, config={"signature": ["v1", "v1a"]})
        assert shown["public_key"].startswith("whpk_")
        sent = await next_sent(asker, receiver, made)
        assert schemes(sent) == ["v1", "v1a"]
        sent.verified(made["secret"])
        assert is_signed_for(sent, shown["public_key"])

        fresh = await rotated(asker, made)
        sent = await next_sent(asker, receiver, made)
        assert sorted(schemes(sent)) == ["v1", "v1", "v1a", "v1a"]
        assert fresh["public_key"] != shown["public_key"]
        for key in (fresh["public_key"], shown["public_key"]):
            assert is_signed_for(sent, key)

        assert (await asker.changed(made, config={"signature": None}))["public_key"] is None
        assert set(schemes(await next_sent(asker, receiver, made))) == {"v1"}


def is_signed_for(sent: Sent, public_key: str) -> bool:
    return is_verified_by_public(public_key, sent.headers, sent.body)
