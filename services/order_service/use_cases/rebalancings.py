"""Rebalancing executions: one order for each account, whatever stands against it."""

from uuid import UUID

from shared.kit.cause import Cause
from shared.kit.unit_of_work import Database, UnitOfWork

from ..domain import Execution, Targets, planned_orders
from ..storage import accounts, base_headers, executions, orders


async def request_rebalancing(work: UnitOfWork, cause: Cause, execution_id: UUID, targets: Targets) -> Execution:
    """Make an execution with one order for each account, and announce the orders of the client's own accounts.

    An order that cannot be done is made all the same, CANCELLED with its reason; that decision rests on the copy, so
    the read barrier must have passed before. Raises ExecutionAlreadyRequested and AccountNotTrustworthy.
    """
    known = await accounts.lock(
        work.connection, targets.accounts, clients=[cause.client_id], allocations=targets.allocations
    )
    execution = await executions.insert(work.connection, cause.client_id, execution_id)
    planned = planned_orders(targets.accounts or known, known, cause.client_id)
    announced = [base_headers(work.outbox, cause, str(order.account_id)) for order in planned]
    await orders.make(work.connection, execution, planned, announced)
    work.wakes({each.shard for each in announced})
    return execution


async def show_execution(database: Database, client_id: UUID, execution_id: UUID) -> Execution:
    """Give an execution; raises ExecutionNotFound."""
    async with database.reading() as connection:
        return await executions.find(connection, client_id, execution_id)
