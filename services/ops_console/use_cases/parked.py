"""One parked message, and the way back for many."""

from contextlib import aclosing
from typing import Any

from services.ops_console.clients import Services, Trouble, parked_messages, shown
from shared.kit.kafka import Kafka


async def parked_message(kafka: Kafka, parked_id: str) -> dict[str, Any]:
    """The message whole, as JSON takes it; raises Trouble where none of this id is parked, and KafkaError."""
    # Left midway, it would be closed by nobody before its connections are.
    async with aclosing(parked_messages(kafka, [parked_id.partition("/")[0]])) as parked:
        async for each in parked:
            if each.id == parked_id:
                return shown(each, whole=True)
    message = f"No message {parked_id} is parked."
    raise Trouble(message)


async def redriven(
    services: Services, *, group: str | None = None, reason: str | None = None, parked_id: str | None = None
) -> dict[str, int]:
    """Let their services send parked messages back: all of them, or those that suit; how many, by group.

    Raises Trouble where there is no such group, or its service does not answer.
    """
    group = group or (parked_id.partition("/")[0] if parked_id else None)
    asked = {"group": group, "reason": reason, "parked_id": parked_id}
    body = {name: value for name, value in asked.items() if value is not None}
    # A group bears the name of its service.
    owners = [group.partition(".")[0]] if group else services.names
    if unknown := [name for name in owners if name not in services.names]:
        message = f"There is no service {unknown[0]}, which the group {group} would belong to."
        raise Trouble(message)
    counts: dict[str, int] = {}
    for name in owners:
        counts |= (await services.ask(name, "POST", "/ops/parked/redrive", body=body))["groups"]
    return counts
