"""The keeper of copies: applies states, cancels what a configuration leaves behind (P3, P4), shuts what is lost."""

import time
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from services.order_service import use_cases
from services.order_service.domain import (
    CANCEL_BY_CLIENT,
    FILL,
    SETTLE,
    START,
    START_REBALANCING,
    AccountNotTrustworthy,
    event_of,
)
from shared.contracts import (
    AccountStatus,
    ConfigurationChanged,
    OrderSide,
    OrderStatus,
    RebalancingOrderState,
    from_record,
    partition_of,
)
from shared.contracts import Record as Wire
from shared.kit.outbox import SHARDS
from shared.kit.received import read
from shared.kit.unit_of_work import UnitOfWork

from .statements import counted
from .world import World, a_record, account_state, configured, deleted, portfolio_state


async def _moved(world: World, account_id: UUID, order_id: UUID, *transitions: Any) -> None:
    for transition in transitions:
        async with world.database.unit_of_work(world.cause) as work:
            await use_cases.lock_accounts(work, [account_id])
            await use_cases.move_order(work, world.cause, transition, order_id)


async def test_a_deletion_cancels_the_new_orders_of_its_version_and_announces_each(world: World) -> None:
    account_id = await world.an_account(version=1)
    placed = [await world.an_order(account_id) for _ in range(3)]
    deletion = world.sent(deleted(account_id, 1))

    await world.applied(deletion)

    assert await world.statuses(account_id) == [("CANCELLED", "CONFIGURATION_DELETED")] * 3
    announced = [each for each in await world.announced(account_id) if each.type == "OrderCancelled"]
    assert {each.body["id"] for each in announced} == {str(order.id) for order in placed}
    assert {each.topic for each in announced} == {"orders.events.v1"}
    assert {each.headers["ce_causationid"] for each in announced} == {deletion.envelope.id}
    assert {each.headers["ce_correlationid"] for each in announced} == {"req-7"}
    assert {each.headers["ce_clientid"] for each in announced} == {str(world.client_id)}
    assert {each.headers["ce_source"] for each in announced} == {"/order_service"}
    assert len({each.headers["ce_id"] for each in announced}) == 3


async def test_a_deletion_told_twice_cancels_once(world: World) -> None:
    account_id = await world.an_account(version=1)
    await world.an_order(account_id)
    deletion = world.sent(deleted(account_id, 1))

    await world.applied(deletion, deletion)
    await world.applied(deletion)

    assert await world.types_announced(account_id) == ["OrderPlaced", "OrderCancelled"]


async def test_orders_of_other_accounts_and_other_statuses_survive_a_deletion(world: World) -> None:
    account_id, other_id = await world.an_account(version=1), await world.an_account(version=1)
    journeys: list[tuple[Any, ...]] = [(START,), (START, FILL), (START, FILL, SETTLE), (CANCEL_BY_CLIENT,)]
    for journey in journeys:
        await _moved(world, account_id, (await world.an_order(account_id)).id, *journey)
    await world.an_order(other_id)

    await world.applied(deleted(account_id, 1))

    statuses = ["PROCESSING", "FILLED", "SETTLED", "CANCELLED"]
    assert [status for status, _ in await world.statuses(account_id)] == statuses
    assert (await world.statuses(account_id))[-1] == ("CANCELLED", "CANCELLED_BY_CLIENT")
    assert await world.statuses(other_id) == [("NEW", None)]


async def test_a_batch_that_fails_midway_leaves_nothing_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    account_id = await world.an_account(version=1)
    await world.an_order(account_id)
    apply = use_cases.apply_states

    async def apply_and_fail(work: UnitOfWork, states: Any) -> None:
        await apply(work, states)
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(use_cases, "apply_states", apply_and_fail)
        with pytest.raises(Exception, match=r"order_service\.copies"):
            await world.applied(deleted(account_id, 1))
    assert await world.statuses(account_id) == [("NEW", None)]
    assert await world.types_announced(account_id) == ["OrderPlaced"]

    await world.applied(deleted(account_id, 1))
    assert await world.statuses(account_id) == [("CANCELLED", "CONFIGURATION_DELETED")]


