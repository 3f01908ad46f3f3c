"""A test event: one delivery to one subscription, by which its client sees that all is well."""

from datetime import UTC, datetime
from uuid import UUID

import orjson

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.domain import Happening, Planned, PlannedState, WebhookType, package
from services.webhook_dispatcher.storage import DeliveryRow
from shared.contracts import new_id
from shared.kit.refusals import Conflict
from shared.kit.unit_of_work import UnitOfWork

from .deliveries import read_delivery
from .subscriptions import lock_subscription

_SOURCE = "/webhook_dispatcher"


class SubscriptionOff(Conflict):
    """The subscription is not enabled, so nothing is sent to it."""


async def try_subscription(work: UnitOfWork, subscription_id: UUID) -> DeliveryRow:
    """Plan a test event for the client's subscription alone, whatever types it wants; answers its delivery.

    Raises SubscriptionNotFound, SubscriptionOff.
    """
    subscription, _ = await lock_subscription(work, subscription_id)
    if not subscription.enabled:
        raise SubscriptionOff
    resource = orjson.dumps({"subscription_id": str(subscription.id), "title": subscription.title})
    happening = Happening(
        client_id=subscription.client_id,
        source=_SOURCE,
        id=str(new_id()),
        time=datetime.now(UTC),
        account_id=None,
        configuration_version=None,
        webhook_type=WebhookType.TEST,
        resource=resource,
        traceparent=work.cause.traceparent,
    )
    planned = _planned(happening, subscription_id)
    await storage.plan(work.connection, [planned])
    return await read_delivery(work.connection, subscription.client_id, planned.id)


def _planned(happening: Happening, subscription_id: UUID) -> Planned:
    return Planned(
        id=new_id(),
        subscription_id=subscription_id,
        client_id=happening.client_id,
        account_id=None,
        event_source=happening.source,
        event_id=happening.id,
        event_time=happening.time,
        webhook_type=happening.webhook_type,
        gated=False,
        configuration_version=None,
        state=PlannedState.WAITING,
        reason=None,
        planned_position=None,
        body=package(happening, subscription_id),
        traceparent=happening.traceparent,
    )
