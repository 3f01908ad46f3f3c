"""Organizations and ledgers over HTTP, the lists of the ledger, and who may ask without a token."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from sqlalchemy import text

from deploy.local.services import RunningSystem
from shared.contracts import format_time
from shared.kit.unit_of_work import Database

from .callers import Answer, Caller
from .conftest import NAME
from .ledger import DOCUMENTED, a_ledger, a_portfolio, head, id_in, send_raw

ORGANIZATIONS = "/v1/organizations"
COMPANY = {"legalName": "Aurora Oy", "legalDocument": "2345678-9"}


async def test_an_organization_and_its_ledgers_are_made_listed_and_read(caller: Caller) -> None:
    made = await caller.post(ORGANIZATIONS, COMPANY)
    assert (made.status, made.body | COMPANY) == (201, made.body)
    path = made.headers["Location"]
    ledgers = [await caller.post(f"{path}/ledgers", {"name": name}) for name in ("first", "second")]
    assert [(ledger.status, ledger.body["organizationId"]) for ledger in ledgers] == [(201, made.body["id"])] * 2
    assert (await caller.get(path)).body == made.body
    assert (await caller.get(ORGANIZATIONS)).body == {"items": [made.body], "page": 1, "limit": 10}
    assert (await caller.get(f"{path}/ledgers")).body["items"] == [ledger.body for ledger in ledgers]
    assert (await caller.get(ledgers[0].headers["Location"])).body == ledgers[0].body


async def test_a_ledgers_name_is_taken_once_in_an_organization_and_free_in_another(caller: Caller) -> None:
    paths = [(await caller.post(ORGANIZATIONS, COMPANY)).headers["Location"] for _ in range(2)]
    answers = await asyncio.gather(*(caller.post(f"{paths[0]}/ledgers", {"name": "same"}) for _ in range(5)))
    assert sorted(answer.status for answer in answers) == [201, 409, 409, 409, 409]
    assert (await caller.post(f"{paths[1]}/ledgers", {"name": "same"})).status == 201


@pytest.mark.parametrize(
    ("body", "code", "fields"),
    [
        ({}, "0009", ["body.legalName", "body.legalDocument"]),
        ({**COMPANY, "legalName": ""}, "0047", ["body.legalName"]),
        ({**COMPANY, "parent": None}, "0053", ["body.parent"]),
    ],
)
async def test_a_bad_organization_is_refused_by_field_and_code(
    caller: Caller, body: dict[str, Any], code: str, fields: list[str]
) -> None:
    refused = await caller.post(ORGANIZATIONS, body)
    assert (refused.status, refused.body["code"], refused.at_fault) == (400, code, fields)


async def test_another_clients_organization_is_404_with_the_models_code(caller: Caller, stranger: Caller) -> None:
    base = await a_ledger(caller)
    organization, ledger = base.split("/ledgers/")[0], base.removesuffix("/portfolios")
    ledgers = f"{organization}/ledgers"
    answers = [
        *[await stranger.get(path) for path in (organization, ledgers, ledger, base)],
        await stranger.post(ledgers, {"name": "theirs"}),
        await caller.get(f"{ORGANIZATIONS}/{uuid4()}/ledgers/{id_in(ledger)}"),
    ]
    assert {(answer.status, answer.body["code"]) for answer in answers} == {(404, "0007")}
    assert (await stranger.get(ORGANIZATIONS)).body["items"] == []
    assert (await head(stranger, f"{base}/metrics/count")).status == 404


async def _names(caller: Caller, base: str, **query: Any) -> list[str]:
    answer = await caller.get(f"{base}?{_written(query)}")
    assert answer.status == 200, answer.body
    return [item["name"] for item in answer.body["items"]]


def _written(query: dict[str, Any]) -> str:
    return "&".join(f"{name}={value}" for name, value in query.items())


async def _numbered(caller: Caller, count: int) -> str:
    base = await a_ledger(caller)
    for number in range(count):
        await a_portfolio(caller, base, name=str(number))
    return base


async def test_portfolios_are_listed_page_by_page_in_either_order(caller: Caller) -> None:
    base = await _numbered(caller, 12)
    first = await caller.get(base)
    assert (first.body["page"], first.body["limit"], list(first.body)) == (1, 10, ["items", "page", "limit"])
    assert [item["name"] for item in first.body["items"]] == [str(number) for number in range(10)]
    assert first.body["items"][0] == (await caller.get(f"{base}/{first.body['items'][0]['id']}")).body
    assert await _names(caller, base, page=2) == ["10", "11"]
    assert await _names(caller, base, page=3, limit=5) == ["10", "11"]
    assert await _names(caller, base, page=4, limit=5) == []
    assert await _names(caller, base, sort_order="desc", limit=2) == ["11", "10"]


async def test_the_header_link_leads_from_page_to_page_to_the_end(caller: Caller) -> None:
    base = await _numbered(caller, 5)
    for order, names in (("asc", "01234"), ("desc", "43210")):
        seen, path = [], f"{base}?limit=2&sort_order={order}&status=ACTIVE"
        for _ in range(3):
            answer = await caller.get(path)
            seen += [item["name"] for item in answer.body["items"]]
            path = answer.headers.get("Link", "").partition(">")[0].removeprefix("<")
        assert ("".join(seen), path) == (names, "")
    other = (await caller.get(f"{base}?limit=2")).headers["Link"].partition(">")[0].removeprefix("<")
    for wrong in (f"{other}&page=2", f"{other}&sort_order=desc", f"{other}&status=X", f"{base}?cursor=x"):
        refused = await caller.get(wrong)
        assert (refused.status, refused.body["code"], refused.at_fault) == (400, "0082", ["query.cursor"])


async def test_a_list_is_filtered_by_entity_status_and_date_and_by_all_of_them(
    caller: Caller, database: Database
) -> None:
    base = await a_ledger(caller)
    await a_portfolio(caller, base, name="old", entityId="e")
    await a_portfolio(caller, base, name="new", entityId="e", status={"code": "BLOCKED"})
    await a_portfolio(caller, base, name="other")
    async with database.unit_of_work() as work:
        await work.connection.execute(
            text("UPDATE portfolios SET created_at = :moment WHERE ledger_id = :ledger_id AND name = 'old'"),
            {"moment": datetime(2026, 1, 31, 23, 59, 59, 999999, UTC), "ledger_id": UUID(base.split("/")[5])},
        )
    assert await _names(caller, base, entity_id="e") == ["old", "new"]
    assert await _names(caller, base, status="BLOCKED") == ["new"]
    assert await _names(caller, base, entity_id="e", status="ACTIVE") == ["old"]
    assert await _names(caller, base, start_date="2026-01-31", end_date="2026-01-31") == ["old"]
    assert await _names(caller, base, end_date="2026-01-30") == []
    assert await _names(caller, base, start_date="2026-02-01T00:00:00Z") == ["new", "other"]
    tomorrow = format_time(datetime.now(UTC) + timedelta(days=1))
    assert await _names(caller, base, end_date=tomorrow, entity_id="e", status="BLOCKED") == ["new"]


async def test_a_list_is_filtered_by_what_stands_in_the_metadata(caller: Caller) -> None:
    base = await a_ledger(caller)
    await a_portfolio(caller, base, name="a", metadata={"risk": "low", "limit": 600000, "auto": True, "x.y": "z w"})
    await a_portfolio(caller, base, name="b", metadata={"risk": "low", "currency": ["USD", "EUR"], "limit": "600000"})
    elsewhere = await a_ledger(caller)
    await a_portfolio(caller, elsewhere, name="c", metadata={"risk": "low"})
    assert await _names(caller, base, **{"metadata.risk": "low"}) == ["a", "b"]
    assert await _names(caller, base, **{"metadata.limit": "600000"}) == ["a", "b"]
    assert await _names(caller, base, **{"metadata.auto": "true"}) == ["a"]
    assert await _names(caller, base, **{"metadata.currency": "EUR"}) == ["b"]
    assert await _names(caller, base, **{"metadata.x.y": "z%20w"}) == ["a"]
    assert await _names(caller, base, **{"metadata.risk": "low", "metadata.currency": "USD"}) == ["b"]
    assert await _names(caller, base, **{"metadata.risk": "high"}) == []
    assert await _names(caller, base, **{"metadata.risk": "low", "limit": 1, "page": 2}) == ["b"]


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("limit=101", "0080", "query.limit"),
        ("limit=100&page=102", "0080", "query.page"),
        ("sort_order=up", "0081", "query.sort_order"),
        ("limit=0", "0082", "query.limit"),
        ("limit=x", "0082", "query.limit"),
        ("page=0", "0082", "query.page"),
        ("page=99999999999999999999", "0082", "query.page"),
        (f"entity_id={'e' * 257}", "0082", "query.entity_id"),
        (f"metadata.{'k' * 101}=v", "0082", f"query.metadata.{'k' * 100}"),
        ("start_date=31.1.2026", "0083", "query.start_date"),
        ("end_date=2026-01-31T12:00:00", "0083", "query.end_date"),
        ("start_date=2026-02-01&end_date=2026-01-31", "0083", "query.end_date"),
    ],
)
async def test_a_bad_query_is_refused_by_parameter_with_the_models_code(
    caller: Caller, query: str, code: str, field: str
) -> None:
    refused = await caller.get(f"{await a_ledger(caller)}?{query}")
    assert (refused.status, refused.body["code"], refused.at_fault) == (400, code, [field])


async def test_the_portfolios_of_a_ledger_are_counted_by_a_head_request(caller: Caller) -> None:
    base = await _numbered(caller, 3)
    await caller.delete(await a_portfolio(caller, base))
    counted = await head(caller, f"{base}/metrics/count")
    assert (counted.status, counted.headers["X-Total-Count"], counted.body) == (204, "3", b"")


async def _explained(database: Database, base: str, condition: str) -> str:
    listed = f"""
        EXPLAIN SELECT portfolio_id FROM portfolios
        WHERE ledger_id = '{base.split("/")[5]}' AND deleted_at IS NULL AND {condition}
        ORDER BY created_at, portfolio_id LIMIT 11
    """
    async with database.unit_of_work() as work:
        await work.connection.execute(text("SET LOCAL enable_seqscan = off"))
        rows = await work.connection.execute(text(listed))
        return "\n".join(rows.scalars())


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("created_at >= '2026-01-01'", "portfolios_of_ledger"),
        ("entity_id = 'e'", "portfolios_of_entity"),
        ("status_code = 'BLOCKED'", "portfolios_of_status"),
    ],
)
async def test_every_filter_has_an_index_that_gives_its_rows_in_the_lists_order(
    caller: Caller, database: Database, condition: str, index: str
) -> None:
    base = await a_ledger(caller)
    await _fill(database, base)
    plan = await _explained(database, base, condition)
    assert (index in plan, "Sort" in plan) == (True, False), plan


async def test_metadata_is_found_by_an_index_in_its_ledger_alone(caller: Caller, database: Database) -> None:
    base = await a_ledger(caller)
    await _fill(database, base)
    ledger_id = base.split("/")[5]
    wanted = f"""metadata_in_ledger(ledger_id, metadata) @> '{{"{ledger_id}": {{"number": 77}}}}'"""
    assert "portfolios_by_metadata" in await _explained(database, base, wanted)
    assert await _names(caller, base, **{"metadata.number": 77}) == ["77"]


async def _fill(database: Database, base: str) -> None:
    filled = """
        INSERT INTO portfolios (portfolio_id, client_id, organization_id, ledger_id, name, entity_id, status_code,
                                metadata, revision, created_at, updated_at)
        SELECT gen_random_uuid(), client_id, organization_id, ledger_id, n::text, n::text, 'S' || n,
               jsonb_build_object('number', n), 1, now() + n * interval '1 ms', now()
        FROM ledgers, generate_series(1, 2000) AS n WHERE ledger_id = :ledger_id
    """
    async with database.unit_of_work() as work:
        await work.connection.execute(text(filled), {"ledger_id": UUID(base.split("/")[5])})
        await work.connection.execute(text("ANALYZE portfolios"))


async def test_a_deep_page_costs_by_cursor_what_the_first_page_costs(caller: Caller, database: Database) -> None:
    base = await a_ledger(caller)
    await _fill(database, base)
    path, last = f"{base}?limit=100", {}
    for _ in range(19):
        answer = await caller.get(path)
        path, last = answer.headers["Link"].partition(">")[0].removeprefix("<"), answer.body["items"][-1]
    assert len((await caller.get(path)).body["items"]) == 100
    first = await _buffers(database, base, "true")
    deep = await _buffers(database, base, f"(created_at, portfolio_id) > ('{last['createdAt']}', '{last['id']}')")
    by_page = await _buffers(database, base, "true", offset=1900)
    assert deep <= 1.5 * first < by_page


async def _buffers(database: Database, base: str, condition: str, *, offset: int = 0) -> int:
    listed = f"""
        EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) SELECT * FROM portfolios
        WHERE ledger_id = '{base.split("/")[5]}' AND deleted_at IS NULL AND {condition}
        ORDER BY created_at, portfolio_id LIMIT 101 OFFSET {offset}
    """
    async with database.unit_of_work() as work:
        await work.connection.execute(text("SET LOCAL enable_seqscan = off"))
        await work.connection.execute(text("SET LOCAL enable_bitmapscan = off"))
        plan = (await work.connection.execute(text(listed))).scalar_one()[0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


@pytest.fixture
async def open_ledger(system: RunningSystem, caller: Caller) -> AsyncIterator[Caller]:
    """The same client's ledger on a process that does not ask for a token."""
    setting = {"PORTFOLIO_BUS_LEDGER_CLIENT_ID": str(caller.client_id)}
    label = f"open-{uuid4().hex[:8]}"
    process = system.start(NAME, label=label, roles=["api"], environment=setting)
    try:
        await asyncio.to_thread(process.wait_ready)
        async with aiohttp.ClientSession(process.url) as session:
            yield Caller(session, caller.credentials)
    finally:
        await asyncio.to_thread(process.stop)
        del system.services[label]


