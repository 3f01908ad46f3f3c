"""The outbox: events written in the transaction of the change that they announce.

A row's shard is its key's Kafka partition modulo the number of shards, fixed in the schema. One shard belongs to one
relay at a time, so one account's events have one publisher (P2).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import orjson
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.contracts import Envelope, Message, new_envelope, partition_of, to_record

from .cause import Cause
from .timed_event import TimedEvent

#: fixed with the schema: rows that wait were given their shard with this number
SHARDS = 4

#: One statement for any number of rows: identity values are drawn in the order of the arrays.
_INSERT = """
    INSERT INTO outbox (topic, key, shard, headers, payload)
    SELECT topic, key, shard, headers::jsonb, payload
    FROM unnest(CAST(:topics AS text[]), CAST(:keys AS text[]), CAST(:shards AS smallint[]),
                CAST(:headers AS text[]), CAST(:payloads AS bytea[]))
         WITH ORDINALITY AS row(topic, key, shard, headers, payload, position)
    ORDER BY position
"""
_WRITE = text(_INSERT)

#: the hash is plain Python, and messages come in runs of one key
_partition_of = lru_cache(maxsize=65_536)(partition_of)


@dataclass(frozen=True)
class Pending:
    """A message that waits for its transaction's commit, and what caused it."""

    message: Message
    cause: Cause
    #: the CloudEvents id, where a repetition must carry the same
    message_id: str | None = None


@dataclass(frozen=True)
class Companion:
    """A row that is written in the same statement as the events of its transaction: one round trip less."""

    #: an INSERT of at most one row, without RETURNING
    insert: str
    values: Mapping[str, object] = field(repr=False)
    #: raised, and the transaction undone by it, where no row was written
    missing: type[Exception]


@lru_cache
def _write_with(insert: str) -> TextClause:
    companion = f"WITH companion AS ({insert} RETURNING 1)"
    return text(f"{companion}, told AS ({_INSERT}) SELECT count(*) FROM companion")  # noqa: S608 -- all of it is ours


@dataclass(frozen=True)
class Outbox:
    """Writes messages for the relay; knows how this service names itself on the bus."""

    #: the CloudEvents source of everything this service says, e.g. `/order_service`
    source: str
    #: how many partitions every keyed topic has; kept for life
    partitions: int

    def partition_of(self, key: str) -> int:
        """The partition of this key, the same on every keyed topic."""
        return _partition_of(key, self.partitions)

    def shard_of(self, key: str) -> int:
        """The shard whose relay publishes what has this key."""
        return self.partition_of(key) % SHARDS

    def envelope_of(self, message: Message, cause: Cause, *, message_id: str | None = None) -> Envelope:
        """A new envelope that tells who caused `message`; `message_id` where it must be the same each time."""
        return new_envelope(
            message,
            source=self.source,
            client_id=cause.client_id,
            id=message_id,
            correlation_id=cause.correlation_id,
            causation_id=cause.causation_id,
            traceparent=cause.traceparent,
        )

    async def write(
        self, connection: AsyncConnection, pending: Sequence[Pending], companion: Companion | None = None
    ) -> set[int]:
        """Insert `pending` in its order, and `companion` with it; answers the shards that were written to."""
        records = [
            to_record(each.message, self.envelope_of(each.message, each.cause, message_id=each.message_id))
            for each in pending
        ]
        shards = [self.shard_of(each.message.key) for each in pending]
        rows: dict[str, object] = {
            "topics": [record.topic for record in records],
            "keys": [each.message.key for each in pending],
            "shards": shards,
            "headers": [headers_as_json(record.headers) for record in records],
            "payloads": [record.value for record in records],
        }
        if companion is None:
            await connection.execute(_WRITE, rows)
        elif not (await connection.execute(_write_with(companion.insert), {**rows, **companion.values})).scalar_one():
            raise companion.missing
        return set(shards)


def headers_as_json(headers: Iterable[tuple[str, bytes]]) -> str:
    """Headers as the outbox keeps them: one JSON object, since ours are never doubled."""
    return orjson.dumps({name: value.decode() for name, value in headers}).decode()


class OutboxSignal:
    """Tells the relay of the same process at once what a commit has left for it."""

    def __init__(self) -> None:
        self._news: set[int] = set()
        self._event = TimedEvent()

    def wake(self, shards: Iterable[int]) -> None:
        """Note news for `shards`; without any it does nothing."""
        self._news.update(shards)
        if self._news:
            self._event.set()

    async def wait(self, timeout: float) -> set[int]:  # noqa: ASYNC109 -- an answer, not an error, when it runs out
        """The shards with news; empty when none came within `timeout` seconds."""
        await self._event.wait(timeout)
        self._event.clear()
        news, self._news = self._news, set()
        return news
