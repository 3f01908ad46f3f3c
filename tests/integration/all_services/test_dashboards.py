"""Every panel of the dashboards shows something of the running services, by way of a real Prometheus."""

import json
import math
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from deploy.grafana.__main__ import DASHBOARDS
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.processes import SERVICE_RANK, Command
from deploy.local.services import service_names
from shared.contracts import ORDERS_COMMANDS
from shared.kit.kafka import Kafka
from tests.conftest import eventually
from tests.programs import program

from .estates import ITEMS, Estate, World, order_body

#: what Grafana makes of its own variable, here: all of this short run
RANGE = "2m"


def panels() -> list[tuple[str, str, str]]:
    """Dashboard, panel and query, as Grafana reads them."""
    return [
        (path.stem, panel["title"], target["expr"])
        for path in sorted(DASHBOARDS.glob("*.json"))
        for panel in json.loads(path.read_text())["panels"]
        for target in panel.get("targets", [])
    ]


class Prometheus:
    """A Prometheus that fetches from the running services."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self.session = session

    async def values(self, query: str) -> list[float]:
        """What a query gives now, without what is no number."""
        parameters = {"query": query.replace("$__rate_interval", RANGE)}
        async with self.session.get(f"{self.url}/api/v1/query", params=parameters) as response:
            answer: dict[str, Any] = await response.json()
        assert answer["status"] == "success", answer
        found = [float(series["value"][1]) for series in answer["data"]["result"]]
        return [value for value in found if not math.isnan(value)]

    async def fetches(self) -> bool:
        try:
            # Once each: on a busy machine one of them may just now not answer in time.
            return sum(await self.values(f"max_over_time(up[{RANGE}])")) == len(service_names())
        except aiohttp.ClientError:
            return False


@pytest.fixture(scope="module")
async def prometheus(world: World, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    folder = tmp_path_factory.mktemp("prometheus")
    (port,) = free_ports(1)
    argv = [
        program("prometheus", "prometheus"),
        f"--config.file={_configuration(world, folder)}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address={LOOPBACK}:{port}",
        "--log.level=warn",
    ]
    # On the leash of the stack, so that it does not outlive this run however that ends.
    leash, command = world.system.stack.leash, Command("prometheus", argv, folder / "log", rank=SERVICE_RANK)
    leash.start(command)
    async with aiohttp.ClientSession() as session:
        made = Prometheus(f"http://{LOOPBACK}:{port}", session)
        await eventually(made.fetches, every=0.1)
        yield made
    leash.send_signal(command.name, signal.SIGTERM)

    async def has_ended() -> bool:
        return leash.exit_code(command.name) is not None

    await eventually(has_ended, every=0.1)


def _configuration(world: World, folder: Path) -> Path:
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [world.system.urls[name].removeprefix("http://")]}]}
        for name in service_names()
    ]
    path = folder / "prometheus.yml"
    path.write_text(
        json.dumps({"global": {"scrape_interval": "500ms", "scrape_timeout": "400ms"}, "scrape_configs": jobs})
    )
    return path


async def something_of_everything(world: World, kafka: Kafka) -> None:
    """An account, an order, a webhook of it, a rebalancing that the gate stops, and a message that is parked."""
    client = uuid4()
    hook = {"title": "mine", "url": world.receiver, "type": ["ALL"]}
    await world.made(client, "webhook_dispatcher", "/webhooks", hook)
    account = (await world.made(client, "config_service", "/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"}))[
        "account_id"
    ]
    allocation = (await world.made(client, "config_service", "/portfolios/allocations", {"allocation": ITEMS}))[
        "allocation_id"
    ]
    link = {"account_id": account, "allocation_id": allocation}
    await world.made(client, "config_service", "/portfolios/configurations", link)
    await eventually(lambda: an_order(world, client, account), every=0.1)
    deleted = await world.ask("config_service", "DELETE", f"/portfolios/configurations/{account}", world.token(client))
    assert deleted.status == 204
    await eventually(lambda: a_suppressed_delivery(world, client, account), every=0.2)
    producer = kafka.producer()
    await producer.start()
    await producer.send_and_wait(kafka.physical(ORDERS_COMMANDS.name), b"no command", key=b"some key")
    await producer.stop()


def kafka_of(world: World) -> Kafka:
    system = world.system
    return Kafka(system.stack.kafka, system.environment["PORTFOLIO_BUS_TOPIC_PREFIX"], client_id="test")


async def an_order(world: World, client: UUID, account: str) -> bool:
    body = order_body(Estate(client, {"account_id": account}))
    answer = await world.ask("order_service", "POST", "/portfolios/orders", world.token(client), body)
    return answer.status == 201


async def a_suppressed_delivery(world: World, client: UUID, account: str) -> bool:
    rebalancing = {"accounts": [account]}
    await world.made(client, "order_service", "/portfolios/rebalancings/executions", rebalancing)
    found = await world.ask("webhook_dispatcher", "GET", "/deliveries?state=SUPPRESSED", world.token(client))
    return bool(found.body["data"])


async def test_every_panel_shows_something_of_the_running_services(world: World, prometheus: Prometheus) -> None:
    await something_of_everything(world, kafka_of(world))
    empty = panels()
    assert len(empty) > 30

    async def all_shown() -> bool:
        # A series that begins with the first wait for a barrier shows no growth before the second.
        assert not await an_order(world, uuid4(), str(uuid4()))
        for panel in list(empty):
            if await prometheus.values(panel[2]):
                empty.remove(panel)
        return not empty

    try:
        await eventually(all_shown, seconds=30, every=0.5)
    except pytest.fail.Exception:
        pytest.fail(f"these show nothing: {empty}")


async def test_what_the_gate_stops_is_seen_in_prometheus(world: World, prometheus: Prometheus) -> None:
    stopped = f"sum(max_over_time(portfolio_bus_deliveries_suppressed_total[{RANGE}]))"
    (before,) = await prometheus.values(stopped)
    await something_of_everything(world, kafka_of(world))

    async def more() -> bool:
        return sum(await prometheus.values(stopped)) > before

    await eventually(more, every=0.5)
