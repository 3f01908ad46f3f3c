"""How far topics can be read is asked over connections that answer."""

import asyncio
from collections.abc import Collection

import pytest
from aiokafka import TopicPartition

from shared.kit import stable_offsets
from shared.kit.kafka import Kafka
from shared.kit.stable_offsets import NotReadableError, StableOffsets

HERE = TopicPartition("orders.events.v1", 3)


class _Client:
    """What stands for a connection to Kafka: one that is half open cannot be had on loopback."""

    def __init__(self, *answers: int) -> None:
        self._answers = list(answers)
        self.stopped = False
        self._client = self

    async def set_topics(self, topics: set[str]) -> None:
        assert topics == {HERE.topic}

    async def end_offsets(self, partitions: Collection[TopicPartition]) -> dict[TopicPartition, int]:
        if not self._answers:
            await asyncio.Event().wait()
        return dict.fromkeys(partitions, self._answers.pop(0))

    async def stop(self) -> None:
        self.stopped = True


def _asking_over(monkeypatch: pytest.MonkeyPatch, *clients: _Client) -> StableOffsets:
    made = iter(clients)

    async def connect(_: StableOffsets) -> _Client:
        return next(made)

    monkeypatch.setattr(StableOffsets, "_connect", connect)
    monkeypatch.setattr(stable_offsets, "_ANSWER_SECONDS", 0.05)
    return StableOffsets(Kafka("127.0.0.1:1"))


async def test_a_connection_that_does_not_answer_is_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    silent, answering = _Client(), _Client(7, 8)
    stable = _asking_over(monkeypatch, silent, answering)
    with pytest.raises(TimeoutError):
        await stable.of([HERE])
    assert silent.stopped
    assert await stable.of([HERE]) == {HERE: 7}
    assert await stable.of([HERE]) == {HERE: 8}


async def test_it_is_waited_until_all_of_it_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    stable = _asking_over(monkeypatch, _Client(7, 8, 9))
    await stable.reach({HERE: 9}, seconds=5)


async def test_what_stays_hidden_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    stable = _asking_over(monkeypatch, _Client(*[8] * 100))
    with pytest.raises(NotReadableError, match=r"orders\.events\.v1-3 before 9"):
        await stable.reach({HERE: 9}, seconds=0.2)


async def test_nothing_is_asked_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    await _asking_over(monkeypatch).reach({}, seconds=0.1)
