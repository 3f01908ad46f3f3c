"""Executions of any size: taken in one short transaction, worked on in shares, cancelled as a whole."""

import asyncio
import time
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.order_service import use_cases
from services.order_service.domain import Execution, ExecutionNotFound, Targets
from services.order_service.storage import execution_orders
from services.order_service.use_cases import AT_ONCE
from shared.contracts import (
    CancelOrder,
    CancelRebalancing,
    CancelRebalancingOrder,
    Command,
    OrderStatus,
    RebalancingCancellationReason,
    RequestRebalancing,
    StartRebalancingOrder,
)
from tests.conftest import eventually

from .statements import counted
from .world import World, a_record, account_state, configured, deleted

_ACCOUNTS_OF_AN_ALLOCATION = """
    INSERT INTO accounts (account_id, client_id, type, status, account_revision, configured, allocation_id,
                          configuration_version, configuration_revision)
    SELECT gen_random_uuid(), :client_id, 'PORTFOLIO', 'ACTIVE', 1, true, :allocation_id, 1, 1
    FROM generate_series(1, :many)
"""


async def _an_allocation_of(world: World, many: int) -> UUID:
    allocation_id = uuid4()
    asked = {"client_id": world.client_id, "allocation_id": allocation_id, "many": many}
    async with world.database.unit_of_work() as work:
        await work.connection.execute(text(_ACCOUNTS_OF_AN_ALLOCATION), asked)
    return allocation_id


async def _counts(world: World, execution_id: UUID) -> tuple[int, dict[str, int]]:
    progress = await use_cases.show_progress(world.database, world.client_id, execution_id)
    return progress.pending, {status.value: count for status, count in progress.by_status.items()}


async def _order_ids(world: World, execution_id: UUID) -> dict[UUID, UUID]:
    rows = await world.rows("SELECT id, account_id FROM orders WHERE execution_id = :e", e=execution_id)
    return {row.account_id: row.id for row in rows}


def _about(kind: type[Any], account_id: UUID, order_id: UUID, **changed: Any) -> Command:
    command: Command = kind(account_id=account_id, order_id=order_id, **changed)
    return command


async def test_an_allocation_of_ten_thousand_accounts_is_one_request_and_a_handful_of_statements_for_each_thousand(
    world: World,
) -> None:
    allocation_id = await _an_allocation_of(world, 10_000)

    with counted(world.database) as asked:
        (reply,) = await world.commanded(RequestRebalancing(execution_id=uuid4(), allocations=(allocation_id,)))
    taking = [each for each in asked if "rebalancing" in each]
    began = time.perf_counter()
    with counted(world.database) as worked:
        await world.worked()
    took = time.perf_counter() - began

    print(f"10,000 execution orders made in {1000 * took:.0f} ms, {len(worked)} statements")  # noqa: T201 - a figure
    execution_id = UUID(reply.body["resource"]["id"])
    assert await _counts(world, execution_id) == (0, {"NEW": 10_000})
    announced = await world.rows(
        "SELECT key FROM outbox WHERE topic = 'rebalancings.events.v1' AND headers->>'ce_causationid' = :c",
        c=reply.body["command_id"],
    )
    assert len({row.key for row in announced}) == len(announced) == 10_000
    assert len(taking) == 2
    # What is due, the accounts, their locks, the execution's, the orders with their events, and the next turn; at the
    # end a look that finds nothing.
    assert len(worked) <= 6 * 10_000 // AT_ONCE + 6
    # Here to notice work per order; ten thousand take about a second on a machine that does nothing else.
    assert took < 10


async def test_no_request_locks_accounts_however_many_it_is_for(world: World) -> None:
    account_id = await world.an_account(version=1)
    async with world.database.unit_of_work(world.cause) as work:
        await use_cases.request_rebalancing(work, world.cause, uuid4(), Targets((account_id,)))
        free = "SELECT account_id FROM accounts WHERE account_id = :a FOR NO KEY UPDATE SKIP LOCKED"
        assert len(await world.rows(free, a=account_id)) == 1
    await world.worked()


async def test_what_a_process_that_dies_midway_has_left_is_done_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    allocation_id = await _an_allocation_of(world, 2 * AT_ONCE + 500)
    (reply,) = await world.commanded(RequestRebalancing(execution_id=uuid4(), allocations=(allocation_id,)))
    execution_id = UUID(reply.body["resource"]["id"])
    assert await use_cases.work_on_next(world.database)
    make = execution_orders.make

    async def make_and_die(*arguments: Any) -> None:
        await make(*arguments)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(execution_orders, "make", make_and_die)
        with pytest.raises(KeyboardInterrupt):
            await use_cases.work_on_next(world.database)
    assert await _counts(world, execution_id) == (AT_ONCE + 500, {"NEW": AT_ONCE})

    await world.worked()

    assert await _counts(world, execution_id) == (0, {"NEW": 2 * AT_ONCE + 500})
    assert len(await _order_ids(world, execution_id)) == 2 * AT_ONCE + 500


