"""Subscriptions: made, read, listed, deleted by their client."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.domain import (
    AddressRule,
    DeliveryState,
    EndpointConfig,
    Reason,
    check_selection,
    check_url,
    new_signing_secret,
)
from services.webhook_dispatcher.storage import Connection, NewSubscription, SubscriptionRow
from shared.contracts import new_id
from shared.kit.paging import Page, Part
from shared.kit.refusals import Forbidden, NotFound
from shared.kit.secrets import SecretBox
from shared.kit.unit_of_work import UnitOfWork


class SubscriptionNotFound(NotFound):
    """There is no such subscription."""


class ClientRevoked(Forbidden):
    """The client's access was revoked: it may have no webhooks any more."""


@dataclass(frozen=True)
class NewEndpoint:
    """What a client subscribes with."""

    title: str
    url: str
    types: Sequence[str]
    exclude_types: Sequence[str]
    enabled: bool
    config: EndpointConfig = field(default_factory=EndpointConfig)


async def subscribe(
    work: UnitOfWork, endpoint: NewEndpoint, rule: AddressRule, box: SecretBox
) -> tuple[SubscriptionRow, str]:
    """Make a subscription; answers it with its secret, which is shown this once.

    Raises InvalidRequest, and ClientRevoked while a token of a revoked client is still good.
    """
    check_url(endpoint.url, rule)
    check_selection(endpoint.types, endpoint.exclude_types)
    if not await storage.hold_client(work.connection, work.cause.client_id):
        raise ClientRevoked
    secret = new_signing_secret()
    new = NewSubscription(
        id=new_id(),
        client_id=work.cause.client_id,
        title=endpoint.title,
        url=endpoint.url,
        types=endpoint.types,
        exclude_types=endpoint.exclude_types,
        enabled=endpoint.enabled,
        config=endpoint.config,
        sealed_secret=box.seal(secret.encode()),
    )
    return await storage.add_subscription(work.connection, new), secret


async def read_subscription(connection: Connection, client_id: UUID, subscription_id: UUID) -> SubscriptionRow:
    """The client's subscription; raises SubscriptionNotFound, also for another client's."""
    row = await storage.subscription_of(connection, client_id, subscription_id)
    if row is None:
        raise SubscriptionNotFound
    return row


async def list_subscriptions(connection: Connection, client_id: UUID, page: Page) -> Part[SubscriptionRow]:
    """A page of the client's subscriptions."""
    return await storage.subscriptions_of(connection, client_id, page)


async def delete_subscription(work: UnitOfWork, subscription_id: UUID) -> None:
    """Delete the client's subscription and discard what waits for it; raises SubscriptionNotFound."""
    if not await storage.delete_subscription(work.connection, work.cause.client_id, subscription_id):
        raise SubscriptionNotFound
    await storage.end_deliveries_of(
        work.connection, [subscription_id], DeliveryState.DISCARDED, Reason.SUBSCRIPTION_DELETED
    )
