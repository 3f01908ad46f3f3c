"""The body of a webhook: `{"payload": [{"id", "created_at", "type", "object", "webhook_id"}]}`."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Final
from uuid import UUID

import orjson

from shared.contracts import Message, format_time

from .deliveries import Planned, PlannedState
from .event_types import WebhookType, webhook_type_of

#: bytes of a body, at most; an event that alone makes a larger one is not sent
LARGEST_PACKAGE: Final = 256 * 1024


@dataclass(frozen=True)
class Happening:
    """An event of the bus as subscribers will see it."""

    client_id: UUID
    source: str
    id: str
    time: datetime
    account_id: UUID | None
    #: the configuration version that it names
    configuration_version: int | None
    webhook_type: WebhookType
    #: the resource; as JSON where there is no message of the bus
    resource: Message | bytes = field(repr=False)
    traceparent: str | None = None

    @classmethod
    def of(
        cls,
        message: Message,
        *,
        client_id: UUID,
        source: str,
        id: str,  # noqa: A002 -- as the envelope names it
        time: datetime,
        traceparent: str | None = None,
    ) -> "Happening":
        """Take from the message what the delivery needs; only the contract's own fields reach subscribers."""
        account_id = getattr(message, "account_id", None)
        version = getattr(message, "configuration_version", None)
        kind = webhook_type_of(message)
        return cls(client_id, source, id, time, account_id, version, kind, message, traceparent)

    @cached_property
    def rendered(self) -> bytes:
        """The resource in JSON: rendered once for all subscriptions, and not at all where none wants the event."""
        return self.resource if isinstance(self.resource, bytes) else self.resource.model_dump_json().encode()


_BEGINNING: Final = b'{"payload":['
_END: Final = b"]}"


def package(happening: Happening, subscription_id: UUID) -> bytes:
    """The body with one event for one subscription, ready to be signed."""
    item = {
        "id": happening.id,
        "created_at": format_time(happening.time),
        "type": happening.webhook_type.value,
        "object": orjson.Fragment(happening.rendered),
        "webhook_id": str(subscription_id),
    }
    return _BEGINNING + orjson.dumps(item) + _END


def items_of(body: bytes) -> bytes:
    """What stands between the brackets of a body."""
    return body[len(_BEGINNING) : -len(_END)]


def packed(planned: Iterable[Planned]) -> list[Planned]:
    """Put events together that may be sent in one body, in their order.

    A package holds consecutive events of one account for one subscription, all behind the gate under one configuration
    version or none behind it: so it is sent or stopped whole.
    """
    packages: list[Planned] = []
    last_of_account: dict[tuple[UUID, UUID | None], int] = {}
    for each in planned:
        line = (each.subscription_id, each.account_id)
        last = last_of_account.get(line)
        if last is not None and _fits(packages[last], each):
            packages[last] = _joined(packages[last], each)
        else:
            last_of_account[line] = len(packages)
            packages.append(each)
    return packages


def _fits(package_: Planned, event: Planned) -> bool:
    return (
        event.account_id is not None
        and package_.state is event.state is PlannedState.WAITING
        and (package_.gated, package_.configuration_version) == (event.gated, event.configuration_version)
        and 1 + len(package_.more) < package_.package_size
        and len(package_.body) + len(event.body) <= LARGEST_PACKAGE
    )


def _joined(package_: Planned, event: Planned) -> Planned:
    body = _BEGINNING + items_of(package_.body) + b"," + items_of(event.body) + _END
    return replace(package_, body=body, more=[*package_.more, (event.event_id, event.webhook_type)])
