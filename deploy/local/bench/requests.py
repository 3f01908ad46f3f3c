"""Creating configurations over HTTP, beside a route of the same process that inserts one row and does nothing else."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import asyncpg
import orjson

from deploy.local.bench.figures import Figure, percentile
from deploy.local.bench.plain import PATH
from deploy.local.demo.telling import must
from deploy.local.demo.upstream import Upstream
from deploy.local.services import ISSUER, RunningSystem

CONNECTIONS = 32
REQUESTS = 4_000
_WARM_UP = 400
_ITEMS = [{"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "1"}]

#: Accounts that nobody has heard of yet: opening thousands over HTTP would take longer than the measurement.
_ACCOUNTS = """
INSERT INTO accounts (account_id, client_id, user_id, type, status, revision, created_at, updated_at)
SELECT gen_random_uuid(), $1, gen_random_uuid(), 'PORTFOLIO', 'ACTIVE', 1, now(), now() FROM generate_series(1, $2)
RETURNING account_id
"""


@dataclass(frozen=True)
class Load:
    """What a number of equal requests came to."""

    per_second: float
    p50: float
    p99: float
    statements: float


async def requests(system: RunningSystem, upstream: Upstream, runs: int) -> list[Figure]:
    """The two rates in turn, `runs` times, from one config_service process with all its roles, the only service."""
    # What the other services do with the events is no part of either rate.
    names = list(system.services)
    await asyncio.to_thread(_stop, system)
    measured = system.start(ISSUER, module="deploy.local.bench.plain")
    try:
        await asyncio.to_thread(measured.wait_ready)
        allocation = await upstream.call(ISSUER, "POST", "/portfolios/allocations", {"allocation": _ITEMS})
        must(f"an allocation is made, not {answer_of(allocation)}", allocation.status == 201)  # noqa: PLR2004
        pairs = [await _pair(system, upstream, allocation.json["allocation_id"]) for _ in range(runs)]
    finally:
        await asyncio.to_thread(measured.stop)
        await asyncio.to_thread(_start, system, names)
    return _figures(pairs)


def _stop(system: RunningSystem) -> None:
    for process in system.services.values():
        process.stop()


def _start(system: RunningSystem, names: Sequence[str]) -> None:
    for process in [system.start(name) for name in names]:
        process.wait_ready()


def answer_of(answer: Any) -> str:  # noqa: ANN401 -- shown to a person
    """An answer as a failed measurement shows it."""
    return f"{answer.status}: {answer.body.decode()[:200]}"


async def _pair(system: RunningSystem, upstream: Upstream, allocation_id: str) -> tuple[Load, Load]:
    accounts = await _accounts(system, upstream.client_id, REQUESTS + _WARM_UP)
    url = system.urls[ISSUER]
    async with aiohttp.ClientSession(
        url, connector=aiohttp.TCPConnector(limit=CONNECTIONS), headers=upstream.authorization
    ) as session:

        async def plain(_: UUID) -> None:
            async with session.post(PATH) as response:
                must(f"a row is inserted, not {response.status}", response.status == 201)  # noqa: PLR2004

        async def configure(account_id: UUID) -> None:
            body = orjson.dumps({"account_id": str(account_id), "allocation_id": allocation_id})
            headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
            async with session.post("/portfolios/configurations", data=body, headers=headers) as response:
                must(f"an account is configured, not {response.status}", response.status == 201)  # noqa: PLR2004

        async def counted() -> int:
            async with session.post(PATH) as response:
                return int((await response.json())["statements"])

        bare = await _load(plain, accounts, counted)
        whole = await _load(configure, accounts, counted)
    return bare, whole


async def _load(
    ask: Callable[[UUID], Awaitable[None]], accounts: list[UUID], counted: Callable[[], Awaitable[int]]
) -> Load:
    await _all(ask, accounts[:_WARM_UP])
    before, began = await counted(), time.perf_counter()
    seconds = await _all(ask, accounts[_WARM_UP:])
    took = time.perf_counter() - began
    statements = (await counted() - before - 1) / len(seconds)  # the question after it is one itself
    return Load(len(seconds) / took, percentile(seconds, 50) * 1000, percentile(seconds, 99) * 1000, statements)


async def _all(ask: Callable[[UUID], Awaitable[None]], accounts: Iterable[UUID]) -> list[float]:
    """Ask for each account over all connections at once; the seconds that each request took."""
    seconds: list[float] = []
    waiting: Iterator[UUID] = iter(accounts)

    async def one_after_another() -> None:
        for account in waiting:
            began = time.perf_counter()
            await ask(account)
            seconds.append(time.perf_counter() - began)

    await asyncio.gather(*(one_after_another() for _ in range(CONNECTIONS)))
    return seconds


async def _accounts(system: RunningSystem, client_id: UUID, count: int) -> list[UUID]:
    connection = await asyncpg.connect(system.databases[ISSUER])
    try:
        made = [row["account_id"] for row in await connection.fetch(_ACCOUNTS, client_id, count)]
        await connection.execute("VACUUM ANALYZE accounts")
        return made
    finally:
        await connection.close()


def _figures(pairs: list[tuple[Load, Load]]) -> list[Figure]:
    bare, whole = zip(*pairs, strict=True)
    name = f"POST /portfolios/configurations, {CONNECTIONS} connections, one process"
    return [
        Figure("a route that authenticates and inserts a row, same process", "/s", [load.per_second for load in bare]),
        Figure(name, "/s", [load.per_second for load in whole]),
        Figure("… of the rate of the route that inserts one row", "%",
               [one.per_second / other.per_second * 100 for other, one in pairs],
               limit=40, limit_is="promised at least"),
        Figure("… p50", "ms", [load.p50 for load in whole]),
        Figure("… p99", "ms", [load.p99 for load in whole]),
        Figure("… statements a request", "", [load.statements for load in whole]),
    ]  # fmt: skip
