"""Allowances: how often a client may ask, all replicas of a service together.

Each client has a token bucket, a row of the service's database that fills at a steady rate up to its burst. A replica
does not go there for every request: it leases a few tokens at once, twice as many each time while they are used up,
and what it has not spent within a second goes back with its next lease. Only statements of the database make tokens,
so together the replicas let through at most `burst + rate * t` in any t seconds, plus what each of them holds when the
t seconds begin: a tenth of the burst at most. For the same reason a client may be refused that much too early.

An allowance protects the service and is no bill: without the database everybody is let through.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import structlog

from .faults import INFRASTRUCTURE
from .refusals import TooManyRequests
from .unit_of_work import Database

#: Clients remembered by a process; those asked for least recently are forgotten, with the few tokens held for them.
_REMEMBERED: Final = 10_000
_HELD_SECONDS: Final = 1.0
#: For this long an empty bucket is not looked at again: a flood of refused requests costs twenty statements a second.
_EMPTY_SECONDS: Final = 0.05
_FIRST_LEASE: Final = 5
#: The largest lease is this part of the burst, and of what comes in a second.
_LARGEST_LEASE: Final = 10
_STATEMENT_SECONDS: Final = 1.0
_DATABASE_AWAY_SECONDS: Final = 1.0

#: One clock reading for all, taken before the row's lock may have been waited for and never turned back by that. The
#: tokens handed back were taken out before, so that none is made here but by the passing of time.
_LEASE: Final = """
INSERT INTO allowances AS a (subject, tokens, granted, refilled_at)
VALUES ($1, $2::float8 - least($4::float8, $2::float8), least($4::float8, $2::float8), statement_timestamp())
ON CONFLICT (subject) DO UPDATE SET (tokens, granted, refilled_at) = (
    SELECT there - least($4::float8, floor(there)), least($4::float8, floor(there)), moment
    FROM (SELECT least($2::float8, a.tokens + $5::float8 + $3::float8 * extract(epoch FROM moment - a.refilled_at))
                 AS there, moment
          FROM (SELECT greatest(a.refilled_at, statement_timestamp()) AS moment) AS clock) AS bucket)
RETURNING tokens, granted
"""

_FORGET: Final = "DELETE FROM allowances WHERE refilled_at < now() - interval '1 hour'"

_log = structlog.get_logger("allowances")


@dataclass(frozen=True)
class Limit:
    """How often somebody may ask."""

    #: requests a second, in the long run; 0 for as often as they like
    per_second: float
    #: requests at once, after a rest
    burst: int

    @property
    def window(self) -> int:
        """Seconds in which an empty bucket fills."""
        return max(1, round(self.burst / self.per_second))


@dataclass(frozen=True, slots=True)
class Allowed:
    """A request that may go on."""

    limit: Limit
    #: about how many more may follow at once
    remaining: int

    def as_headers(self) -> list[tuple[bytes, bytes]]:
        """RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10)."""
        limit = self.limit
        missing = max(0, limit.burst - self.remaining)
        told = {
            b"ratelimit-policy": f'"client";q={limit.burst};w={limit.window}',
            b"ratelimit": f'"client";r={self.remaining};t={round(missing / limit.per_second)}',
        }
        return [(name, value.encode()) for name, value in told.items()]


class AllowanceUsedUp(TooManyRequests):
    """The client asks more often than it may; try again later."""

    def __init__(self, limit: Limit, retry_after: float) -> None:
        """Tell when a request will be let through again, in seconds."""
        super().__init__(retry_after=retry_after)
        self.standing = Allowed(limit, 0)


@dataclass(slots=True)
class _Lease:
    """What this process holds for one subject."""

    left: int = 0
    #: how many are asked for at once
    size: int = _FIRST_LEASE
    until: float = 0.0
    #: how many the bucket held after the last statement
    behind: int = 0
    empty_until: float = 0.0
    asking: asyncio.Lock = field(default_factory=asyncio.Lock)


class Allowances:
    """The buckets of one kind of subject, as one process sees them."""

    def __init__(
        self, database: Database, kind: str, limit: Limit, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Keep the buckets in `database` under `kind`, each with the same limit."""
        self._database = database
        self._kind = kind
        self._limit = limit
        self._clock = clock
        self._leases: OrderedDict[str, _Lease] = OrderedDict()
        self._away_until = 0.0
        self._largest = max(1, int(min(limit.burst, limit.per_second) / _LARGEST_LEASE))

    async def take(self, subject: str) -> Allowed | None:
        """Let one request of `subject` through; None where there is no limit. Raises AllowanceUsedUp."""
        if not self._limit.per_second:
            return None
        lease = self._lease_of(subject)
        if not self._holds(lease):
            async with lease.asking:
                # Whoever waited here may find what another has brought.
                if not self._holds(lease) and self._clock() >= max(lease.empty_until, self._away_until):
                    await self._renew(subject, lease)
        if self._holds(lease):
            lease.left -= 1
        elif self._clock() < lease.empty_until:
            raise AllowanceUsedUp(self._limit, lease.empty_until - self._clock())
        return Allowed(self._limit, lease.left + lease.behind)

    def give_back(self, subject: str) -> None:
        """Undo one `take` that has turned out not to count."""
        if self._limit.per_second:
            self._lease_of(subject).left += 1

    def _holds(self, lease: _Lease) -> bool:
        return lease.left > 0 and self._clock() < lease.until

    def _lease_of(self, subject: str) -> _Lease:
        lease = self._leases.get(subject)
        if lease is None:
            lease = self._leases[subject] = _Lease()
            if len(self._leases) > _REMEMBERED:
                self._leases.popitem(last=False)
        else:
            self._leases.move_to_end(subject)
        return lease

    async def _renew(self, subject: str, lease: _Lease) -> None:
        now = self._clock()
        lease.size = min(self._largest, 2 * lease.size if now < lease.until else _FIRST_LEASE)
        try:
            tokens, granted = await self._leased(subject, lease.size, max(0, lease.left))
        except INFRASTRUCTURE as fault:
            _log.warning("allowances are not kept while the database is away", fault=repr(fault))
            self._away_until = now + _DATABASE_AWAY_SECONDS
            return
        lease.left, lease.behind, lease.until = granted, int(tokens), now + _HELD_SECONDS
        if not granted:
            lease.empty_until = now + max(_EMPTY_SECONDS, (1 - tokens) / self._limit.per_second)

    async def _leased(self, subject: str, wanted: int, unused: int) -> tuple[float, int]:
        limit = self._limit
        arguments = (f"{self._kind}/{subject}", limit.burst, limit.per_second, wanted, unused)
        async with asyncio.timeout(_STATEMENT_SECONDS), self._database.driver_connection() as connection:
            row = await connection.fetchrow(_LEASE, *arguments)
        return row["tokens"], row["granted"]


async def forget_full(database: Database) -> None:
    """Drop the rows of buckets that have long been full again: without one, a bucket counts as full."""
    async with database.driver_connection() as connection:
        await connection.execute(_FORGET)
