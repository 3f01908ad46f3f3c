"""Time partitions: made ahead, and dropped by age, which costs nothing however much they hold."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

#: the job may be away for weeks before anything finds no partition
_WEEKS_AHEAD = 6
_WEEK = timedelta(days=7)

_NOW = text("SELECT clock_timestamp()")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('partitions of deliveries'))")
_PARTITIONS = text(
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(CAST(:parent AS text) AS regclass)"
)


@dataclass(frozen=True)
class Kept:
    """A table in weekly partitions, and how long its rows are kept."""

    table: str
    time: timedelta


#: By the time of their end.
DELIVERIES = Kept("deliveries_ended", timedelta(days=90))
ATTEMPTS = Kept("attempts", timedelta(days=30))


async def keep_partitions(connection: AsyncConnection, now: datetime | None = None) -> None:
    """Make the partitions that are needed soon and drop those out of reach; any replica may, at any time.

    `now` is the database's clock unless a test says otherwise: rows are sorted in by that.
    """
    await connection.execute(_LOCK)
    today = now or (await connection.execute(_NOW)).scalar_one()
    for kept in (DELIVERIES, ATTEMPTS):
        await _keep(connection, kept, today)


async def _keep(connection: AsyncConnection, kept: Kept, today: datetime) -> None:
    names = set((await connection.execute(_PARTITIONS, {"parent": kept.table})).scalars())
    wanted = {f"{kept.table}_{monday:%Y%m%d}": monday for monday in _mondays(today)}
    for name in sorted(wanted.keys() - names):
        first = wanted[name]
        bounds = f"FROM ('{first:%Y-%m-%d}T00:00:00Z') TO ('{first + _WEEK:%Y-%m-%d}T00:00:00Z')"
        await connection.execute(text(f"CREATE TABLE {name} PARTITION OF {kept.table} FOR VALUES {bounds}"))
    oldest = f"{kept.table}_{_monday_of(today - kept.time):%Y%m%d}"
    for name in sorted(name for name in names if name < oldest):
        await connection.execute(text(f"DROP TABLE {name}"))


def _mondays(today: datetime) -> Iterator[datetime]:
    monday = _monday_of(today)
    for _ in range(_WEEKS_AHEAD + 1):
        yield monday
        monday += _WEEK


def _monday_of(moment: datetime) -> datetime:
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())