async def test_a_newer_version_proves_the_deletion_that_was_never_heard_of(world: World) -> None:
    account_id = await world.an_account(version=1)
    await world.an_order(account_id)

    await world.applied(configured(account_id, 3))
    await world.an_order(account_id)

    assert await world.statuses(account_id) == [("CANCELLED", "CONFIGURATION_DELETED"), ("NEW", None)]


async def test_a_late_deletion_leaves_orders_of_a_later_version_alone(world: World) -> None:
    account_id = await world.an_account(version=1)
    await world.applied(deleted(account_id, 1), configured(account_id, 2))
    await world.an_order(account_id)

    await world.applied(deleted(account_id, 1))

    assert await world.statuses(account_id) == [("NEW", None)]
    assert (await world.copy_of(account_id)).configured


async def test_a_deletion_and_the_next_configuration_in_one_batch_are_both_applied(world: World) -> None:
    account_id = await world.an_account(version=1)
    await world.an_order(account_id)
    deletion = world.sent(deleted(account_id, 1))

    await world.applied(deletion, configured(account_id, 2))

    assert await world.statuses(account_id) == [("CANCELLED", "CONFIGURATION_DELETED")]
    copy = await world.copy_of(account_id)
    assert (copy.configured, copy.configuration_version) == (True, 2)
    cancelled = (await world.announced(account_id))[-1]
    assert cancelled.headers["ce_causationid"] == deletion.envelope.id


async def test_execution_orders_are_cancelled_with_their_own_reason_on_their_own_topic(world: World) -> None:
    account_id, moved_id = await world.an_account(version=1), await world.an_account(version=1)
    await world.rebalanced(account_id, moved_id)
    (row,) = await world.rows("SELECT id FROM orders WHERE account_id = :a", a=moved_id)
    await _moved(world, moved_id, row.id, START_REBALANCING)

    await world.applied(deleted(account_id, 1), deleted(moved_id, 1))

    assert await world.statuses(account_id) == [("CANCELLED", "CONFIGURATION_IS_MISSING")]
    assert await world.statuses(moved_id) == [("PROCESSING", None)]
    last = (await world.announced(account_id))[-1]
    assert (last.topic, last.type) == ("rebalancings.events.v1", "RebalancingOrderCancelled")


@pytest.mark.parametrize("known", [True, False])
async def test_an_account_that_is_held_is_held_for_all_others_whether_it_was_known_or_not(
    world: World, *, known: bool
) -> None:
    account_id = await world.an_account() if known else uuid4()
    told = [world.sent(account_state(account_id))]
    async with world.database.unit_of_work() as holding:
        states: Any = [read(world.incoming(each), each.record.topic, keeps_copies=True) for each in told]
        await use_cases.hold_what_is_told_of(holding, states)
        free = "SELECT account_id FROM accounts WHERE account_id = :a FOR NO KEY UPDATE SKIP LOCKED"
        assert await world.rows(free, a=account_id) == []
    assert len(await world.rows(free, a=account_id)) == 1


async def test_states_are_applied_by_revision_whatever_their_order(world: World) -> None:
    account_id = uuid4()
    await world.applied(
        configured(account_id, 2),
        account_state(account_id, revision=3, status=AccountStatus.LOCKED),
        configured(account_id, 1),
        account_state(account_id, revision=2),
    )
    await world.applied(account_state(account_id, revision=3), deleted(account_id, 1))

    copy = await world.copy_of(account_id)
    assert (copy.status, copy.account_revision) == ("LOCKED", 3)
    assert (copy.configured, copy.configuration_version, copy.configuration_revision) == (True, 2, 3)
    assert copy.client_id == world.client_id


