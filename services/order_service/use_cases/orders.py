"""Portfolio orders: placing, moving, cancelling, reading."""

from collections.abc import Iterable
from uuid import UUID

from shared.kit.cause import Cause
from shared.kit.paging import Page, Part
from shared.kit.unit_of_work import Database, UnitOfWork

from ..domain import (
    CANCEL_BY_CLIENT,
    Order,
    Transition,
    WantedOrder,
    check_amount,
    check_found_upstream,
    check_takes_orders,
    event_of,
)
from ..storage import accounts, listing, orders


async def lock_accounts(work: UnitOfWork, account_ids: Iterable[UUID]) -> None:
    """Lock known accounts, before a batch writes events of any of them."""
    await accounts.lock(work.connection, account_ids)


async def hold_order(work: UnitOfWork, client_id: UUID, order_id: UUID) -> None:
    """Lock the account of an order, before the order is moved."""
    await accounts.lock_of_order(work.connection, client_id, order_id)


async def place_order(work: UnitOfWork, cause: Cause, wanted: WantedOrder) -> Order:
    """Take an order under the account's present configuration, and announce it.

    Raises the refusals of `check_amount` and `check_takes_orders`; those that rest on the copy are final only if the
    read barrier has passed before.
    """
    check_amount(wanted.cash_amount, wanted.currency)
    known = await accounts.lock(work.connection, [wanted.account_id])
    account = check_takes_orders(known.get(wanted.account_id), cause.client_id, wanted.configuration_version)
    order = await orders.place(work.connection, cause.client_id, wanted, account)
    work.publish(event_of(order), cause=cause)
    return order


async def move_order(
    work: UnitOfWork,
    cause: Cause,
    transition: Transition,
    order_id: UUID,
    *,
    account_id: UUID | None = None,
    reason: str | None = None,
) -> Order:
    """Move an order, whose account is locked, and announce it; `reason` is upstream's where it gives one.

    Raises OrderNotFound, also where `account_id` is not the order's account, TransitionNotAllowed, and
    ReasonNotUpstreams.
    """
    check_found_upstream(reason)
    order = await orders.move(
        work.connection,
        transition,
        client_id=cause.client_id,
        order_id=order_id,
        account_id=account_id,
        reason=transition.reason or reason,
    )
    work.publish(event_of(order), cause=cause)
    return order


async def cancel_order(work: UnitOfWork, cause: Cause, order_id: UUID) -> Order:
    """Cancel an order for its client, while it is NEW; raises OrderNotFound and TransitionNotAllowed."""
    await hold_order(work, cause.client_id, order_id)
    return await move_order(work, cause, CANCEL_BY_CLIENT, order_id)


async def show_order(database: Database, client_id: UUID, order_id: UUID) -> Order:
    """Give an order of either kind; raises OrderNotFound."""
    async with database.reading() as connection:
        return await orders.find(connection, client_id, order_id)


async def page_of_orders(database: Database, client_id: UUID, filters: listing.Filters, page: Page) -> Part[Order]:
    """Give a part of the client's orders of both kinds."""
    async with database.reading() as connection:
        return await listing.page_of(connection, client_id, filters, page)
