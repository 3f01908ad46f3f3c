"""Lists of orders cost the same however long they are; shown by what the database reads, not by time."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from sqlalchemy import event, text

from services.order_service import use_cases
from services.order_service.storage.listing import Filters
from shared.contracts import OrderStatus
from shared.kit.cursors import Position
from shared.kit.paging import Page
from shared.kit.service import Service

_ROWS = 200_000
_LIMIT = 20
_CLIENT, _ALLOCATION, _ACCOUNT, _EXECUTION = uuid4(), uuid4(), uuid4(), uuid4()

#: Half of one allocation; few are open, and these are spread over all the time.
_MANY_ORDERS = """
    INSERT INTO orders (id, client_id, account_id, user_id, allocation_id, configuration_version, kind, side,
                        cash_amount, currency, execution_id, status, cancellation_reason, cancelled_at, created_at,
                        updated_at)
    SELECT gen_random_uuid(), :client_id, CASE WHEN n % 4 = 0 THEN CAST(:account_id AS uuid) ELSE gen_random_uuid() END,
           CASE WHEN n % 4 < 3 THEN gen_random_uuid() END,
           CASE WHEN n % 2 = 0 THEN CAST(:allocation_id AS uuid) ELSE gen_random_uuid() END,
           1, CASE WHEN n % 4 < 3 THEN 'PORTFOLIO' ELSE 'REBALANCING' END, CASE WHEN n % 4 < 3 THEN 'BUY' END,
           CASE WHEN n % 4 < 3 THEN 100.00 END, CASE WHEN n % 4 < 3 THEN 'EUR' END,
           CASE WHEN n % 4 = 3 THEN CAST(:execution_id AS uuid) END,
           CASE WHEN n % 200 IN (0, 3) THEN 'NEW' ELSE 'CANCELLED' END,
           CASE WHEN n % 200 IN (0, 3) THEN NULL ELSE 'CANCELLED_BY_CLIENT' END,
           CASE WHEN n % 200 IN (0, 3) THEN NULL ELSE now() END,
           now() - make_interval(secs => n), now()
    FROM generate_series(1, :rows) AS n
"""


@pytest.fixture(scope="module")
async def _many_orders(service: Service) -> AsyncIterator[None]:
    asked = {"client_id": _CLIENT, "allocation_id": _ALLOCATION, "account_id": _ACCOUNT, "execution_id": _EXECUTION}
    async with service.database.unit_of_work() as work:
        await work.connection.execute(text(_MANY_ORDERS), {**asked, "rows": _ROWS})
    async with service.database.reading() as connection:
        await connection.execute(text("VACUUM ANALYZE orders"))
    yield
    async with service.database.unit_of_work() as work:
        await work.connection.execute(text("DELETE FROM orders WHERE client_id = :c"), {"c": _CLIENT})


def _page(after: Position | None, order: Any) -> Page:
    return Page(0, _LIMIT, "created_at", order, after, "")


async def _position(service: Service, filters: Filters, share: float, order: str) -> Position:
    """The position behind `share` of the rows that the filters leave."""
    named = {name: value for name, value in vars(filters).items() if value is not None}
    conditions = " AND ".join(["client_id = :client_id", *(f"{name} = :{name}" for name in named)])
    async with service.database.reading() as connection:
        rows = await connection.execute(
            text(f"SELECT created_at, id FROM orders WHERE {conditions} ORDER BY created_at {order}, id {order}"),
            {"client_id": _CLIENT, **named},
        )
        found = rows.all()
    row = found[int(len(found) * share)]
    return Position(row.created_at, row.id)


async def _buffers(service: Service, filters: Filters, page: Page) -> int:
    """How many buffers the page's own statement touches, as EXPLAIN counts them."""
    seen: list[tuple[str, Any]] = []

    def note(_: Any, __: Any, statement: str, parameters: Any, *___: Any) -> None:
        seen.append((statement, parameters))

    engine = service.database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        part = await use_cases.page_of_orders(service.database, _CLIENT, filters, page)
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert len(part.items) == _LIMIT
    statement, parameters = seen[0]
    async with service.database.reading() as connection:
        plan = (
            await connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", parameters)
        ).scalar_one()
    told = (plan if isinstance(plan, list) else orjson.loads(plan))[0]["Plan"]
    return int(told["Shared Hit Blocks"] + told["Shared Read Blocks"])


@pytest.mark.usefixtures("_many_orders")
@pytest.mark.parametrize("order", ["desc", "asc"])
@pytest.mark.parametrize(
    "filters",
    [
        Filters(),
        Filters(account_id=_ACCOUNT),
        Filters(allocation_id=_ALLOCATION),
        Filters(status=OrderStatus.NEW),
        Filters(execution_id=_EXECUTION),
        Filters(execution_id=_EXECUTION, status=OrderStatus.NEW),
    ],
    ids=["all", "account", "allocation", "new", "execution", "new of an execution"],
)
async def test_the_last_page_costs_what_the_first_costs(service: Service, filters: Filters, order: str) -> None:
    first = await _buffers(service, filters, _page(None, order))
    last = await _buffers(service, filters, _page(await _position(service, filters, 0.95, order), order))
    print(f"{first} buffers for the first page, {last} for the last")  # noqa: T201 - a figure to look at
    assert last <= 1.5 * first
    # A row each, and the way down an index: nothing is read that is not shown.
    assert max(first, last) <= 2 * _LIMIT + 15


@pytest.mark.usefixtures("_many_orders")
async def test_pages_by_cursor_show_every_order_once(service: Service) -> None:
    page, ids = Page(0, 100, "created_at", "asc"), list[UUID]()
    filters = Filters(execution_id=_EXECUTION, status=OrderStatus.NEW)
    while True:
        part = await use_cases.page_of_orders(service.database, _CLIENT, filters, page)
        ids += [order.id for order in part.items]
        if part.next_cursor is None:
            break
        last = part.items[-1]
        page = Page(0, 100, "created_at", "asc", Position(last.created_at, last.id))
    assert len(set(ids)) == len(ids) == _ROWS // 200