async def test_a_switched_target_is_followed_and_cancels_nothing(world: World) -> None:
    account_id, target = await world.an_account(version=1), uuid4()
    await world.an_order(account_id)
    created = configured(account_id, 1)
    told = {**dict(created), "revision": created.revision + 1, "allocation_id": target}
    await world.applied(ConfigurationChanged(**told))

    copy = await world.copy_of(account_id)
    assert (copy.configured, copy.allocation_id, copy.configuration_version) == (True, target, 1)
    assert await world.statuses(account_id) == [("NEW", None)]
    later = await world.an_order(account_id)
    (order,) = await world.rows("SELECT allocation_id FROM orders WHERE id = :id", id=later.id)
    assert order.allocation_id == target


async def test_a_type_that_nobody_knows_yet_is_applied_as_state(world: World) -> None:
    account_id = await world.an_account(version=1)
    await world.an_order(account_id)
    record = world.sent(deleted(account_id, 1)).record
    headers = [(name, b"ConfigurationForgotten" if name == "ce_type" else value) for name, value in record.headers]

    await world.copies.take([a_record(_physical(world, record.topic), record.key, record.value, headers)], {})

    assert await world.statuses(account_id) == [("CANCELLED", "CONFIGURATION_DELETED")]


@pytest.mark.parametrize("topic", ["configurations.events.v1", "accounts.events.v1"])
async def test_an_unreadable_event_shuts_its_account_until_a_newer_one_of_its_kind(world: World, topic: str) -> None:
    account_id = await world.an_account(version=1)
    of_kind = configured(account_id, 2) if topic.startswith("conf") else account_state(account_id, revision=2)
    of_other_kind = account_state(account_id, revision=2) if topic.startswith("conf") else configured(account_id, 2)

    await world.copies.take([_unreadable(world, topic, account_id)], {})
    with pytest.raises(AccountNotTrustworthy):
        await world.an_order(account_id)
    await world.applied(of_other_kind)
    with pytest.raises(AccountNotTrustworthy):
        await world.an_order(account_id)
    await world.applied(of_kind)

    assert (await world.an_order(account_id)).status is OrderStatus.NEW


async def test_an_unreadable_first_event_shuts_an_account_that_nobody_knew(world: World) -> None:
    account_id = uuid4()
    await world.copies.take([_unreadable(world, "accounts.events.v1", account_id)], {})
    with pytest.raises(AccountNotTrustworthy):
        await world.an_order(account_id)


async def test_an_unreadable_event_without_an_account_for_key_shuts_nothing_and_holds_up_nothing(world: World) -> None:
    account_id = await world.an_account(version=1)
    await world.an_order(account_id)
    nobodys = a_record(_physical(world, "configurations.events.v1"), b"nobody", b"{", [])

    await world.copies.take([nobodys, world.incoming(deleted(account_id, 1))], {})

    assert await world.statuses(account_id) == [("CANCELLED", "CONFIGURATION_DELETED")]


async def test_a_redriven_event_that_can_be_read_by_now_opens_its_account_again(world: World) -> None:
    account_id = await world.an_account(version=1)
    lost = _unreadable(world, "accounts.events.v1", account_id)
    await world.copies.take([lost], {})
    state = world.sent(account_state(account_id, revision=1)).record
    parked = [
        ("parked-topic", b"accounts.events.v1"),
        ("parked-partition", str(lost.partition).encode()),
        ("parked-offset", str(lost.offset).encode()),
    ]

    redriven = _physical(world, "order_service.copies.redrive.v1")
    await world.copies.take([a_record(redriven, state.key, state.value, [*state.headers, *parked])], {})

    assert (await world.an_order(account_id)).status is OrderStatus.NEW


