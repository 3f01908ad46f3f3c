"""What a run has left behind, as the checks see it: plain data, however it was gathered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from deploy.local.faults.ledger import Entry

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """A record of a topic, readable or not: without an id it is neither ours nor upstream's."""

    topic: str
    partition: int
    offset: int
    key: str
    id: str | None = None
    type: str | None = None
    source: str | None = None
    client: str | None = None
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def account(self) -> str | None:
        """The account that it tells of, if it is one's."""
        return self.body.get("account_id")


@dataclass(frozen=True, slots=True)
class Parked:
    """A record of a parked topic: by whom, why, and what it was."""

    group: str
    reason: str
    topic: str
    #: the `ce_id`, if it has one
    id: str | None
    #: the beginning of its value
    value: str


@dataclass
class Evidence:
    """Everything that is known of a run."""

    ledger: Sequence[Entry] = ()
    #: what the subscribers' endpoint wrote down
    arrivals: Sequence[Entry] = ()
    #: logical name -> its records, partition by partition in their order
    topics: Mapping[str, Sequence[Seen]] = field(default_factory=dict)
    parked: Sequence[Parked] = ()
    #: order_service: orders of both kinds, and its copy of accounts
    orders: Sequence[Row] = ()
    account_copies: Sequence[Row] = ()
    #: config_service
    accounts: Sequence[Row] = ()
    configurations: Sequence[Row] = ()
    #: webhook_dispatcher: deliveries, attempts, and its copy of configurations
    deliveries: Sequence[Row] = ()
    attempts: Sequence[Row] = ()
    gates: Sequence[Row] = ()
    #: what should be gone at rest, in words, and how much of it is there
    left: Mapping[str, int] = field(default_factory=dict)
    #: process -> the most memory that it held, in MiB
    memory: Mapping[str, float] = field(default_factory=dict)

    def entries(self, what: str) -> list[Entry]:
        """The ledger's entries of one kind."""
        return self._entries_of.get(what, [])

    def records(self, topic: str) -> Sequence[Seen]:
        """What stands on a topic, what nobody can read left out."""
        return [record for record in self.topics.get(topic, ()) if record.id is not None]

    def first_copies(self, topic: str) -> list[Seen]:
        """The records of a topic, each event once, where it stands for the first time."""
        known: set[tuple[str | None, str | None, str | None]] = set()
        found = []
        for record in self.records(topic):
            identity = (record.client, record.source, record.id)
            if identity not in known:
                known.add(identity)
                found.append(record)
        return found

    @cached_property
    def _entries_of(self) -> dict[str, list[Entry]]:
        return _grouped(self.ledger, "what")

    @cached_property
    def asked(self) -> dict[str, Entry]:
        """What was asked for, by op."""
        return {entry["op"]: entry for entry in self.entries("asked")}

    @cached_property
    def told(self) -> dict[str, Entry]:
        """What was told in the end, by op."""
        return {entry["op"]: entry for entry in self.entries("told")}

    @cached_property
    def owners(self) -> dict[str, str]:
        """Account -> its client, as config_service has it."""
        return {row["account_id"]: row["client_id"] for row in self.accounts}

    @cached_property
    def deliveries_of(self) -> dict[tuple[str, str], list[Row]]:
        """(subscription, event) -> its deliveries, packages counted for each event in them."""
        found: dict[tuple[str, str], list[Row]] = defaultdict(list)
        for row in self.deliveries:
            for event in (row["event_id"], *row["more_event_ids"]):
                found[row["subscription_id"], event].append(row)
        return found

    @cached_property
    def arrivals_of(self) -> dict[str, list[Entry]]:
        """`webhook-id` -> its requests, in the order of their coming."""
        return _grouped(self.arrivals, "id")

    @cached_property
    def attempts_of(self) -> dict[str, list[Row]]:
        """Delivery -> its attempts."""
        return _grouped(self.attempts, "delivery_id")

    def accepted(self, act: str) -> Iterable[tuple[Entry, Entry]]:
        """What was asked for of this kind and done, with its answer."""
        for op, asked in self.asked.items():
            told = self.told.get(op)
            if asked.get("act") == act and told is not None and _is_done(told["status"]):
                yield asked, told


def message_id_of(delivery: Row) -> str:
    """The `webhook-id` under which a delivery arrives."""
    return f"msg_{delivery['id'].replace('-', '')}"


def _is_done(status: int | str) -> bool:
    return status == "accepted" or (isinstance(status, int) and 200 <= status < 300)  # noqa: PLR2004 -- HTTP


def _grouped(rows: Iterable[Any], name: str) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = defaultdict(list)
    for row in rows:
        found[row[name]].append(row)
    return found
