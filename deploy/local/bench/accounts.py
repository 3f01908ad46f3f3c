"""Accounts with NEW orders to measure on: made by the APIs, the orders written straight into the database."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg

from deploy.local.demo.telling import must
from deploy.local.demo.upstream import Upstream
from deploy.local.services import RunningSystem

_AT_ONCE = 16
_ITEMS = [{"instrument_id": "US0378331005", "instrument_id_type": "ISIN", "weight": "1"}]

_ORDERS = """
INSERT INTO orders (id, client_id, account_id, user_id, allocation_id, configuration_version, kind, side, cash_amount,
                    currency, status, created_at, updated_at)
SELECT gen_random_uuid(), client_id, account_id, gen_random_uuid(), allocation_id, configuration_version, 'PORTFOLIO',
       'BUY', 100.00, 'EUR', 'NEW', now(), now()
FROM accounts CROSS JOIN generate_series(1, $2) WHERE account_id = ANY($1::uuid[])
"""


@dataclass(frozen=True)
class Bench:
    """What every measurement needs."""

    system: RunningSystem
    upstream: Upstream
    #: connections to order_service's database, of nobody who does the work
    orders: asyncpg.Pool

    async def configured_accounts(self, count: int) -> list[UUID]:
        """`count` new accounts, configured, and known to order_service."""
        body = {"allocation": _ITEMS}
        allocation = (await self._made("/portfolios/allocations", body))["allocation_id"]
        slots = asyncio.Semaphore(_AT_ONCE)

        async def configured() -> UUID:
            async with slots:
                account = (await self._made("/accounts", {"user_id": str(uuid4()), "type": "PORTFOLIO"}))["account_id"]
                await self._made("/portfolios/configurations", {"account_id": account, "allocation_id": allocation})
                return UUID(account)

        accounts = list(await asyncio.gather(*(configured() for _ in range(count))))
        await self._until(accounts, configured=count)
        return accounts

    async def place_orders(self, accounts: Sequence[UUID], each: int) -> None:
        """Give every account `each` NEW orders."""
        await self.orders.execute(_ORDERS, accounts, each)
        # What autovacuum would do in its own time, and in the middle of a measurement.
        await self.orders.execute("VACUUM ANALYZE orders")

    async def new_orders(self, account: UUID) -> int:
        """How many orders of the account another connection sees as NEW."""
        query = "SELECT count(*) FROM orders WHERE account_id = $1 AND status = 'NEW'"
        return int(await self.orders.fetchval(query, account))

    async def _until(self, accounts: Sequence[UUID], *, configured: int) -> None:
        query = "SELECT count(*) FROM accounts WHERE configured AND account_id = ANY($1::uuid[])"
        async with asyncio.timeout(60):
            while await self.orders.fetchval(query, accounts) < configured:  # noqa: ASYNC110 -- the database tells nobody
                await asyncio.sleep(0.05)

    async def _made(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        answer = await self.upstream.call("config_service", "POST", path, body)
        must(f"POST {path} is answered {answer.status}: {answer.body.decode()[:200]}", answer.status == 201)  # noqa: PLR2004
        made: dict[str, Any] = answer.json
        return made
