"""How far a keeper of copies has come: the applied position of each partition, stored with what was applied.

The position is the consumer's own and not the last offset seen: compaction and transaction markers leave gaps. It only
grows, so that a replica that has lost a partition cannot turn it back.
"""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

#: (topic, partition) -> the offset of the next record, of everything before which the effect is committed
Positions = Mapping[tuple[str, int], int]

_ADVANCE = text(
    """
    INSERT INTO applied_positions AS known (consumer, topic, partition, position)
    SELECT :consumer, topic, partition, position
    FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:positions AS bigint[]))
         AS reached(topic, partition, position)
    ORDER BY topic, partition
    ON CONFLICT (consumer, topic, partition) DO UPDATE SET position = excluded.position
    WHERE known.position < excluded.position
    """
)

_APPLIED = text("SELECT topic, partition, position FROM applied_positions WHERE consumer = :consumer")


async def advance(connection: AsyncConnection, consumer: str, positions: Positions) -> None:
    """Store that everything before `positions` is applied, in the transaction that applies it."""
    if not positions:
        return
    await connection.execute(
        _ADVANCE,
        {
            "consumer": consumer,
            "topics": [topic for topic, _ in positions],
            "partitions": [partition for _, partition in positions],
            "positions": list(positions.values()),
        },
    )


async def applied(connection: AsyncConnection, consumer: str) -> dict[tuple[str, int], int]:
    """The positions that are stored."""
    rows = await connection.execute(_APPLIED, {"consumer": consumer})
    return {(row.topic, row.partition): row.position for row in rows}
