"""Rebalancing executions: one order for each account, whatever stands against it.

A request is taken by noting its accounts, in one short transaction; their orders are made of that, a share at a time
and each share in a transaction of its own, by whoever comes first: the request itself for the first share, a worker for
what is left. So ten thousand accounts are not locked together while their orders are made, no answer waits for all of
them, and a process that dies leaves nothing but accounts that are still noted. A cancellation goes the same two steps.
"""

from uuid import UUID

from shared.contracts import RebalancingCancellationReason
from shared.kit.cause import Cause
from shared.kit.paging import Page, Part
from shared.kit.unit_of_work import Database, UnitOfWork

from ..domain import Execution, Progress, Targets, planned_orders
from ..storage import BaseHeaders, accounts, common_headers, execution_orders, executions

#: how many accounts one transaction locks, makes orders for and announces: some tens of milliseconds
AT_ONCE = 1000

#: before an execution is looked at again that waits for accounts which cannot be trusted, in seconds
_LATER = 2.0


async def request_rebalancing(work: UnitOfWork, cause: Cause, execution_id: UUID, targets: Targets) -> Execution:
    """Take a request for an order for each of the targets' accounts, which `work_on` makes.

    Which accounts allocations serve is told by the copy, so the read barrier must have passed before. Raises
    ExecutionAlreadyRequested.
    """
    execution = await executions.insert(
        work.connection, cause.client_id, execution_id, common_headers(work.outbox, cause)
    )
    await executions.aim_at(work.connection, execution, targets)
    return execution


async def cancel_rebalancing(work: UnitOfWork, cause: Cause, execution_id: UUID) -> Execution:
    """Let nothing of an execution be NEW: no order is made so from now on, and `work_on` cancels those that are.

    Raises ExecutionNotFound. Cancelling again changes nothing.
    """
    return await executions.cancel(work.connection, cause.client_id, execution_id, common_headers(work.outbox, cause))


async def work_on(database: Database, execution: Execution, *, waits: bool = False) -> bool:
    """Make or cancel a share of an execution's orders; answers whether there was anything to do.

    `waits` says to wait for a share that somebody else is making, instead of passing over it.
    """
    async with database.unit_of_work() as work:
        done = await _make_orders(work, execution, waits=waits)
    if not done:
        async with database.unit_of_work() as work:
            done = await _cancel_orders(work, execution)
    if done:
        async with database.unit_of_work() as work:
            await executions.come_again(work.connection, execution)
    return done > 0


async def work_on_next(database: Database) -> bool:
    """Work on the execution that has waited longest; answers whether there was one."""
    async with database.reading() as connection:
        due = await executions.due(connection)
    if due is not None and not await work_on(database, due.execution):
        async with database.unit_of_work() as work:
            await executions.put_off(work.connection, due, seconds=_LATER)
    return due is not None


async def _make_orders(work: UnitOfWork, execution: Execution, *, waits: bool) -> int:
    """Make the orders of some accounts and announce those of the client's own accounts; answers how many.

    An order that cannot be done is made all the same, CANCELLED with its reason.
    """
    taken = await executions.take_targets(work.connection, execution, at_most=AT_ONCE, waits=waits)
    if not taken:
        return 0
    known = await accounts.lock(work.connection, taken)
    untrusted = {each.account_id for each in known.values() if not each.is_trustworthy_to(execution.client_id)}
    if untrusted:
        await executions.put_back(work.connection, execution, sorted(untrusted))
    if not (possible := sorted(set(taken) - untrusted)):
        return 0
    told = await executions.lock_to_make(work.connection, execution)
    planned = planned_orders(possible, known, execution.client_id, cancelled=told.cancelled)
    shards = [work.outbox.shard_of(str(order.account_id)) for order in planned]
    await execution_orders.make(work.connection, execution, planned, shards, told.headers)
    work.wakes(shards)
    return len(planned)


async def _cancel_orders(work: UnitOfWork, execution: Execution) -> int:
    """Cancel some of the NEW orders of an execution that was cancelled, and announce each; answers how many."""
    found = await executions.to_cancel(work.connection, execution, at_most=AT_ONCE)
    if found is None:
        return 0
    await accounts.lock(work.connection, found.accounts)
    stopped = [
        execution_orders.Stopped(account_id, BaseHeaders(work.outbox.shard_of(str(account_id)), found.headers))
        for account_id in found.accounts
    ]
    work.wakes({each.announced_with.shard for each in stopped})
    reason = RebalancingCancellationReason.CANCELLED_BY_CLIENT
    return await execution_orders.cancel(work.connection, stopped, reason, execution.id)


async def show_progress(database: Database, client_id: UUID, execution_id: UUID) -> Progress:
    """Give an execution and how far it has come; raises ExecutionNotFound."""
    async with database.reading() as connection:
        execution = await executions.find(connection, client_id, execution_id)
        return await executions.progress_of(connection, execution)


async def show_execution(database: Database, client_id: UUID, execution_id: UUID) -> Execution:
    """Give an execution; raises ExecutionNotFound."""
    async with database.reading() as connection:
        return await executions.find(connection, client_id, execution_id)


async def page_of_executions(database: Database, client_id: UUID, page: Page) -> Part[Execution]:
    """Give a part of the client's executions."""
    async with database.reading() as connection:
        return await executions.page_of(connection, client_id, page)
