"""How far a group has come: the applied position of each partition, stored with what was applied.

The position is the consumer's own and not the last offset seen: compaction and transaction markers leave gaps. It only
grows, so that a replica that has lost a partition cannot turn it back. Only the database itself can be set back, to a
backup or by a failover that loses the last commits; what it has forgotten has to be taken again then, whatever Kafka
keeps of how far the group had come.
"""

from collections.abc import Mapping

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

#: (topic, partition) -> the offset of the next record, of everything before which the effect is committed
Positions = Mapping[tuple[str, int], int]

#: Stores what is reached, and answers what of `known` is not there any more: its snapshot is from before.
_ADVANCE = text(
    """
    WITH stored AS (
        INSERT INTO applied_positions AS stored (consumer, topic, partition, position)
        SELECT :consumer, topic, partition, position
        FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:positions AS bigint[]))
             AS reached(topic, partition, position)
        ORDER BY topic, partition
        ON CONFLICT (consumer, topic, partition) DO UPDATE SET position = excluded.position
        WHERE stored.position < excluded.position)
    SELECT known.topic, known.partition, known.position, coalesce(applied.position, 0) AS applied
    FROM unnest(CAST(:known_topics AS text[]), CAST(:known_partitions AS int[]), CAST(:known_positions AS bigint[]))
         AS known(topic, partition, position)
    LEFT JOIN applied_positions AS applied
           ON applied.consumer = :consumer AND applied.topic = known.topic AND applied.partition = known.partition
    WHERE coalesce(applied.position, 0) < known.position
    ORDER BY known.topic, known.partition
    LIMIT 1
    """
)

_APPLIED = text("SELECT topic, partition, position FROM applied_positions WHERE consumer = :consumer")


class SetBackError(Exception):
    """The database has less applied than it had told this process: nothing may be applied on top of that."""


async def advance(connection: AsyncConnection, consumer: str, positions: Positions, known: Positions) -> None:
    """Store that everything before `positions` is applied, in the transaction that applies it.

    Raises SetBackError where less is stored than `known`, what this process has seen stored before.
    """
    if not positions and not known:
        return
    answer = await connection.execute(_ADVANCE, {"consumer": consumer} | _arrays(positions) | _arrays(known, "known_"))
    if forgotten := answer.first():
        msg = f"{forgotten.topic}/{forgotten.partition} was applied up to {forgotten.position}, now {forgotten.applied}"
        raise SetBackError(msg)


def _arrays(positions: Positions, prefix: str = "") -> dict[str, list[str] | list[int]]:
    return {
        f"{prefix}topics": [topic for topic, _ in positions],
        f"{prefix}partitions": [partition for _, partition in positions],
        f"{prefix}positions": list(positions.values()),
    }


async def applied(connection: AsyncConnection, consumer: str) -> dict[tuple[str, int], int]:
    """The positions that are stored."""
    rows = await connection.execute(_APPLIED, {"consumer": consumer})
    return {(row.topic, row.partition): row.position for row in rows}
