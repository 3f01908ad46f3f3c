"""Time partitions: made ahead, and dropped by age, which costs nothing however much they hold.

Whatever finds no partition of its own, since the job that makes them was away for weeks, is kept in the default one and
moved when the job comes.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

#: the job may be away for weeks before anything lands in the default partition
_WEEKS_AHEAD = 6
_WEEK = timedelta(days=7)

_NOW = text("SELECT clock_timestamp()")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtext('partitions of deliveries'))")
#: Whoever waits for a table holds up everybody who comes after: better to come again later.
_BE_BRIEF = text("SET LOCAL lock_timeout = '2s'")
_PARTITIONS = text(
    "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = CAST(CAST(:parent AS text) AS regclass)"
)


@dataclass(frozen=True)
class Kept:
    """A table in weekly partitions by one of its columns, and how long its rows are kept."""

    table: str
    column: str
    time: timedelta

    @property
    def default(self) -> str:
        """The partition of whatever has no other."""
        return f"{self.table}_default"

    def name_of(self, monday: datetime) -> str:
        """The partition of the week that begins then."""
        return f"{self.table}_{monday:%Y%m%d}"


#: By the time of their end.
DELIVERIES = Kept("deliveries_ended", "updated_at", timedelta(days=90))
ATTEMPTS = Kept("attempts", "recorded_at", timedelta(days=30))
ALL_KEPT = (DELIVERIES, ATTEMPTS)


async def keep_partitions(connection: AsyncConnection, kept: Kept, now: datetime | None = None) -> None:
    """Make the partitions that are needed soon and drop those out of reach; any replica may, at any time.

    `now` is the database's clock unless a test says otherwise: rows are sorted in by that.
    """
    await connection.execute(_LOCK)
    await connection.execute(_BE_BRIEF)
    today = now or (await connection.execute(_NOW)).scalar_one()
    names = set((await connection.execute(_PARTITIONS, {"parent": kept.table})).scalars())
    for monday in _mondays(today):
        if kept.name_of(monday) not in names:
            await _make(connection, kept, monday)
    oldest = _monday_of(today - kept.time)
    for name in sorted(name for name in names - {kept.default} if name < kept.name_of(oldest)):
        await connection.execute(text(f"DROP TABLE {name}"))
    await _empty_default(connection, kept, oldest, today)


async def _make(connection: AsyncConnection, kept: Kept, monday: datetime) -> None:
    """Make a partition with what stands in the default one for it; nobody who reads or writes the others waits."""
    name, within = kept.name_of(monday), _within(kept, monday)
    await connection.execute(
        text(f"CREATE TABLE {name} (LIKE {kept.table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)")
    )
    await _move(connection, kept, within, name)
    await connection.execute(text(f"ALTER TABLE {kept.table} ATTACH PARTITION {name} FOR VALUES {_bounds(monday)}"))


async def _move(connection: AsyncConnection, kept: Kept, within: str, to: str) -> None:
    moved = f"DELETE FROM {kept.default} WHERE {within} RETURNING *"  # noqa: S608 -- our names
    await connection.execute(text(f"WITH moved AS ({moved}) INSERT INTO {to} SELECT * FROM moved"))  # noqa: S608 -- ours


async def _empty_default(connection: AsyncConnection, kept: Kept, oldest: datetime, today: datetime) -> None:
    """What came late for weeks that are past gets their partitions, and what is older than it is kept goes."""
    gone = f"DELETE FROM {kept.default} WHERE {kept.column} < '{oldest:%Y-%m-%d}T00:00:00Z'"  # noqa: S608 -- ours
    await connection.execute(text(gone))
    week_of = f"date_trunc('week', {kept.column} AT TIME ZONE 'UTC')"
    weeks = text(f"SELECT DISTINCT {week_of} FROM {kept.default}")  # noqa: S608 -- our names
    for week in (await connection.execute(weeks)).scalars().all():
        if week.replace(tzinfo=UTC) < today:
            await _make(connection, kept, week.replace(tzinfo=UTC))


def _within(kept: Kept, monday: datetime) -> str:
    first, last = monday, monday + _WEEK
    return f"{kept.column} >= '{first:%Y-%m-%d}T00:00:00Z' AND {kept.column} < '{last:%Y-%m-%d}T00:00:00Z'"


def _bounds(monday: datetime) -> str:
    return f"FROM ('{monday:%Y-%m-%d}T00:00:00Z') TO ('{monday + _WEEK:%Y-%m-%d}T00:00:00Z')"


def _mondays(today: datetime) -> Iterator[datetime]:
    monday = _monday_of(today)
    for _ in range(_WEEKS_AHEAD + 1):
        yield monday
        monday += _WEEK


def _monday_of(moment: datetime) -> datetime:
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())
