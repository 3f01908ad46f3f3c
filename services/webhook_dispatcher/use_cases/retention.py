"""How long deliveries, attempts and recoveries are kept."""

from datetime import datetime

from services.webhook_dispatcher import storage
from shared.kit.unit_of_work import Database


async def keep_deliveries(database: Database, now: datetime | None = None) -> None:
    """Make room for what will end, drop what ended more than 90 days ago, and attempts after 30."""
    for kept in storage.ALL_KEPT:
        async with database.unit_of_work() as work:
            await storage.keep_partitions(work.connection, kept, now)
    async with database.unit_of_work() as work:
        await storage.forget_recoveries(work.connection)
