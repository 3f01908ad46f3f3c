"""Which relay owns which shard: lease rows on the database's clock.

A row, not a session lock: a session lock would survive a holder that is paused, and would not work behind a pooler.
A lease alone proves nothing to Kafka; the transactional producer that its holder starts does: it fences the one before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil
from uuid import UUID, uuid4

from sqlalchemy import text

from .outbox import SHARDS
from .unit_of_work import Database

#: Tells the others that this relay lives, forgets those that have not told for a lease's length, and renews what is
#: held. A lease that has run out and that nobody has taken is still its holder's: the fence stands.
_ATTEND = text(
    """
    WITH gone AS (DELETE FROM relay_members WHERE seen_at < clock_timestamp() - make_interval(secs => :seconds)),
         me AS (INSERT INTO relay_members (holder, seen_at) VALUES (:holder, clock_timestamp())
                ON CONFLICT (holder) DO UPDATE SET seen_at = excluded.seen_at),
         held AS (UPDATE relay_leases SET expires_at = clock_timestamp() + make_interval(secs => :seconds)
                  WHERE holder = :holder RETURNING shard)
    SELECT (SELECT count(*) FROM relay_members
            WHERE holder <> :holder AND seen_at >= clock_timestamp() - make_interval(secs => :seconds)) AS others,
           ARRAY(SELECT shard FROM held ORDER BY shard) AS held
    """
)

_TAKE = text(
    """
    UPDATE relay_leases SET holder = :holder, expires_at = clock_timestamp() + make_interval(secs => :seconds)
    WHERE shard IN (SELECT shard FROM relay_leases WHERE holder IS NULL OR expires_at < clock_timestamp()
                    ORDER BY shard LIMIT :wanted FOR UPDATE SKIP LOCKED)
    RETURNING shard
    """
)

_RELEASE = text("UPDATE relay_leases SET holder = NULL WHERE holder = :holder AND shard = ANY(CAST(:shards AS int[]))")

_HOLDS = text("SELECT 1 FROM relay_leases WHERE shard = :shard AND holder = :holder AND expires_at > clock_timestamp()")

_LEAVE = text(
    """
    WITH me AS (DELETE FROM relay_members WHERE holder = :holder)
    UPDATE relay_leases SET holder = NULL WHERE holder = :holder
    """
)


@dataclass
class Leases:
    """This relay's leases on shards of the outbox."""

    database: Database
    #: how long a lease lasts without a heartbeat, in seconds
    seconds: float = 6.0
    holder: UUID = field(default_factory=uuid4)
    #: how many others the last heartbeat has met; None before the first
    others: int | None = field(default=None, init=False)

    async def shards(self) -> set[int]:
        """One heartbeat: keep what is ours, give back what is more than our share, take what is free."""
        async with self.database.reading() as connection:
            mine = {"holder": self.holder, "seconds": self.seconds}
            known = (await connection.execute(_ATTEND, mine)).one()
            self.others = known.others
            share, held = ceil(SHARDS / (known.others + 1)), list(known.held)
            if len(held) < share:
                held += (await connection.execute(_TAKE, {**mine, "wanted": share - len(held)})).scalars()
        return set(held[:share])

    async def release(self, shards: Sequence[int]) -> None:
        """Give shards back, once nothing of ours publishes them any more."""
        async with self.database.reading() as connection:
            await connection.execute(_RELEASE, {"holder": self.holder, "shards": list(shards)})

    async def holds(self, shard: int) -> bool:
        """Whether the lease on `shard` is ours at this moment."""
        async with self.database.reading() as connection:
            return (await connection.execute(_HOLDS, {"holder": self.holder, "shard": shard})).first() is not None

    async def leave(self) -> None:
        """Give everything back at once, so that a successor need not wait for the leases to run out."""
        async with self.database.reading() as connection:
            await connection.execute(_LEAVE, {"holder": self.holder})
