"""How the deliveries stand as a whole: how many are open, how long overdue, and what holds them up."""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

#: deliveries that are counted one by one, and subscriptions that are looked at
_COUNTED: Final = 10_000

#: Beyond what is counted it is PostgreSQL's own estimate. The first that is due of each subscription is found by the
#: index that serves the claim, however much waits behind it.
_STANDING = text(
    """
    SELECT (SELECT CASE WHEN count(*) > :counted
                        THEN greatest(count(*), pg_stat_get_live_tuples('deliveries_open'::regclass)) ELSE count(*) END
            FROM (SELECT FROM deliveries_open LIMIT :counted + 1) AS first) AS open,
           coalesce(extract(epoch FROM clock_timestamp() - min(next.due_at)), 0) AS overdue,
           count(*) FILTER (WHERE watched.open_until > now()) AS circuits_open,
           count(*) FILTER (WHERE watched.open_until <= now()) AS circuits_half_open
    FROM (SELECT s.id, e.open_until FROM subscriptions AS s JOIN endpoints AS e ON e.subscription_id = s.id
          WHERE s.enabled AND s.deleted_at IS NULL AND s.paused_at IS NULL LIMIT :counted) AS watched
    LEFT JOIN LATERAL (
        SELECT due_at FROM deliveries_open AS d
        WHERE d.subscription_id = watched.id AND d.state = 'WAITING' AND d.due_at <= now()
        ORDER BY d.due_at LIMIT 1) AS next ON true
    """
)


@dataclass(frozen=True)
class Standing:
    """All deliveries at one moment."""

    #: that wait or are under way
    open: int
    #: for how long the most overdue one has been due
    overdue_seconds: float
    circuits_open: int
    circuits_half_open: int


async def standing(connection: AsyncConnection) -> Standing:
    """How the deliveries stand; of very many subscriptions only the first ten thousand are looked at."""
    row = (await connection.execute(_STANDING, {"counted": _COUNTED})).one()
    return Standing(int(row.open), max(0.0, float(row.overdue)), row.circuits_open, row.circuits_half_open)
