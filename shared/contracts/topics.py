"""The topics of the bus: one table from which they are created, and the topics of each consumer group's own.

Names here are logical; an installation may put a prefix before them. Keyed topics all have the same number of
partitions, so that one account's messages of ours have the same partition number everywhere.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

DEFAULT_PARTITIONS: Final = 12
MAX_MESSAGE_BYTES: Final = 1024 * 1024
#: A parked message carries headers with its reason and origin on top of its own, and must never be too large to park.
MAX_PARKED_MESSAGE_BYTES: Final = 4 * MAX_MESSAGE_BYTES

_WEEK = timedelta(days=7)
_MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One topic: what it holds, by what it is keyed, and how long Kafka keeps it.

    A compacted topic keeps the newest record of every key for ever (`retention` is None) and everything younger than
    `min_compaction_lag`; deletions on it are records, never nulls.
    """

    name: str
    holds: str
    key: str
    partitions: int = DEFAULT_PARTITIONS
    retention: timedelta | None = _WEEK
    compacted: bool = False
    min_compaction_lag: timedelta | None = None
    max_message_bytes: int = MAX_MESSAGE_BYTES

    def config(self) -> dict[str, str]:
        """Kafka's topic configuration, names and values as the broker spells them; times in milliseconds."""
        config = {
            "cleanup.policy": "compact" if self.compacted else "delete",
            "retention.ms": "-1" if self.retention is None else _milliseconds(self.retention),
            "max.message.bytes": str(self.max_message_bytes),
        }
        if self.min_compaction_lag is not None:
            config["min.compaction.lag.ms"] = _milliseconds(self.min_compaction_lag)
        return config


def _milliseconds(span: timedelta) -> str:
    return str(span // timedelta(milliseconds=1))


def _passing(name: str, holds: str, key: str) -> Topic:
    return Topic(name=name, holds=holds, key=key)


def _state(name: str, holds: str, key: str) -> Topic:
    return Topic(name=name, holds=holds, key=key, retention=None, compacted=True, min_compaction_lag=_WEEK)


CONFIGURATIONS_COMMANDS: Final = _passing(
    "configurations.commands.v1", "commands from upstream to configure accounts", "account id"
)
PORTFOLIOS_COMMANDS: Final = _passing(
    "portfolios.commands.v1", "commands from upstream on ledger portfolios", "portfolio id"
)
ORDERS_COMMANDS: Final = _passing(
    "orders.commands.v1", "commands from upstream to place, cancel and execute portfolio orders", "account id"
)
REBALANCINGS_COMMANDS: Final = _passing(
    "rebalancings.commands.v1",
    "commands from upstream to request rebalancings and to execute their orders",
    "account id; execution id for a request over many accounts",
)
CONFIGURATIONS_EVENTS: Final = _state(
    "configurations.events.v1", "who is configured: the whole configuration after every change", "account id"
)
ACCOUNTS_EVENTS: Final = _state("accounts.events.v1", "the whole account after every change", "account id")
ALLOCATIONS_EVENTS: Final = _state("allocations.events.v1", "the whole allocation after every change", "allocation id")
PORTFOLIOS_EVENTS: Final = _state(
    "portfolios.events.v1", "the whole ledger portfolio after every change, metadata left out", "portfolio id"
)
CLIENTS_EVENTS: Final = _state(
    "clients.events.v1", "the whole client after every change, its secrets left out", "client id"
)
ORDERS_EVENTS: Final = _passing("orders.events.v1", "every transition of a portfolio order", "account id")
REBALANCINGS_EVENTS: Final = _passing(
    "rebalancings.events.v1",
    "every transition of a rebalancing execution order, also those that upstream engines tell",
    "account id",
)
SUBSCRIPTIONS_EVENTS: Final = _passing(
    "subscriptions.events.v1", "what ops should know of subscriptions", "subscription id"
)
COMMANDS_REPLIES: Final = _passing("commands.replies.v1", "the answer to every command", "the command's key")

#: Every topic that is not a consumer group's own.
TOPICS: Final[tuple[Topic, ...]] = (
    CONFIGURATIONS_COMMANDS,
    PORTFOLIOS_COMMANDS,
    ORDERS_COMMANDS,
    REBALANCINGS_COMMANDS,
    CONFIGURATIONS_EVENTS,
    ACCOUNTS_EVENTS,
    ALLOCATIONS_EVENTS,
    PORTFOLIOS_EVENTS,
    CLIENTS_EVENTS,
    ORDERS_EVENTS,
    REBALANCINGS_EVENTS,
    SUBSCRIPTIONS_EVENTS,
    COMMANDS_REPLIES,
)


def parked_topic(group: str) -> Topic:
    """The topic of what a consumer group could not take, with the reason and where it came from."""
    return Topic(
        name=f"{group}.parked.v1",
        holds=f"messages that {group} could not take",
        key="the parked message's own",
        retention=_MONTH,
        max_message_bytes=MAX_PARKED_MESSAGE_BYTES,
    )


def redrive_topic(group: str) -> Topic:
    """The topic by which parked messages come back to this consumer group alone."""
    return Topic(
        name=f"{group}.redrive.v1",
        holds=f"parked messages on their way back to {group}",
        key="the parked message's own",
        retention=_WEEK,
        max_message_bytes=MAX_PARKED_MESSAGE_BYTES,
    )
