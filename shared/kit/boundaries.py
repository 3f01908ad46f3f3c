"""The points at which a crash leaves something half done, each with a name.

A fault test asks a process to kill itself at one of them: `PORTFOLIO_BUS_KILL_AT=<name>` (or `<name>:3` for the third
time it is reached) makes `reached` send SIGKILL to its own process. Without the variable it costs one comparison.
The tests enumerate `Boundary`, so that a new one is proven as soon as it is named here.
"""

import os
import signal
from collections import Counter
from enum import StrEnum
from functools import cache


class Boundary(StrEnum):
    """Where the unit of work, the relay and the consumers may be cut off."""

    #: a transaction is open, nothing is written yet
    UNIT_OF_WORK_BEGUN = "unit_of_work.begun"
    #: the effect is written, its events are not
    EFFECT_WRITTEN = "unit_of_work.effect_written"
    #: effect and outbox rows are written, not committed
    OUTBOX_WRITTEN = "unit_of_work.outbox_written"
    #: committed, and nobody has been told
    COMMITTED = "unit_of_work.committed"
    #: a shard is leased, its predecessor not yet fenced
    RELAY_LEASED = "relay.leased"
    #: the predecessor is fenced, nothing is read yet
    RELAY_FENCED = "relay.fenced"
    #: a batch is read from the outbox
    RELAY_READ = "relay.read"
    #: a batch is produced inside an open Kafka transaction
    RELAY_PRODUCED = "relay.produced"
    #: Kafka has committed the batch, the outbox still holds it
    RELAY_PUBLISHED = "relay.published"
    #: the batch is deleted from the outbox
    RELAY_DELETED = "relay.deleted"
    #: a batch has come from Kafka, nothing is done with it yet
    BATCH_READ = "consumer.batch_read"
    #: the inbox holds the batch, its effect is not written yet
    INBOX_WRITTEN = "consumer.inbox_written"
    #: a message is in the parked topic, its offset is not committed
    PARKED = "consumer.parked"
    #: the effect is committed, the offsets are not
    BATCH_DONE = "consumer.batch_done"


@cache
def _fatal() -> tuple[str, int]:
    name, _, times = os.environ.get("PORTFOLIO_BUS_KILL_AT", "").partition(":")
    return name, int(times or 1)


_visits: Counter[str] = Counter()


def reached(boundary: str) -> None:
    """Tell that `boundary` is reached; the process ends here if a fault test has asked for it."""
    name, times = _fatal()
    if boundary != name:
        return
    _visits[boundary] += 1
    if _visits[boundary] >= times:
        os.kill(os.getpid(), signal.SIGKILL)