async def test_several_workers_share_an_execution_and_make_every_order_once(world: World) -> None:
    allocation_id = await _an_allocation_of(world, 4 * AT_ONCE)
    (reply,) = await world.commanded(RequestRebalancing(execution_id=uuid4(), allocations=(allocation_id,)))

    await asyncio.gather(*(world.worked() for _ in range(4)))
    await world.worked()

    execution_id = UUID(reply.body["resource"]["id"])
    assert await _counts(world, execution_id) == (0, {"NEW": 4 * AT_ONCE})
    assert len(await _order_ids(world, execution_id)) == 4 * AT_ONCE


async def test_accounts_that_cannot_be_trusted_wait_and_hold_up_no_others(world: World) -> None:
    fine, shut = await world.an_account(version=1), await world.an_account(version=1)
    topic = world.service.kafka.physical("accounts.events.v1")
    await world.copies.take([a_record(topic, str(shut).encode(), b"not json", [])], {})

    execution = await world.rebalanced(fine, shut)
    assert await _counts(world, execution.id) == (1, {"NEW": 1})

    await world.applied(account_state(shut, revision=2))
    await use_cases.work_on(world.database, execution)
    assert await _counts(world, execution.id) == (0, {"NEW": 2})


async def test_an_account_whose_configuration_is_deleted_before_its_turn_gets_its_order_all_the_same(
    world: World,
) -> None:
    allocation_id, account_id = uuid4(), await world.an_account()
    await world.applied(configured(account_id, 1, allocation_id=allocation_id))
    async with world.database.unit_of_work(world.cause) as work:
        targets = Targets(allocations=(allocation_id,))
        await use_cases.request_rebalancing(work, world.cause, uuid4(), targets)
    await world.applied(deleted(account_id, 1))
    await world.worked()
    assert await world.statuses(account_id) == [("CANCELLED", "CONFIGURATION_IS_MISSING")]


async def test_a_client_cancels_what_is_new_of_an_execution_and_nothing_else(world: World) -> None:
    new, started, other = [await world.an_account(version=1) for _ in range(3)]
    placed = await world.an_order(new)
    execution, elsewhere = await world.rebalanced(new, started), await world.rebalanced(other)
    ids = await _order_ids(world, execution.id)
    await world.commanded(_about(StartRebalancingOrder, started, ids[started]))

    (reply,) = await world.commanded(CancelRebalancing(execution_id=execution.id))
    await world.worked()

    assert reply.type == "CommandAccepted"
    assert reply.body["resource"]["cancelled_at"] is not None
    assert await world.statuses(new) == [("NEW", None), ("CANCELLED", "CANCELLED_BY_CLIENT")]
    assert (await use_cases.show_order(world.database, world.client_id, placed.id)).status is OrderStatus.NEW
    assert await world.statuses(started) == [("PROCESSING", None)]
    assert await world.statuses(other) == [("NEW", None)]
    assert (await _counts(world, elsewhere.id))[1] == {"NEW": 1}
    last = (await world.announced(new))[-1]
    assert (last.type, last.headers["ce_causationid"]) == ("RebalancingOrderCancelled", reply.body["command_id"])


async def test_an_execution_cancelled_twice_is_cancelled_once(world: World) -> None:
    account_id = await world.an_account(version=1)
    execution = await world.rebalanced(account_id)
    first, second = await world.commanded(
        CancelRebalancing(execution_id=execution.id), CancelRebalancing(execution_id=execution.id)
    )
    await world.worked()
    assert first.body["resource"] == second.body["resource"]
    assert await world.types_announced(account_id) == ["RebalancingOrderCreated", "RebalancingOrderCancelled"]


async def test_orders_that_an_execution_has_not_made_when_it_is_cancelled_are_made_cancelled(world: World) -> None:
    fine, unknown, execution_id = await world.an_account(version=1), uuid4(), uuid4()
    await world.commanded(
        RequestRebalancing(execution_id=execution_id, accounts=(fine, unknown)),
        CancelRebalancing(execution_id=execution_id),
    )
    await world.worked()
    assert await world.statuses(fine) == [("CANCELLED", "CANCELLED_BY_CLIENT")]
    assert await world.types_announced(fine) == ["RebalancingOrderCancelled"]
    assert await world.statuses(unknown) == [("CANCELLED", "ACCOUNT_NOT_FOUND")]


async def test_an_execution_of_another_client_cannot_be_cancelled_and_does_not_exist(world: World) -> None:
    account_id, stranger = await world.an_account(version=1), World(world.service)
    execution = await world.rebalanced(account_id)
    replies = [
        *await stranger.commanded(CancelRebalancing(execution_id=execution.id)),
        *await world.commanded(CancelRebalancing(execution_id=uuid4())),
    ]
    await world.worked()
    assert [reply.body["problem"]["status"] for reply in replies] == [404, 404]
    assert await world.statuses(account_id) == [("NEW", None)]
    with pytest.raises(ExecutionNotFound):
        await use_cases.show_progress(world.database, stranger.client_id, execution.id)


