"""Lists of accounts, allocations and configurations: filters, cursors, and what a page costs."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import event, text

from services.config_service import use_cases
from services.config_service.domain import AccountFilter, AllocationFilter
from shared.contracts import AccountStatus, AccountType
from shared.kit.cursors import Position
from shared.kit.paging import Page, Part
from shared.kit.unit_of_work import Database

from .callers import HALVES, Caller

APPLE, AN_ETF = "US0378331005", "IE00B4L5Y983"


def ids(answer: Any, field: str) -> list[str]:
    assert answer.status == 200, answer.body
    return [each[field] for each in answer.body["data"]]


async def test_accounts_are_listed_by_status_type_user_and_all_at_once(caller: Caller) -> None:
    user = str(uuid4())
    first = await caller.an_account(user_id=user)
    second = await caller.an_account(user_id=user, type="TRADING")
    third = await caller.an_account(status="PENDING_APPROVAL")
    listed = {
        f"user_id={user}": [first, second],
        "type=TRADING": [second],
        "status=PENDING_APPROVAL": [third],
        f"user_id={user}&type=PORTFOLIO&status=ACTIVE": [first],
        f"portfolio_id={uuid4()}": [],
        "": [first, second, third],
    }
    for query, expected in listed.items():
        answer = await caller.get(f"/accounts?{query}")
        assert ids(answer, "account_id") == expected, query
        assert answer.body["meta"]["total_count"] == len(expected)


@pytest.mark.parametrize("query", ["status=OPEN", "type=portfolio", "user_id=x", "portfolio_id=1", "cursor=x"])
async def test_a_filter_that_cannot_be_read_is_refused_by_name(caller: Caller, query: str) -> None:
    refused = await caller.get(f"/accounts?{query}")
    assert (refused.status, refused.at_fault) == (400, [f"query.{query.partition('=')[0]}"])


async def test_a_list_is_walked_to_its_end_by_cursor(caller: Caller) -> None:
    opened = [await caller.an_account() for _ in range(5)]
    await caller.an_account(type="TRADING")
    seen: list[str] = []
    query = "type=PORTFOLIO&limit=2"
    cursor = ""
    while cursor is not None:
        page = await caller.get(f"/accounts?{query}{cursor and f'&cursor={cursor}'}")
        seen += ids(page, "account_id")
        cursor = page.body["meta"]["next_cursor"]
    assert seen == opened


async def _made_on(database: Database, table: str, row_id: str, moment: str) -> None:
    id_column = {"accounts": "account_id", "allocations": "allocation_id"}[table]
    async with database.unit_of_work() as work:
        moved = text(f"UPDATE {table} SET created_at = CAST(:moment AS text)::timestamptz WHERE {id_column} = :id")
        await work.connection.execute(moved, {"moment": moment, "id": row_id})


async def test_allocations_are_listed_by_the_days_and_times_of_their_making(caller: Caller, database: Database) -> None:
    days = [
        "2026-01-30T23:59:59.999999Z",
        "2026-01-31T00:00:00Z",
        "2026-01-31T23:59:59.999999Z",
        "2026-02-01T00:00:00Z",
    ]
    first, second, third, fourth = made = [await caller.an_allocation() for _ in days]
    for allocation_id, day in zip(made, days, strict=True):
        await _made_on(database, "allocations", allocation_id, day)
    listed = {
        "start_date=2026-01-31&end_date=2026-01-31": [second, third],
        "start_date=2026-01-31": [second, third, fourth],
        "end_date=2026-01-30": [first],
        "end_date=2026-01-31T00:00:00Z": [first, second],
        "start_date=2026-01-31T01:00:00%2B01:00&end_date=2026-01-31": [second, third],
        "start_date=2026-01-31T00:00:00.000001Z": [third, fourth],
        "start_date=2026-02-01&end_date=2026-01-30": [],
        "end_date=9999-12-31": made,
    }
    for query, expected in listed.items():
        assert ids(await caller.get(f"/portfolios/allocations?{query}"), "allocation_id") == expected, query


@pytest.mark.parametrize(
    "moment",
    ["2026-01-31T12:00:00", "2026-02-30", "31.01.2026", "1769860800", "", "2026-1-31", "0001-01-01T00:00:00%2B14:00"],
)
@pytest.mark.parametrize("name", ["start_date", "end_date"])
async def test_what_is_no_day_and_no_time_with_an_offset_is_refused_by_name(
    caller: Caller, name: str, moment: str
) -> None:
    refused = await caller.get(f"/portfolios/allocations?{name}={moment}")
    assert (refused.status, refused.at_fault) == (400, [f"query.{name}"])


async def test_allocations_are_listed_by_any_of_the_instruments_that_they_hold(
    caller: Caller, stranger: Caller
) -> None:
    async def holding(*instruments: str) -> str:
        weights = {1: ["1"], 2: ["0.4", "0.6"]}[len(instruments)]
        kinds = ["ISIN" if instrument.isupper() else "UUID" for instrument in instruments]
        items = [
            {"instrument_id": instrument, "instrument_id_type": kind, "weight": weight}
            for instrument, kind, weight in zip(instruments, kinds, weights, strict=True)
        ]
        return str((await caller.post("/portfolios/allocations", {"allocation": items})).body["allocation_id"])

    fund = str(uuid4())
    apple, both, of_fund = await holding(APPLE), await holding(APPLE, AN_ETF), await holding(fund)
    await stranger.an_allocation()
    listed = {
        f"instrument_ids={APPLE}": [apple, both],
        f"instrument_ids={AN_ETF}": [both],
        f"instrument_ids={AN_ETF}&instrument_ids={fund.upper()}": [both, of_fund],
        f"instrument_ids={uuid4()}": [],
        f"instrument_ids={APPLE}&start_date=2999-01-01": [],
    }
    for query, expected in listed.items():
        assert ids(await caller.get(f"/portfolios/allocations?{query}"), "allocation_id") == expected, query
    await caller.put(f"/portfolios/allocations/{of_fund}", {"allocation": HALVES})
    assert ids(await caller.get(f"/portfolios/allocations?instrument_ids={fund}"), "allocation_id") == []


async def test_the_accounts_of_an_allocation_are_those_that_are_configured_with_it(
    caller: Caller, stranger: Caller
) -> None:
    allocation_id = await caller.an_allocation()
    path = f"/portfolios/allocations/{allocation_id}/accounts"
    assert (await caller.get(path)).body["data"] == []
    first, second, third = [await caller.a_configuration(allocation_id=allocation_id) for _ in range(3)]
    await caller.a_configuration()
    await caller.delete(f"/portfolios/configurations/{second['account_id']}")
    another = {"allocation_id": await caller.an_allocation()}

    page = await caller.get(f"{path}?limit=1")
    (shown,) = page.body["data"]
    account = (await caller.get(f"/accounts/{first['account_id']}")).body
    assert shown == {**account, "configuration_version": 1, "configured_at": first["created_at"]}
    assert ids(await caller.get(f"{path}?cursor={page.body['meta']['next_cursor']}"), "account_id") == [
        third["account_id"]
    ]
    await caller.patch(f"/portfolios/configurations/{first['account_id']}", another)
    assert ids(await caller.get(path), "account_id") == [third["account_id"]]
    assert (await stranger.get(path)).status == 404
    assert (await caller.get(f"/portfolios/allocations/{uuid4()}/accounts")).status == 404


# -- what a page costs

# pages of some size, or one page of an index more or less would decide
ROWS, LIMIT = 20_000, 200
MADE = "'2026-01-01'::timestamptz + n * interval '1 second'"
#: every second account of one user, ACTIVE and of type TRADING; every allocation of one instrument but the last
_FILL = f"""
INSERT INTO allocations (allocation_id, client_id, name, allocation, revision, created_at, updated_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, :client, NULL,
       jsonb_build_array(jsonb_build_object('instrument_id', CASE n WHEN {ROWS} THEN '{AN_ETF}' ELSE '{APPLE}' END,
                                            'instrument_id_type', 'ISIN', 'weight', '1')), 1, {MADE}, {MADE}
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO accounts (account_id, client_id, user_id, type, status, revision, created_at, updated_at)
SELECT lpad(to_hex(n), 32, '0')::uuid, :client, lpad(to_hex(n % 2), 32, '0')::uuid,
       CASE n % 2 WHEN 0 THEN 'TRADING' ELSE 'PORTFOLIO' END, CASE n % 2 WHEN 0 THEN 'ACTIVE' ELSE 'LOCKED' END,
       1, {MADE}, {MADE}
FROM generate_series(1, {ROWS}) AS n;
INSERT INTO configurations (account_id, client_id, allocation_id, version, revision, configured, created_at, updated_at)
SELECT account_id, client_id, lpad('1', 32, '0')::uuid, 1, 1, true, created_at, updated_at FROM accounts
WHERE client_id = :client
"""

Listing = Callable[[Any, Page], Coroutine[Any, Any, Part[Any]]]


def _listings(client: UUID) -> dict[str, tuple[str, Listing]]:
    user, allocation = UUID(int=0), UUID(int=1)

    def accounts(**wanted: Any) -> Listing:
        return lambda connection, page: use_cases.list_accounts(connection, client, AccountFilter(**wanted), page)

    return {
        "accounts": ("created_at", accounts()),
        "accounts of a user": ("created_at", accounts(user_id=user)),
        "accounts in a status": ("created_at", accounts(status=AccountStatus.ACTIVE)),
        "accounts of a type": ("created_at", accounts(type=AccountType.TRADING)),
        "allocations": (
            "created_at",
            lambda connection, page: use_cases.list_allocations(connection, client, AllocationFilter(), page),
        ),
        "configurations": (
            "created_at",
            lambda connection, page: use_cases.list_configurations(connection, client, None, page),
        ),
        "configurations with an allocation": (
            "created_at",
            lambda connection, page: use_cases.list_configurations(connection, client, allocation, page),
        ),
        "accounts of an allocation": (
            "configured_at",
            lambda connection, page: use_cases.list_configured_accounts(connection, client, allocation, page),
        ),
    }


@pytest.fixture(scope="module")
async def crowded(database: Database) -> AsyncIterator[UUID]:
    """A client with 20,000 of each."""
    client = uuid4()
    async with database.unit_of_work() as work:
        for statement in _FILL.split(";\n"):
            await work.connection.execute(text(statement), {"client": client})
    async with database.reading() as connection:
        await connection.execute(text("VACUUM ANALYZE accounts, allocations, configurations"))
    yield client
    async with database.unit_of_work() as work:
        # Nothing refers to what goes. Where references are looked for, each row is looked for among all.
        await work.connection.execute(text("SET LOCAL session_replication_role = replica"))
        for table in ("configurations", "accounts", "allocations"):
            await work.connection.execute(text(f"DELETE FROM {table} WHERE client_id = :client"), {"client": client})


@asynccontextmanager
async def touched(database: Database) -> AsyncIterator[list[int]]:
    """Collects what the first statement about the list touches, in buffers, as EXPLAIN (ANALYZE, BUFFERS) counts."""
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
            buffers.append(plan[0]["Plan"]["Shared Hit Blocks"] + plan[0]["Plan"]["Shared Read Blocks"])


@pytest.mark.parametrize("name", sorted(_listings(uuid4())))
async def test_a_page_deep_in_a_list_touches_no_more_than_the_first(
    database: Database, crowded: UUID, name: str
) -> None:
    sort, listing = _listings(crowded)[name]
    first = Page(0, LIMIT, sort, "asc")
    async with database.reading() as connection:
        part = await listing(connection, first)
        moments = text(f"SELECT {MADE.replace('n', ':n', 1)}")
        deep = (await connection.execute(moments, {"n": ROWS - 4 * LIMIT})).scalar_one()
        far = Page(0, LIMIT, sort, "asc", Position(deep, UUID(int=ROWS - 4 * LIMIT)))
        async with touched(database) as of_first:
            await listing(connection, first)
        async with touched(database) as of_deep:
            found = await listing(connection, far)
    assert len(part.items) == len(found.items) == LIMIT
    count = [of_first.pop()] if part.total_count is None or part.next_cursor else []
    assert sum(of_deep) <= 1.5 * sum(of_first), (of_first, of_deep, count)


async def test_a_rare_instrument_is_found_without_reading_the_allocations(database: Database, crowded: UUID) -> None:
    wanted = AllocationFilter(instrument_ids=(AN_ETF,))
    async with database.reading() as connection, touched(database) as buffers:
        part = await use_cases.list_allocations(connection, crowded, wanted, Page(0, LIMIT, "created_at", "asc"))
    assert [each.allocation_id for each in part.items] == [UUID(int=ROWS)]
    assert sum(buffers) < 20
