"""Lists stay flat in cost: a page by cursor costs the same however far into the list it lies."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Select, column, event, select, table, text
from sqlalchemy.dialects import postgresql

from shared.kit.cursors import Position, cursor_at, position_in
from shared.kit.listing import page_of
from shared.kit.paging import Order, Page, Part
from shared.kit.refusals import InvalidRequest
from shared.kit.unit_of_work import Database

ROWS = 1_000_000
LIMIT = 100
CLIENT = UUID(int=7)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

_LISTED = table("listed", column("id", postgresql.UUID()), column("client_id"), column("name"), column("created_at"))


def rows_of(client_id: UUID = CLIENT) -> Select[Any]:
    return select(_LISTED.c.id, _LISTED.c.name, _LISTED.c.created_at).where(_LISTED.c.client_id == client_id)


async def _fill(database: Database, count: int, *, at_the_same_time: int = 1) -> None:
    async with database.unit_of_work() as work:
        columns = "id uuid NOT NULL, client_id uuid NOT NULL, name text NOT NULL, created_at timestamptz NOT NULL"
        insert = (
            f"INSERT INTO listed SELECT lpad(to_hex(n), 32, '0')::uuid, '{CLIENT}', 'name ' || n % 7,"
            f" '{BEGAN.isoformat()}'::timestamptz + n / {at_the_same_time} * interval '1 second'"
            f" FROM generate_series(1, {count}) AS n"
        )
        index = "CREATE INDEX listed_of_client ON listed (client_id, created_at, id)"
        # Without a log: what is measured is what is read.
        for statement in (f"CREATE UNLOGGED TABLE listed ({columns})", insert, index):
            await work.connection.execute(text(statement))
    async with database.reading() as connection:
        # The visibility map as well, as autovacuum leaves it.
        await connection.execute(text("VACUUM ANALYZE listed"))


def a_page(limit: int = LIMIT, **changed: Any) -> Page:
    return Page(**{"offset": 0, "limit": limit, "sort": "created_at", "order": "asc", **changed})


async def found(database: Database, page: Page, rows: Select[Any] | None = None) -> Part[Any]:
    async with database.reading() as connection:
        return await page_of(connection, rows_of() if rows is None else rows, page, id_column="id")


def following(page: Page, part: Part[Any]) -> Page:
    """The page that a caller gets who hands the cursor back."""
    assert part.next_cursor is not None
    position, _, _ = position_in(part.next_cursor, page.fingerprint, {"created_at": datetime, "name": str})
    return Page(0, page.limit, page.sort, page.order, position, page.fingerprint)


@asynccontextmanager
async def explained(database: Database) -> AsyncIterator[list[int]]:
    """Collects what the statements of the block touch, in buffers, as EXPLAIN (ANALYZE, BUFFERS) counts them."""
    buffers: list[int] = []
    sent: list[tuple[str, Any]] = []

    def note(*arguments: Any) -> None:
        sent.append((arguments[2], arguments[3]))

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    yield buffers
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    async with database.driver_connection() as connection:
        for statement, parameters in sent:
            plan = await connection.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *parameters)
            top = plan[0]["Plan"]
            buffers.append(top["Shared Hit Blocks"] + top["Shared Read Blocks"])


async def test_page_ten_thousand_of_a_million_rows_costs_no_more_than_the_first(database: Database) -> None:
    await _fill(database, ROWS)
    orders: tuple[Order, Order] = ("asc", "desc")
    for order in orders:
        passed = (10_000 - 1) * LIMIT
        last_seen = passed if order == "asc" else ROWS - passed + 1
        far = a_page(order=order, after=Position(BEGAN + timedelta(seconds=last_seen), UUID(int=last_seen)))

        async with explained(database) as of_page_one:
            part = await found(database, a_page(order=order))
        assert (len(part.items), part.total_count) == (LIMIT, None), "more than 10,000 are not counted"
        async with explained(database) as of_page_ten_thousand:
            part = await found(database, far)
        assert (len(part.items), part.next_cursor) == (LIMIT, None), "page 10,000 is the last"

        page_one, count = of_page_one
        assert sum(of_page_ten_thousand) <= 1.5 * page_one
        assert count < 200, "the count stops, however many there are"

    async with database.unit_of_work() as work:
        # Else the server would write a million rows to disk when it stops.
        await work.connection.execute(text("DROP TABLE listed"))


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort", ["created_at", "name"])
async def test_cursors_lead_through_the_whole_list_once_also_among_equals(
    database: Database, sort: str, order: Order
) -> None:
    await _fill(database, 103, at_the_same_time=10)
    page = a_page(limit=10, sort=sort, order=order)
    whole = [row["id"] for row in (await found(database, a_page(limit=1000, sort=sort, order=order))).items]
    seen = []
    part = await found(database, page)
    assert part.total_count == 103
    while True:
        seen += [row["id"] for row in part.items]
        if part.next_cursor is None:
            break
        page = following(page, part)
        part = await found(database, page)
        assert part.total_count is None, "behind a cursor nothing is counted"
    assert seen == whole
    assert len(set(seen)) == 103


async def test_rows_that_come_meanwhile_move_no_page(database: Database) -> None:
    await _fill(database, 30)
    page = a_page(limit=10, order="desc")
    part = await found(database, page)
    async with database.unit_of_work() as work:
        new = text("INSERT INTO listed VALUES (:id, :client, 'new', now() + interval '1 year')")
        await work.connection.execute(new, {"id": uuid4(), "client": CLIENT})
    second = await found(database, following(page, part))
    assert [row["id"].int for row in second.items] == list(range(20, 10, -1))


async def test_the_total_is_told_without_another_statement_where_the_page_shows_it(database: Database) -> None:
    await _fill(database, 25)
    for offset, limit, total, statements in ((0, 100, 25, 1), (20, 10, 25, 1), (0, 10, 25, 2), (40, 10, 25, 2)):
        async with explained(database) as sent:
            part = await found(database, a_page(limit=limit, offset=offset))
        assert (part.total_count, len(sent)) == (total, statements)
    nobody = await found(database, a_page(), rows_of(uuid4()))
    assert (list(nobody.items), nobody.total_count, nobody.next_cursor) == ([], 0, None)


_WRITTEN = cursor_at(Position(BEGAN, UUID(int=3)), "mine", "created_at", "asc")


def _forged(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).rstrip(b"=").decode()


#: an id, the same in every process, since it stands in the names of the tests
ID = "6f1c2a3b-4d5e-4f60-8a7b-9c0d1e2f3a4b"


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "garbage",
        "{}",
        "\0",
        "ü",
        "a" * 1000,
        _WRITTEN[:-8],
        _WRITTEN[8:],
        _WRITTEN + _WRITTEN,
        _forged("another", "created_at", "asc", BEGAN.isoformat(), ID),
        _forged("mine", "secret", "asc", BEGAN.isoformat(), ID),
        _forged("mine", ["created_at"], "asc", BEGAN.isoformat(), ID),
        _forged("mine", "created_at", "asc; DROP TABLE listed", BEGAN.isoformat(), ID),
        _forged("mine", "created_at", ["asc"], BEGAN.isoformat(), ID),
        _forged("mine", "created_at", "asc", "2026-01-01T00:00:00", ID),
        _forged("mine", "created_at", "asc", "0001-01-01T00:00:00+14:00", ID),
        _forged("mine", "created_at", "asc", "infinity", ID),
        _forged("mine", "created_at", "asc", 5, ID),
        _forged("mine", "created_at", "asc", None, ID),
        _forged("mine", "created_at", "asc", BEGAN.isoformat(), "1"),
        _forged("mine", "created_at", "asc", BEGAN.isoformat(), None),
        _forged("mine", "created_at", "asc", BEGAN.isoformat()),
        _forged("mine", "name", "asc", "a\0b", ID),
        _forged("mine", "name", "asc", "\ud800", ID),
        _forged("mine", "version", "asc", 2**63, ID),
        _forged("mine", "version", "asc", True, ID),
        _forged("mine", "version", "asc", 1.5, ID),
    ],
)
def test_what_is_no_cursor_of_the_list_is_refused(hostile: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        position_in(hostile, "mine", {"created_at": datetime, "name": str, "version": int})
    assert [error.location for error in refused.value.errors] == ["query.cursor"]


@pytest.mark.parametrize(
    ("value", "kind"), [(BEGAN, datetime), ("Zoë, 70/30", str), (-5, int), (UUID(int=9), UUID), ("", str)]
)
def test_a_cursor_is_read_as_it_was_written(value: Any, kind: type[Any]) -> None:
    position = Position(value, uuid4())
    assert position_in(cursor_at(position, "mine", "it", "desc"), "mine", {"it": kind}) == (position, "it", "desc")
