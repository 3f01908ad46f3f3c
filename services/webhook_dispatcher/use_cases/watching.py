"""What those ask who run the system, for whom every client's subscriptions and deliveries are there."""

from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.storage import Connection, WatchedRow
from shared.kit.paging import Page, Part

from .deliveries import DeliveryNotFound
from .subscriptions import SubscriptionNotFound


async def list_watched_subscriptions(
    connection: Connection, client_id: UUID | None, page: Page, *, failing: bool
) -> Part[WatchedRow]:
    """A page of subscriptions of all clients, or of one, and how their endpoints do."""
    return await storage.watched_subscriptions(connection, client_id, page, failing=failing)


async def owner_of_subscription(connection: Connection, subscription_id: UUID) -> UUID:
    """The client in whose name it is paused; raises SubscriptionNotFound."""
    owner = await storage.owner_of_subscription(connection, subscription_id)
    if owner is None:
        raise SubscriptionNotFound
    return owner


async def owner_of_delivery(connection: Connection, delivery_id: UUID) -> UUID:
    """The client in whose name it is sent again; raises DeliveryNotFound."""
    owner = await storage.owner_of_delivery(connection, delivery_id)
    if owner is None:
        raise DeliveryNotFound
    return owner
