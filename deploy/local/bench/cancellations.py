"""Deletions in bulk: a hundred thousand orders of one account, and ten thousand accounts of one allocation."""

import asyncio
import time
from collections.abc import Sequence
from statistics import median
from uuid import UUID

from deploy.local.bench.accounts import Bench
from deploy.local.bench.deletions import deleted, large_deletion
from deploy.local.bench.figures import Figure
from deploy.local.bench.watching import watching
from deploy.local.demo.upstream import SOURCE
from shared.contracts import DeleteConfiguration, new_envelope, to_record
from shared.kit.kafka import Kafka

ORDERS = 100_000
ACCOUNTS = 10_000
_GIVE_UP = 600.0


async def cancellations(bench: Bench, kafka: Kafka, runs: int, orders: int, accounts: int) -> list[Figure]:
    """One account with `orders` NEW orders; and `accounts` of one allocation, an order each, deleted by commands."""
    large = await large_deletion(bench, kafka, runs, orders)
    by_commands, from_one = [], []
    for _ in range(runs):
        many = await bench.configured_accounts(accounts)
        await bench.place_orders(many, 1)
        by_commands.append(await _deleted_by_commands(bench, kafka, many))
        [one] = await bench.configured_accounts(1)
        await bench.place_orders([one], accounts)
        from_one.append(await deleted(bench, one, accounts))
    return [
        *large,
        Figure(
            f"{accounts:,} deletions by command → the order of each cancelled",
            "s",
            by_commands,
            limit=median(from_one),
            limit_is="as many orders of one account, same run",
        ),
    ]


async def _deleted_by_commands(bench: Bench, kafka: Kafka, accounts: Sequence[UUID]) -> float:
    """Seconds from the first command to the last cancellation."""
    producer = kafka.producer()
    await producer.start()
    try:
        sent = time.monotonic()
        for account in accounts:
            command = DeleteConfiguration(account_id=account)
            record = to_record(command, new_envelope(command, source=SOURCE, client_id=bench.upstream.client_id))
            topic = kafka.physical(record.topic)
            await producer.send(topic, record.value, key=record.key, headers=record.headers)
        await producer.flush()
        async with asyncio.timeout(_GIVE_UP), watching(bench.orders) as watch:
            return max(await asyncio.gather(*map(watch.cancelled, accounts))) - sent
    finally:
        await producer.stop()
