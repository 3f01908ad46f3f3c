"""The inbox: one effect however often a message comes (P3).

Its row is written in the effect's transaction. The table is partitioned by the event's own time, which every copy
carries, so that a partition can be dropped once no topic and no parked message can bring a copy back.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from .received import Received
from .unit_of_work import Database

#: longer than any topic (7 days) and the parked messages (30 days) can bring a copy back
REACH = timedelta(days=35)
#: how far an event's time may lie ahead of our clock
CLOCK_SKEW = timedelta(minutes=5)
#: the housekeeping may be away for weeks before an event finds no partition
_WEEKS_AHEAD = 6

#: Answers the identities that were not there before; concurrent transactions wait for each other on the key.
_FIRST_TIME = text(
    """
    INSERT INTO inbox (consumer, client_id, source, id, time)
    SELECT :consumer, client_id, source, id, time
    FROM unnest(CAST(:clients AS uuid[]), CAST(:sources AS text[]), CAST(:ids AS text[]), CAST(:times AS timestamptz[]))
         AS incoming(client_id, source, id, time)
    ORDER BY client_id, source, id, time
    ON CONFLICT DO NOTHING
    RETURNING client_id, source, id, time
    """
)

_FORGET = text(
    """
    DELETE FROM inbox
    USING unnest(CAST(:clients AS uuid[]), CAST(:sources AS text[]), CAST(:ids AS text[]),
                 CAST(:times AS timestamptz[])) AS refused(client_id, source, id, time)
    WHERE inbox.consumer = :consumer AND inbox.client_id = refused.client_id AND inbox.source = refused.source
      AND inbox.id = refused.id AND inbox.time = refused.time
    """
)

_PARTITIONS = text("SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'inbox'::regclass")


async def first_time(
    connection: AsyncConnection, consumer: str, received: Sequence[Received[Any]]
) -> list[Received[Any]]:
    """Those of `received` that this consumer has not taken before, each once, in their order."""
    if not received:
        return []
    found = (await connection.execute(_FIRST_TIME, _identities(consumer, received))).all()
    if len(found) == len(received):
        return list(received)
    new = {tuple(row) for row in found}
    fresh = []
    for each in received:
        identity = (each.envelope.client_id, each.envelope.source, each.envelope.id, each.envelope.time)
        if identity in new:
            new.remove(identity)
            fresh.append(each)
    return fresh


async def forget(connection: AsyncConnection, consumer: str, received: Sequence[Received[Any]]) -> None:
    """Have it that these were not taken: one that comes again, from where it was parked for example, is new."""
    await connection.execute(_FORGET, _identities(consumer, received))


def _identities(consumer: str, received: Sequence[Received[Any]]) -> dict[str, Any]:
    envelopes = [each.envelope for each in received]
    return {
        "consumer": consumer,
        "clients": [envelope.client_id for envelope in envelopes],
        "sources": [envelope.source for envelope in envelopes],
        "ids": [envelope.id for envelope in envelopes],
        "times": [envelope.time for envelope in envelopes],
    }


def too_old(time: datetime, now: datetime) -> bool:
    """Whether a copy of an event of `time` could come after its inbox row is gone."""
    return time < now - REACH


def from_the_future(time: datetime, now: datetime) -> bool:
    """Whether `time` lies ahead by more than clocks may differ: its inbox partition might not exist."""
    return time > now + CLOCK_SKEW


async def keep_partitions(database: Database, now: datetime | None = None) -> None:
    """Make the weekly partitions that are needed soon and drop those out of reach; any replica may, at any time."""
    today = now or datetime.now(UTC)
    async with database.unit_of_work() as work:
        await work.connection.execute(text("SELECT pg_advisory_xact_lock(hashtext('inbox partitions'))"))
        names = set((await work.connection.execute(_PARTITIONS)).scalars())
        wanted = {_name(monday): monday for monday in _mondays(today)}
        for name in sorted(wanted.keys() - names):
            first = wanted[name]
            bounds = f"FROM ('{first:%Y-%m-%d}T00:00:00Z') TO ('{first + timedelta(days=7):%Y-%m-%d}T00:00:00Z')"
            await work.connection.execute(text(f"CREATE TABLE {name} PARTITION OF inbox FOR VALUES {bounds}"))
        for name in sorted(name for name in names - wanted.keys() if name < min(wanted)):
            await work.connection.execute(text(f"DROP TABLE {name}"))


def _mondays(today: datetime) -> Iterable[datetime]:
    first = today - REACH - timedelta(days=7)
    monday = (first - timedelta(days=first.weekday())).replace(hour=0, minute=0, second=0, microsecond=0)
    while monday < today + timedelta(weeks=_WEEKS_AHEAD):
        yield monday
        monday += timedelta(days=7)


def _name(monday: datetime) -> str:
    return f"inbox_{monday:%Y%m%d}"