async def test_with_the_setting_requests_without_a_token_act_as_its_client_and_others_still_need_a_good_one(
    caller: Caller, stranger: Caller, open_ledger: Caller
) -> None:
    path = await a_portfolio(caller)
    without: list[Answer] = [
        await send_raw(open_ledger, "PATCH", path, DOCUMENTED, **{"X-Request-Id": "no-token"}),
        await open_ledger.get(path),
    ]
    assert [answer.status for answer in without] == [200, 200]
    assert (without[0].body["status"]["code"], without[0].headers["X-Request-Id"]) == ("BLOCKED", "no-token")
    assert (await open_ledger.post(ORGANIZATIONS, COMPANY)).status == 201

    theirs = Caller(open_ledger.session, stranger.credentials, stranger.headers)
    assert (await theirs.get(path)).status == 404
    ours = Caller(open_ledger.session, caller.credentials, caller.headers)
    assert (await ours.get(path)).status == 200
    for wrong in ("Bearer x", "", "Basic eDp5"):
        refused = Caller(open_ledger.session, caller.credentials, {"Authorization": wrong})
        assert (await refused.get(path)).status == 401
    assert (await open_ledger.get("/accounts")).status == 401


async def test_without_the_setting_every_request_to_the_ledger_needs_a_token(caller: Caller) -> None:
    path = await a_portfolio(caller)
    nobody = Caller(caller.session, caller.credentials)
    for answer in (await send_raw(nobody, "PATCH", path, DOCUMENTED), await nobody.get(ORGANIZATIONS)):
        assert (answer.status, answer.headers["WWW-Authenticate"]) == (401, 'Bearer realm="portfolio-bus"')
