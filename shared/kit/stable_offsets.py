"""How far topics can be read: their last stable offsets, before which no transaction of Kafka's is open."""

import asyncio
from collections.abc import Collection, Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError

from .kafka import Kafka
from .reading import know_leaders

_FIRST_PAUSE = 0.001
_LONGEST_PAUSE = 0.05
_ANSWER_SECONDS = 3.0


class NotReadableError(TimeoutError):
    """What was committed cannot be read in time."""


class StableOffsets:
    """Asks the brokers, over connections that last."""

    def __init__(self, kafka: Kafka) -> None:
        self._kafka = kafka
        self._client: AIOKafkaConsumer | None = None
        self._connecting = asyncio.Lock()
        self._known = set[TopicPartition]()

    async def of(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        """The last stable offset of each; raises KafkaError or TimeoutError where the brokers do not answer."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                client = await self._connected(partitions)
                ends: dict[TopicPartition, int] = await client.end_offsets(partitions)
        except (TimeoutError, KafkaTimeoutError):
            # Its connection may be half open: it would ask over that one again.
            await self.close()
            raise
        return ends

    async def reach(self, ends: Mapping[TopicPartition, int], *, seconds: float) -> None:
        """Return once everything before `ends` can be read.

        Raises NotReadableError after `seconds`, or sooner where the brokers do not answer, and KafkaError.
        """
        waiting, pause = dict(ends), _FIRST_PAUSE
        try:
            async with asyncio.timeout(seconds):
                while waiting:
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                    stable = await self.of(waiting)
                    waiting = {tp: end for tp, end in waiting.items() if stable[tp] < end}
        except TimeoutError as late:
            hidden = ", ".join(f"{topic}-{partition} before {end}" for (topic, partition), end in waiting.items())
            raise NotReadableError(f"committed and not readable: {hidden}") from late

    async def close(self) -> None:
        """Give the connections back; whoever asks afterwards makes new ones."""
        client, self._client = self._client, None
        if client is not None:
            await client.stop()

    async def _connected(self, partitions: Collection[TopicPartition]) -> AIOKafkaConsumer:
        async with self._connecting:
            if self._client is None:
                self._client = await self._connect()
                self._known = set()
            if not self._known.issuperset(partitions):
                self._known.update(partitions)
                await know_leaders(self._client, self._known)
            return self._client

    async def _connect(self) -> AIOKafkaConsumer:
        # The end that a read-committed consumer is told is the last stable offset.
        client = AIOKafkaConsumer(
            **self._kafka.for_aiokafka,
            isolation_level="read_committed",
            request_timeout_ms=int(_ANSWER_SECONDS * 1000),
            enable_auto_commit=False,
        )
        try:
            await client.start()
        except BaseException:
            await client.stop()
            raise
        return client
