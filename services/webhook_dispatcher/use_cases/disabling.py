"""Disabling: a subscription whose endpoint has failed for days is switched off, by any replica."""

from datetime import timedelta
from typing import Final

from services.webhook_dispatcher import storage
from shared.contracts import SubscriptionDisabled, new_id
from shared.kit.cause import Cause
from shared.kit.unit_of_work import Database

#: in one transaction: few, since each leaves an event
_AT_ONCE: Final = 100
_DAY: Final = timedelta(days=1)


async def disable_failing(database: Database, after: timedelta) -> int:
    """Switch off what has failed for `after` without a success, tell ops, and end what waits; answers how many.

    One event for each, in the transaction that switches it off. What waits is ended bit by bit afterwards; it is never
    claimed meanwhile, and a process that dies in the midst of it leaves the rest to the next one.
    """
    off = 0
    while disabled := await _disable_some(database, after):
        off += disabled
    while await _end_some(database):
        pass
    return off


async def _disable_some(database: Database, after: timedelta) -> int:
    reason = f"no attempt has succeeded for {after / _DAY:g} days"
    async with database.unit_of_work() as work:
        disabled = await storage.give_up_failing(work.connection, after.total_seconds(), reason, _AT_ONCE)
        for each in disabled:
            event = SubscriptionDisabled(subscription_id=each.id, reason=reason, disabled_at=each.disabled_at)
            work.publish(event, cause=Cause(each.client_id, correlation_id=str(new_id())))
    return len(disabled)


async def _end_some(database: Database) -> int:
    async with database.unit_of_work() as work:
        return await storage.end_some_given_up(work.connection, storage.ENDED_AT_ONCE)
