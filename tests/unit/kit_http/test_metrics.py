"""GET /metrics: anybody's, for Prometheus; and how requests are counted there."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from fastapi import APIRouter
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from shared.kit.http import create_app
from shared.kit.http.metrics import Traffic
from shared.kit.liveness import Liveness, Readiness
from shared.kit.loop_lag import LoopLag
from shared.kit.metrics import MEASURES, Metrics
from tests.conftest import eventually
from tests.scraped import Scraped

REQUESTS = "portfolio_bus_http_requests_total"
SECONDS = "portfolio_bus_http_request_seconds_count"


def _routes() -> APIRouter:
    router = APIRouter()

    @router.get("/things/{thing_id}")
    async def thing(thing_id: int) -> dict[str, int]:
        return {"thing": thing_id}

    @router.get("/broken")
    async def broken() -> None:
        raise RuntimeError

    return router


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
async def base_url(serve: Any, metrics: Metrics) -> AsyncIterator[str]:
    app = create_app(
        title="ours",
        version="1",
        routers=[_routes()],
        liveness=Liveness(),
        readiness=Readiness(),
        metrics=metrics,
    )
    async with serve(app) as url:
        yield url


async def _scraped(base_url: str) -> Scraped:
    async with aiohttp.ClientSession() as session, session.get(f"{base_url}/metrics") as response:
        assert response.status == 200
        assert response.headers["Content-Type"] == CONTENT_TYPE_PLAIN_0_0_4
        return Scraped(await response.text())


async def test_a_request_is_counted_by_its_route_and_not_by_its_path(base_url: str, ask: Any) -> None:
    for thing in range(5):
        await ask("GET", f"/things/{thing}")
    await ask("GET", "/things/none")
    found = await _scraped(base_url)
    route = "/things/{thing_id}"
    assert found.of(REQUESTS, method="GET", route=route, status="2xx") == 5
    assert found.of(REQUESTS, method="GET", route=route, status="4xx") == 1
    assert found.of(SECONDS, method="GET", route=route) == 6


async def test_what_a_caller_makes_up_is_no_series_of_its_own(base_url: str, ask: Any) -> None:
    for number in range(3):
        await ask("GET", f"/made-up/{number}")
    async with aiohttp.ClientSession() as session:
        for word in ("PURGE", "PROPFIND"):
            async with session.request(word, f"{base_url}/made-up/{word}") as response:
                assert response.status in {404, 405}
    found = await _scraped(base_url)
    assert found.of(REQUESTS, method="GET", route="unmatched", status="4xx") == 3
    assert found.of(REQUESTS, method="other", route="unmatched") == 2
    assert found.labels(REQUESTS, "method") == {"GET", "other"}


async def test_a_defect_of_ours_is_counted_as_one(base_url: str, ask: Any) -> None:
    await ask("GET", "/broken")
    assert (await _scraped(base_url)).of(REQUESTS, route="/broken", status="5xx") == 1


async def test_metrics_stand_in_no_document_for_clients(base_url: str) -> None:
    async with aiohttp.ClientSession() as session, session.get(f"{base_url}/openapi.json") as response:
        assert "/metrics" not in (await response.json())["paths"]


async def test_series_have_no_second_one_that_tells_when_they_were_made(base_url: str, ask: Any) -> None:
    await ask("GET", "/things/1")
    assert not [s.name for s in (await _scraped(base_url)).samples if s.name.endswith("_created")]


def test_two_parts_with_the_same_metric_are_refused() -> None:
    metrics = Metrics()
    metrics.add(Traffic())
    with pytest.raises(ValueError, match="Duplicated"):
        metrics.add(Traffic())


def test_every_measure_has_a_name_of_its_own_that_says_its_kind() -> None:
    names = [measure.name for measure in MEASURES]
    assert len(set(names)) == len(names)
    assert [m.name for m in MEASURES if (m.kind == "counter") != m.name.endswith("_total")] == []
    assert [m.name for m in MEASURES if (m.kind == "histogram") != bool(m.ranges)] == []


async def test_a_loop_that_is_held_up_shows_by_how_much() -> None:
    metrics, lag = Metrics(), LoopLag()
    metrics.add(lag)
    running = asyncio.create_task(lag.run(lambda: None))
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_later(0.9, _hold_up, 0.6)
    name = "portfolio_bus_event_loop_lag_seconds"

    async def measured() -> Scraped | None:
        seen = Scraped((await metrics.text()).decode())
        return seen if seen.of(f"{name}_count") else None

    seen = await eventually(measured)
    running.cancel()
    assert seen.of(f"{name}_bucket", le="0.25") == 0
    assert 0.4 < (seen.of(f"{name}_sum") or 0) < 3


def _hold_up(seconds: float) -> None:
    loop = asyncio.get_running_loop()
    until = loop.time() + seconds
    while loop.time() < until:
        pass
