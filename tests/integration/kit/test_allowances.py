"""How often a client may ask: one bucket for all replicas, leased in pieces, and no hindrance without the database."""

import asyncio
import multiprocessing
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
from fastapi import APIRouter, Depends
from sqlalchemy import text

from shared.kit import allowances as kept
from shared.kit.allowances import Allowances, AllowanceUsedUp, Limit, forget_full
from shared.kit.auth import LocalKeys, SigningKey, TokenIssuer, TokenVerifier, requires
from shared.kit.http import create_app
from shared.kit.liveness import Liveness, Readiness
from shared.kit.outbox import Outbox
from shared.kit.unit_of_work import Database
from tests.conftest import PARTITIONS
from tests.unit.kit_http.conftest import serve as serve_fixture

ISSUER = TokenIssuer([SigningKey.generate()])

serve = serve_fixture


def _keep(database: Database, per_second: float, burst: int, **options: Any) -> Allowances:
    return Allowances(database, "test", Limit(per_second, burst), **options)


async def _let_through(allowances: Allowances, subject: str, times: int) -> int:
    passed = 0
    for _ in range(times):
        try:
            await allowances.take(subject)
        except AllowanceUsedUp:
            continue
        passed += 1
    return passed


async def test_a_burst_is_let_through_and_not_one_more(database: Database) -> None:
    allowances, subject = _keep(database, 0.5, 60), str(uuid4())
    assert await _let_through(allowances, subject, 200) == 60


async def test_each_subject_has_its_own(database: Database) -> None:
    allowances = _keep(database, 0.5, 10)
    assert [await _let_through(allowances, str(uuid4()), 20) for _ in range(3)] == [10, 10, 10]


async def test_replicas_share_a_bucket(database: Database) -> None:
    replicas, subject = [_keep(database, 0.5, 100) for _ in range(4)], str(uuid4())
    passed = await asyncio.gather(*(_let_through(replica, subject, 100) for replica in replicas))
    # Nobody holds more than its last lease when the bucket is empty, and that is let through as well.
    assert sum(passed) == 100
    assert min(passed) > 0


async def test_the_bucket_fills_again_at_its_rate_and_no_further_than_its_burst(database: Database) -> None:
    now, subject = 0.0, str(uuid4())
    # A token in a hundred seconds: what passes while the test runs makes none.
    allowances = _keep(database, 0.01, 20, clock=lambda: now)
    assert await _let_through(allowances, subject, 40) == 20
    for seconds, tokens in ((1000, 10), (360_000, 20)):
        await _filled(database, subject, seconds=seconds)
        now += 1000  # an empty bucket is not looked at again before it has a token
        assert await _let_through(allowances, subject, 40) in {tokens, tokens + 1}


async def _filled(database: Database, subject: str, *, seconds: float) -> None:
    """Let the bucket be as if its last change were that much longer ago."""
    async with database.unit_of_work() as work:
        await work.connection.execute(
            text("UPDATE allowances SET refilled_at = refilled_at - make_interval(secs => :s) WHERE subject = :n"),
            {"s": seconds, "n": f"test/{subject}"},
        )


@contextmanager
def leases(allowances: Allowances) -> Iterator[list[int]]:
    """The sizes of the leases that are asked for meanwhile."""
    sizes: list[int] = []
    leased = allowances._leased

    async def noting(subject: str, wanted: int, unused: int) -> tuple[float, int]:
        sizes.append(wanted)
        return await leased(subject, wanted, unused)

    allowances._leased = noting  # type: ignore[method-assign]
    yield sizes


async def test_a_busy_client_costs_a_statement_for_a_tenth_of_a_second_and_not_for_a_request(
    database: Database,
) -> None:
    allowances = _keep(database, 1000, 2000)
    with leases(allowances) as sizes:
        assert await _let_through(allowances, str(uuid4()), 1000) == 1000
    assert sizes[:5] == [5, 10, 20, 40, 80]
    assert set(sizes[5:]) == {100}
    assert len(sizes) <= 15


async def test_a_flood_beyond_the_allowance_hardly_costs_the_database_anything(database: Database) -> None:
    allowances, subject = _keep(database, 10, 10), str(uuid4())
    await _let_through(allowances, subject, 10)
    with leases(allowances) as sizes:
        began = time.monotonic()
        await _let_through(allowances, subject, 20_000)
        seconds = time.monotonic() - began
    # One in vain is followed by none for a twentieth of a second; one with a token, ten of them a second, by the next.
    assert len(sizes) <= 2 + seconds * (20 + 10)


async def test_requests_at_once_ask_for_one_lease_together(database: Database) -> None:
    allowances, subject = _keep(database, 1000, 2000), str(uuid4())
    with leases(allowances) as sizes:
        await asyncio.gather(*(allowances.take(subject) for _ in range(5)))
    assert sizes == [5]


async def test_what_is_not_spent_goes_back(database: Database) -> None:
    now, subject = 0.0, str(uuid4())
    allowances = _keep(database, 0.001, 50, clock=lambda: now)
    for _ in range(50):
        await allowances.take(subject)
        now += 1.5  # every lease ends before it is used up
    with pytest.raises(AllowanceUsedUp):
        await allowances.take(subject)


async def test_what_did_not_count_can_be_given_back(database: Database) -> None:
    allowances, subject = _keep(database, 0.001, 3), str(uuid4())
    for _ in range(50):
        await allowances.take(subject)
        allowances.give_back(subject)
    assert await _let_through(allowances, subject, 10) == 3


