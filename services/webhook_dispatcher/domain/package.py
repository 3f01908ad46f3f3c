"""The body of a webhook: `{"payload": [{"id", "created_at", "type", "object", "webhook_id"}]}`."""

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import orjson

from shared.contracts import Message, format_time

from .event_types import WebhookType, webhook_type_of


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
    #: the resource in JSON, rendered once for all subscriptions
    rendered: bytes = field(repr=False)

    @classmethod
    def of(cls, message: Message, *, client_id: UUID, source: str, id: str, time: datetime) -> "Happening":  # noqa: A002
        """Take from the message what the delivery needs; only the contract's own fields reach subscribers."""
        account_id = getattr(message, "account_id", None)
        version = getattr(message, "configuration_version", None)
        rendered = message.model_dump_json().encode()
        return cls(client_id, source, id, time, account_id, version, webhook_type_of(message), rendered)


def package(happening: Happening, subscription_id: UUID) -> bytes:
    """The body with one event for one subscription, ready to be signed."""
    item = {
        "id": happening.id,
        "created_at": format_time(happening.time),
        "type": happening.webhook_type.value,
        "object": orjson.Fragment(happening.rendered),
        "webhook_id": str(subscription_id),
    }
    return orjson.dumps({"payload": [item]})
