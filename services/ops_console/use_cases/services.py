"""What only the services know, asked of them: outboxes, and how subscriptions do."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from services.ops_console.clients import Services
from services.ops_console.domain import OutboxSeen, SubscriptionSeen

_DISPATCHER = "webhook_dispatcher"
_MOST_DELIVERIES = 50


async def outboxes_seen(services: Services) -> list[OutboxSeen]:
    """What waits in the outbox of each service; raises Trouble where one does not answer."""
    return [await outbox_seen(services, name) for name in services.names]


async def outbox_seen(services: Services, name: str) -> OutboxSeen:
    """What waits in the outbox of one service; raises Trouble."""
    answer = await services.ask(name, "GET", "/ops/outbox")
    return OutboxSeen(name, int(answer["rows"]), float(answer["oldest_seconds"]))


async def subscriptions_seen(
    services: Services, at_most: int, *, failing: bool | None = None
) -> list[SubscriptionSeen]:
    """Subscriptions of all clients; only those whose endpoints are failing, if that is asked for. Raises Trouble."""
    query = {"failing": None if failing is None else str(failing).lower()}
    rows = await services.all_of(_DISPATCHER, "/ops/subscriptions", query, at_most)
    return [_subscription(row) for row in rows]


async def pause_subscription(services: Services, subscription_id: str, *, paused: bool) -> None:
    """Let everything wait that is planned for it, or go on; raises Trouble."""
    does = "pause" if paused else "resume"
    await services.ask(_DISPATCHER, "POST", f"/ops/subscriptions/{UUID(subscription_id)}/{does}")


async def failed_deliveries(services: Services, subscription_id: str) -> list[dict[str, Any]]:
    """The newest deliveries to the subscription that have failed; raises Trouble."""
    query = {"subscription_id": subscription_id, "state": "FAILED"}
    return await services.all_of(_DISPATCHER, "/ops/deliveries", query, _MOST_DELIVERIES)


async def resend(services: Services, delivery_id: str) -> None:
    """Send a delivery again; raises Trouble, also where it may not be."""
    await services.ask(_DISPATCHER, "POST", f"/ops/deliveries/{UUID(delivery_id)}/resend")


def _subscription(row: Mapping[str, Any]) -> SubscriptionSeen:
    return SubscriptionSeen(**{name: row[name] for name in SubscriptionSeen.__dataclass_fields__})