async def test_a_large_execution_is_cancelled_in_shares_each_a_handful_of_statements(world: World) -> None:
    allocation_id = await _an_allocation_of(world, 3 * AT_ONCE)
    execution = await world.rebalanced(allocations=[allocation_id])
    await world.commanded(CancelRebalancing(execution_id=execution.id))

    with counted(world.database) as worked:
        await world.worked()

    assert await _counts(world, execution.id) == (0, {"CANCELLED": 3 * AT_ONCE})
    assert len(worked) <= 6 * 3 + 6


async def test_an_execution_is_not_cancelled_while_a_share_of_it_is_being_made(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, free = execution_orders.make, list[Any]()

    async def make_and_look(connection: AsyncConnection, execution: Execution, *arguments: Any) -> None:
        await make(connection, execution, *arguments)
        asked = "SELECT id FROM rebalancing_executions WHERE id = :e FOR NO KEY UPDATE SKIP LOCKED"
        free.append(await world.rows(asked, e=execution.id))

    monkeypatch.setattr(execution_orders, "make", make_and_look)
    await world.rebalanced(await world.an_account(version=1))
    assert free == [[]]


async def test_making_and_cancelling_an_execution_at_the_same_time_leave_none_of_its_orders_new(world: World) -> None:
    for _ in range(5):
        allocation_id = await _an_allocation_of(world, 2 * AT_ONCE)
        (reply,) = await world.commanded(RequestRebalancing(execution_id=uuid4(), allocations=(allocation_id,)))
        execution_id = UUID(reply.body["resource"]["id"])
        await asyncio.gather(
            world.worked(), world.worked(), world.commanded(CancelRebalancing(execution_id=execution_id))
        )
        await world.worked()
        assert await _counts(world, execution_id) == (0, {"CANCELLED": 2 * AT_ONCE})


async def test_an_execution_that_is_cancelled_while_a_worker_looks_at_it_is_not_put_off(world: World) -> None:
    execution = await world.rebalanced(await world.an_account(version=1))
    due = "UPDATE rebalancing_executions SET due_at = statement_timestamp() WHERE id = :e RETURNING id"
    assert len(await world.rows(due, e=execution.id)) == 1
    waits = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.TaskGroup() as tasks, world.database.unit_of_work(world.cause) as work:
        await use_cases.cancel_rebalancing(work, world.cause, execution.id)
        # It begins to look before that is committed, finds nothing to do, and comes to say so.
        tasks.create_task(use_cases.work_on_next(world.database))
        await eventually(lambda: world.rows(waits))

    await world.worked()
    assert await _counts(world, execution.id) == (0, {"CANCELLED": 1})


async def test_an_execution_order_can_be_cancelled_by_its_client_alone_like_any_order(world: World) -> None:
    account_id = await world.an_account(version=1)
    ids = await _order_ids(world, (await world.rebalanced(account_id)).id)
    (reply,) = await world.commanded(_about(CancelOrder, account_id, ids[account_id]))
    assert reply.body["resource"]["kind"] == "REBALANCING"
    assert await world.statuses(account_id) == [("CANCELLED", "CANCELLED_BY_CLIENT")]


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("reason", ["ACCOUNT_IS_EMPTY", "PORTFOLIO_IS_BALANCED", "INVALID_ACCOUNT_STATUS"])
async def test_upstream_cancels_an_execution_order_for_what_it_found(
    world: World, reason: str, *, started: bool
) -> None:
    account_id = await world.an_account(version=1)
    order_id = (await _order_ids(world, (await world.rebalanced(account_id)).id))[account_id]
    cancelling = _about(CancelRebalancingOrder, account_id, order_id, reason=RebalancingCancellationReason(reason))
    await world.commanded(*([_about(StartRebalancingOrder, account_id, order_id)] if started else []), cancelling)
    assert await world.statuses(account_id) == [("CANCELLED", reason)]


async def test_upstream_cannot_say_that_the_client_has_cancelled(world: World) -> None:
    account_id = await world.an_account(version=1)
    order_id = (await _order_ids(world, (await world.rebalanced(account_id)).id))[account_id]
    by_client = RebalancingCancellationReason.CANCELLED_BY_CLIENT
    (reply,) = await world.commanded(_about(CancelRebalancingOrder, account_id, order_id, reason=by_client))
    assert reply.body["problem"]["errors"][0]["location"] == "body.reason"
    assert await world.statuses(account_id) == [("NEW", None)]


async def test_what_was_cancelled_cannot_be_started(world: World) -> None:
    account_id = await world.an_account(version=1)
    execution = await world.rebalanced(account_id)
    order_id = (await _order_ids(world, execution.id))[account_id]
    await world.commanded(CancelRebalancing(execution_id=execution.id))
    await world.worked()
    (reply,) = await world.commanded(_about(StartRebalancingOrder, account_id, order_id))
    assert reply.body["problem"]["status"] == 409