async def test_the_body_that_sql_builds_is_the_body_that_the_contract_writes(world: World) -> None:
    account_id = await world.an_account(version=1)
    order = await world.an_order(
        account_id,
        cash_amount=Decimal("120.50"),
        side=OrderSide.SELL,
        client_reference='päy "ment" \\ \u2028 \U0001f600',
    )
    await world.applied(deleted(account_id, 1))

    placed, cancelled = await world.announced(account_id)
    expected = event_of(await use_cases.show_order(world.database, world.client_id, order.id))
    assert cancelled.type == type(expected).__name__ == "OrderCancelled"
    assert await _payload_of_the_last(world, account_id) == expected.model_dump_json()
    assert placed.body["cash_amount"] == cancelled.body["cash_amount"] == "120.50"


async def test_every_kind_of_event_that_sql_writes_is_read_back_whole(world: World) -> None:
    account_id, closed_id = await world.an_account(version=1), await world.an_account(status=AccountStatus.CLOSED)
    await world.rebalanced(account_id, closed_id)
    await world.applied(deleted(account_id, 1))

    for row in await world.rows("SELECT * FROM outbox WHERE key IN (:a, :b)", a=str(account_id), b=str(closed_id)):
        headers = [(name, value.encode()) for name, value in row.headers.items()]
        wire = Wire(topic=row.topic, key=row.key.encode(), value=bytes(row.payload), headers=headers)
        envelope, message = from_record(wire)
        assert isinstance(message, RebalancingOrderState)
        stored = await use_cases.show_order(world.database, world.client_id, message.id)
        if message.status.value == stored.status.value:
            assert message == event_of(stored)
            assert bytes(row.payload).decode() == message.model_dump_json()
        assert envelope.time == message.updated_at
        assert row.shard == partition_of(row.key, world.service.settings.partitions) % SHARDS


async def test_placing_an_order_is_three_statements(world: World) -> None:
    portfolio_id = uuid4()
    await world.applied(portfolio_state(portfolio_id))
    account_id = await world.an_account(version=1, portfolio_id=portfolio_id)
    with counted(world.database) as asked:
        await world.an_order(account_id)
    # The account's lock, which tells of its portfolio as well, the order, and its event.
    assert len(asked) == 3


async def test_one_deletion_cancels_ten_thousand_orders_within_the_time_that_is_promised(world: World) -> None:
    account_id = await world.an_account(version=1)
    await world.an_order(account_id)
    async with world.database.unit_of_work(world.cause) as work:
        await work.connection.execute(text(_COPIES_OF_THE_ORDER), {"account_id": account_id, "times": 9_999})

    began = time.perf_counter()
    with counted(world.database) as asked:
        await world.applied(deleted(account_id, 1))
    took = time.perf_counter() - began

    # Its account is locked, its copy applied, its orders cancelled with their events.
    assert len(asked) == 3
    print(f"10,000 orders cancelled in {1000 * took:.0f} ms")  # noqa: T201 - a figure to look at
    assert await world.statuses(account_id) == [("CANCELLED", "CONFIGURATION_DELETED")] * 10_000
    assert (await world.types_announced(account_id)).count("OrderCancelled") == 10_000
    # Here to notice work per order; the benchmark measures on a machine that does nothing else.
    assert took < 2


_COPIES_OF_THE_ORDER = """
    INSERT INTO orders (id, client_id, account_id, user_id, allocation_id, configuration_version, kind, side,
                        cash_amount, currency, status, created_at, updated_at)
    SELECT gen_random_uuid(), client_id, account_id, user_id, allocation_id, configuration_version, kind, side,
           cash_amount, currency, status, created_at, updated_at
    FROM orders, generate_series(1, :times) WHERE account_id = :account_id
"""


async def _payload_of_the_last(world: World, account_id: UUID) -> str:
    (row,) = await world.rows("SELECT payload FROM outbox WHERE key = :k ORDER BY id DESC LIMIT 1", k=str(account_id))
    return bytes(row.payload).decode()


def _physical(world: World, topic: str) -> str:
    return world.service.kafka.physical(topic)


def _unreadable(world: World, topic: str, account_id: UUID) -> Any:
    return a_record(_physical(world, topic), str(account_id).encode(), b"not json", [])
