"""How long the accounts of a replica wait when it is killed: from SIGKILL to the last of them that is served again."""

import asyncio
import time
from uuid import UUID

from deploy.local.bench.accounts import Bench
from deploy.local.bench.figures import Figure
from deploy.local.demo.telling import must
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
    return [
        Figure("SIGKILL of one of two replicas → effects on all accounts", "s", seconds, limit=12, limit_is="promised")
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
