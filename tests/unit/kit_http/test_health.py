"""Whether the process lives and may be given work, as others ask for it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.kit.http import create_app
from shared.kit.liveness import Liveness, Readiness


@pytest.fixture
def liveness() -> Liveness:
    return Liveness()


@pytest.fixture
def readiness() -> Readiness:
    return Readiness(timeout=0.2, fresh_for=0.0)


@pytest.fixture
async def base_url(serve: Any, liveness: Liveness, readiness: Readiness) -> AsyncIterator[str]:
    app = create_app(title="ours", version="1", routers=[], liveness=liveness, readiness=readiness)
    async with serve(app) as url:
        yield url


async def _well() -> str | None:
    return None


async def _broken() -> str | None:
    return "no broker answers"


async def _raising() -> str | None:
    raise ConnectionRefusedError("postgresql://user:hunter2@10.0.0.1")


async def _silent() -> str | None:
    await asyncio.Event().wait()
    return None


async def test_a_process_whose_loops_turn_is_alive(ask: Any, liveness: Liveness) -> None:
    liveness.loop("relay", hangs_after=30.0)()
    reply = await ask("GET", "/health/live")
    assert (reply.status, reply.body) == (200, {"status": "ok"})


async def test_a_loop_that_hangs_is_named(ask: Any, liveness: Liveness) -> None:
    liveness.loop("relay", hangs_after=-1.0)
    reply = await ask("GET", "/health/live")
    assert reply.is_problem("unavailable", 503)
    assert "relay has not turned" in reply.errors()["health"]


async def test_a_task_that_has_ended_is_named(ask: Any, liveness: Liveness) -> None:
    task = asyncio.create_task(_well())
    liveness.watch("consumer", task)
    await task
    assert "consumer has ended" in (await ask("GET", "/health/live")).body["detail"]


async def test_a_cancelled_task_and_a_failed_one_are_named_until_they_are_forgotten(liveness: Liveness) -> None:
    failed, cancelled = asyncio.create_task(_raising()), asyncio.create_task(_silent())
    liveness.watch("failed", failed)
    liveness.watch("cancelled", cancelled)
    cancelled.cancel()
    await asyncio.wait([failed, cancelled])
    assert liveness.problems() == ["failed has ended", "cancelled has ended"]
    liveness.forget("failed")
    liveness.forget("cancelled")
    assert liveness.problems() == []


def test_a_loop_that_beats_again_is_well_again() -> None:
    now = 0.0
    liveness = Liveness(clock=lambda: now)
    beat = liveness.loop("relay", hangs_after=30.0)
    now = 30.0
    assert liveness.problems() == []
    now = 31.0
    assert liveness.problems() == ["relay has not turned for 31 s"]
    beat()
    assert liveness.problems() == []


async def test_the_api_is_ready_although_the_consumers_are_not(ask: Any, readiness: Readiness) -> None:
    readiness.add("api", "database", _well)
    readiness.add("consumers", "broker", _broken)
    reply = await ask("GET", "/health/ready")
    assert reply.status == 200
    assert reply.body == {"status": "ok", "roles": {"api": [], "consumers": ["broker: no broker answers"]}}


@pytest.mark.parametrize("role", ["consumers", "all"])
async def test_a_role_that_is_asked_for_is_answered_for(ask: Any, readiness: Readiness, role: str) -> None:
    readiness.add("api", "database", _well)
    readiness.add("consumers", "broker", _broken)
    reply = await ask("GET", f"/health/ready?role={role}")
    assert reply.is_problem("unavailable", 503)
    assert reply.headers["retry-after"] == "1"
    assert reply.body["detail"] == "consumers: broker: no broker answers"


async def test_a_process_without_an_api_is_ready_when_all_its_roles_are(ask: Any, readiness: Readiness) -> None:
    readiness.add("workers", "database", _well)
    readiness.add("consumers", "broker", _broken)
    assert (await ask("GET", "/health/ready")).status == 503
    assert (await ask("GET", "/health/ready?role=workers")).status == 200


async def test_a_role_that_does_not_run_here_is_400(ask: Any, readiness: Readiness) -> None:
    readiness.add("api", "database", _well)
    reply = await ask("GET", "/health/ready?role=workers")
    assert reply.is_problem("invalid_request", 400)
    assert reply.errors() == {"query.role": "must be one of all, api"}


async def test_a_check_that_raises_or_hangs_is_a_problem_that_tells_no_secret(readiness: Readiness) -> None:
    readiness.add("api", "database", _raising)
    readiness.add("api", "keys", _silent)
    assert await readiness.problems() == [
        "api: database: failed with ConnectionRefusedError",
        "api: keys: no answer within 0.2 s",
    ]


async def test_answers_are_reused_for_a_moment_and_a_shared_check_is_asked_once() -> None:
    now, asked = 0.0, 0

    async def count() -> str | None:
        nonlocal asked
        asked += 1
        return None

    readiness = Readiness(fresh_for=0.5, clock=lambda: now)
    readiness.add("api", "database", count)
    readiness.add("workers", "database", count)
    await asyncio.gather(*(readiness.problems() for _ in range(10)))
    assert asked == 1
    now = 0.6
    await readiness.problems()
    assert asked == 2