async def test_without_a_limit_nothing_is_kept(database: Database) -> None:
    subject = str(uuid4())
    assert await _keep(database, 0, 1).take(subject) is None
    assert await _rows(database) == 0


async def test_the_memory_of_a_process_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "_REMEMBERED", 10)
    allowances = _keep(database, 1, 5)
    for _ in range(30):
        await allowances.take(str(uuid4()))
    assert len(allowances._leases) == 10


async def test_buckets_that_are_full_again_are_forgotten(database: Database) -> None:
    await _keep(database, 1, 5).take("old")
    await _keep(database, 1, 5).take("new")
    await _filled(database, "old", seconds=3700)
    await forget_full(database)
    assert await _rows(database) == 1


async def _rows(database: Database) -> int:
    async with database.reading() as connection:
        return int((await connection.execute(text("SELECT count(*) FROM allowances"))).scalar_one())


async def test_while_the_database_is_away_everybody_is_let_through_and_it_is_asked_once_a_second() -> None:
    nowhere = Database("postgresql+asyncpg://nobody@127.0.0.1:1/none", Outbox("/test", PARTITIONS))
    allowances = _keep(nowhere, 0.001, 1)
    with leases(allowances) as sizes:
        began = time.monotonic()
        assert await _let_through(allowances, "anybody", 1000) == 1000
        seconds = time.monotonic() - began
    assert len(sizes) <= 1 + seconds
    await nowhere.close()


def _asks_in_a_process(url: str, subject: str, seconds: float, together: Any, told: Any) -> None:
    """A replica in a process of its own that asks as fast as it can; tells how many passed, from when until when."""

    async def asking() -> tuple[int, float, float]:
        database = Database(url, Outbox("/test", PARTITIONS))
        allowances, passed = _keep(database, 200, 100), 0
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            passed += await _let_through(allowances, subject, 50)
            await asyncio.sleep(0.001)
        ended = time.monotonic()
        await database.close()
        return passed, began, ended

    together.wait(60)
    told.put(asyncio.run(asking()))


async def test_two_processes_together_let_through_what_one_may(database: Database) -> None:
    """Burst and rate, within the tolerance that the module states: what each of the two may hold."""
    seconds, subject = 2.0, str(uuid4())
    spawning = multiprocessing.get_context("spawn")
    together, told = spawning.Barrier(2), spawning.Queue()
    url = database.engine.url.render_as_string(hide_password=False)
    arguments = (url, subject, seconds, together, told)
    processes = [spawning.Process(target=_asks_in_a_process, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    try:
        answers = [await asyncio.to_thread(told.get, timeout=90) for _ in processes]
    finally:
        for process in processes:
            process.join()
    passed, began, ended = zip(*answers, strict=True)
    lasted = max(ended) - min(began)
    assert sum(passed) <= 100 + 200 * lasted + 2 * 10
    assert sum(passed) >= 100 + 200 * lasted * 0.5, "the steady rate is let through, not the burst alone"


def _application(database: Database, limit: Limit) -> Any:
    router = APIRouter()

    @router.get("/mine", dependencies=[Depends(requires("accounts:read"))])
    async def mine() -> dict[str, str]:
        return {}

    return create_app(
        title="things",
        version="1",
        routers=[router],
        liveness=Liveness(),
        readiness=Readiness(),
        verifier=TokenVerifier(LocalKeys(ISSUER.jwks())),
        allowances=Allowances(database, "client", limit),
    )


Ask = Callable[[str], Any]


@asynccontextmanager
async def two_replicas(serve: Any, database: Database, limit: Limit) -> AsyncIterator[list[Ask]]:
    client = uuid4()

    def asking(session: aiohttp.ClientSession, url: str) -> Ask:
        async def ask(scope: str = "accounts:read") -> aiohttp.ClientResponse:
            headers = {"Authorization": f"Bearer {ISSUER.issue(client, [scope])}"}
            async with session.get(f"{url}/mine", headers=headers) as response:
                await response.read()
                return response

        return ask

    app = _application(database, limit)
    async with serve(app) as first, serve(_application(database, limit)) as second, aiohttp.ClientSession() as session:
        yield [asking(session, first), asking(session, second)]


async def test_answers_of_either_replica_tell_the_allowance_and_429_when_to_come_back(
    serve: Any, database: Database
) -> None:
    async with two_replicas(serve, database, Limit(0.25, 10)) as replicas:
        answers = [await replicas[n % 2]("accounts:read") for n in range(14)]
    statuses = [answer.status for answer in answers]
    assert statuses.count(200) == 10
    assert statuses.count(429) == 4
    assert {answer.headers["RateLimit-Policy"] for answer in answers} == {'"client";q=10;w=40'}
    first, last = answers[0], answers[-1]
    assert first.headers["RateLimit"] == '"client";r=9;t=4'
    assert "Retry-After" not in first.headers
    assert last.status == 429
    assert last.headers["RateLimit"] == '"client";r=0;t=40'
    assert 1 <= int(last.headers["Retry-After"]) <= 4
    assert last.headers["Content-Type"] == "application/problem+json"


async def test_requests_that_are_refused_for_another_reason_count_as_well(serve: Any, database: Database) -> None:
    async with two_replicas(serve, database, Limit(0.25, 3)) as (ask, _):
        statuses = [(await ask("orders:read")).status for _ in range(5)]
    assert statuses == [403, 403, 403, 429, 429]
