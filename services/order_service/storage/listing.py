"""Lists of orders."""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, column, literal_column, select, table
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts import OrderStatus
from shared.kit.listing import page_of as listed
from shared.kit.paging import Page, Part

from ..domain import Order
from .orders import order_of

_ORDERS = table("orders", *(column(field.name) for field in fields(Order)))


@dataclass(frozen=True)
class Filters:
    """Which of a client's orders a list shows; None is no condition."""

    account_id: UUID | None = None
    allocation_id: UUID | None = None
    status: OrderStatus | None = None
    execution_id: UUID | None = None
    #: those made at this moment or later
    since: datetime | None = None
    #: those made before this moment
    before: datetime | None = None


async def page_of(connection: AsyncConnection, client_id: UUID, filters: Filters, page: Page) -> Part[Order]:
    """A part of the client's orders."""
    wanted = select(_ORDERS).where(_ORDERS.c.client_id == client_id, *_conditions(filters))
    return (await listed(connection, wanted, page, id_column="id")).of(order_of)


def _conditions(filters: Filters) -> Iterator[ColumnElement[bool]]:
    for name in ("account_id", "allocation_id", "execution_id"):
        if (value := getattr(filters, name)) is not None:
            yield _ORDERS.c[name] == value
    if filters.status is not None:
        # Spelt out, so that every plan can tell whether the index over open orders serves it.
        yield _ORDERS.c.status == literal_column(f"'{filters.status.value}'")
    if filters.since is not None:
        yield _ORDERS.c.created_at >= filters.since
    if filters.before is not None:
        yield _ORDERS.c.created_at < filters.before
