"""How far a consumer is behind, from what it knows already: no request, and no work for a partition per record.

Behind means not done: a batch counts until it is done, also while it waits for the database and is taken again.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

Fetched = Mapping[TopicPartition, Sequence["ConsumerRecord[bytes, bytes]"]]


@dataclass(frozen=True, slots=True)
class Lag:
    """What one group has not done of one partition."""

    partition: TopicPartition
    records: int
    #: age of the first of these records
    seconds: float


@dataclass(slots=True)
class _Taken:
    """What was handed out of a partition and is not known to be done."""

    offset: int
    oldest: float
    newest: float


class Progress:
    """What one consumer has in hand; it is told by its client, between whose calls a batch is done or taken back."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """Measure age with `clock`, in seconds since 1970, as the records are stamped."""
        self._clock = clock
        self._in_hand: dict[TopicPartition, _Taken] = {}
        #: since when there are records that were not handed out; as old as the last one done, if they came with it
        self._behind_since: dict[TopicPartition, float] = {}

    def took(self, client: AIOKafkaConsumer, fetched: Fetched) -> None:
        """These are handed out; what was handed out before, and taken back, stays the first that is not done."""
        for tp in fetched.keys() & client.assignment():
            records = fetched[tp]
            taken = self._in_hand.setdefault(tp, _Taken(records[0].offset, self._time_of(records[0]), 0.0))
            taken.newest = self._time_of(records[-1])

    def settle(self, client: AIOKafkaConsumer, handed_out: Mapping[TopicPartition, int]) -> None:
        """The batch in hand has ended: done where `handed_out` is beyond it, else to be taken again."""
        for tp, taken in list(self._in_hand.items()):
            if handed_out.get(tp, taken.offset) > taken.offset:
                del self._in_hand[tp]
                self._note_rest(client, tp, taken.newest)

    def _note_rest(self, client: AIOKafkaConsumer, tp: TopicPartition, since: float) -> None:
        self._behind_since.pop(tp, None)
        if tp in client.assignment() and _waiting(_state_of(client, tp), None):
            self._behind_since[tp] = since

    def forget(self, tp: TopicPartition) -> None:
        """It is another member's now."""
        self._in_hand.pop(tp, None)
        self._behind_since.pop(tp, None)

    def lags(self, client: AIOKafkaConsumer) -> Iterator[Lag]:
        """The lag of every partition of `client` that it has read from."""
        now = self._clock()
        for tp in sorted(client.assignment()):
            taken = self._in_hand.get(tp)
            waiting = _waiting(_state_of(client, tp), taken)
            if waiting is None:
                continue
            if waiting == 0:
                self._behind_since.pop(tp, None)
                yield Lag(tp, 0, 0.0)
            else:
                since = taken.oldest if taken else self._behind_since.setdefault(tp, now)
                yield Lag(tp, waiting, max(0.0, now - since))

    def _time_of(self, record: "ConsumerRecord[bytes, bytes]") -> float:
        stamped: int = record.timestamp
        return stamped / 1000 if stamped > 0 else self._clock()


def _state_of(client: AIOKafkaConsumer, tp: TopicPartition) -> Any:  # noqa: ANN401 -- aiokafka ships no types
    # The public `position` waits for one that is not known yet; whoever fetches metrics must not.
    return client._subscription.subscription.assignment.state_value(tp)  # noqa: SLF001 -- as above


def _waiting(state: Any, taken: _Taken | None) -> int | None:  # noqa: ANN401 -- as above
    """How many records are not done; None while nothing was read from the partition."""
    if state.lso is None or not (taken or state.has_valid_position):
        return None
    end: int = state.lso
    first: int = taken.offset if taken else state.position
    return max(0, end - first)
