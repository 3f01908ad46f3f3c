"""How long accounts wait when something is killed.

A replica: from its SIGKILL to the last of its accounts that is served again. Kafka or PostgreSQL: from its being back
to the first effect.
"""

import asyncio
import time
from uuid import UUID

import aiohttp
import asyncpg

from deploy.local.bench.accounts import Bench
from deploy.local.bench.figures import Figure
from deploy.local.demo.telling import must
from deploy.local.processes import Node
from deploy.local.services import ServiceProcess

#: of every partition some, so that the killed replica had its share
_ACCOUNTS = 48
_GIVE_UP = 60.0
_LOOK_EVERY = 0.02
_SERVICE = "order_service"
_REPLICA = "order_service-2"


async def recovery(bench: Bench, runs: int) -> list[Figure]:
    """A second replica of order_service is killed while configurations are deleted; then it comes back."""
    replica = bench.system.start(_SERVICE, label=_REPLICA)
    seconds = []
    try:
        await asyncio.to_thread(replica.wait_ready)
        for _ in range(runs):
            accounts = await bench.configured_accounts(_ACCOUNTS)
            await bench.place_orders(accounts, 1)
            seconds.append(await _after_the_kill(bench, replica, accounts))
            await asyncio.to_thread(replica.restart)
    finally:
        await asyncio.to_thread(replica.stop)
        del bench.system.services[_REPLICA]
    backs = [
        Figure(f"{node.name} back after SIGKILL → the next effect", "s",
               [await _once_it_is_back(bench, node) for _ in range(runs)], limit=10, limit_is="promised")
        for node in bench.system.stack.nodes.values()
    ]  # fmt: skip
    return [
        Figure("SIGKILL of one of two replicas → effects on all accounts", "s", seconds, limit=12, limit_is="promised"),
        *backs,
    ]


async def _after_the_kill(bench: Bench, replica: ServiceProcess, accounts: list[UUID]) -> float:
    await asyncio.to_thread(replica.kill)
    killed = time.monotonic()
    for account in accounts:
        answer = await bench.upstream.call("config_service", "DELETE", f"/portfolios/configurations/{account}")
        must(f"DELETE is answered 204, not {answer.status}", answer.status == 204)  # noqa: PLR2004
    for account in accounts:
        while await bench.new_orders(account):
            must(f"the order of {account} is cancelled within {_GIVE_UP} s", time.monotonic() - killed < _GIVE_UP)
            await asyncio.sleep(_LOOK_EVERY)
    return time.monotonic() - killed


async def _once_it_is_back(bench: Bench, node: Node) -> float:
    """Seconds from its being back to the cancellation of an order, its DELETE repeated until it is taken."""
    [account] = await bench.configured_accounts(1)
    await bench.place_orders([account], 1)
    await asyncio.to_thread(node.kill)
    await asyncio.to_thread(node.restart)
    back = time.monotonic()
    async with asyncio.timeout(_GIVE_UP):
        while not await _taken(bench, account):  # noqa: ASYNC110 -- it is asked again until it can be taken
            await asyncio.sleep(_LOOK_EVERY)
        while await _still_new(bench, account):  # noqa: ASYNC110 -- the database tells nobody
            await asyncio.sleep(_LOOK_EVERY)
    return time.monotonic() - back


async def _taken(bench: Bench, account: UUID) -> bool:
    try:
        answer = await bench.upstream.call("config_service", "DELETE", f"/portfolios/configurations/{account}")
    except (aiohttp.ClientError, TimeoutError):
        return False
    # 404: it was deleted by a request whose answer was lost.
    return answer.status in {204, 404}


async def _still_new(bench: Bench, account: UUID) -> bool:
    try:
        return bool(await bench.new_orders(account))
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
        return True  # the pool's connections of before are gone
