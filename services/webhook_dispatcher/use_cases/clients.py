"""Clients: what the revocation of one switches off."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.storage import ClientCopy
from shared.contracts import ClientState, SubscriptionDisabled
from shared.kit.received import Received
from shared.kit.unit_of_work import UnitOfWork

#: what a subscription says of itself then
REVOKED: Final = "the client's access was revoked"


async def switch_off_revoked(work: UnitOfWork, told: Sequence[Received[ClientState]]) -> list[UUID]:
    """Apply what is newer and switch off the subscriptions of clients that it revokes; answers these subscriptions."""
    copies = [ClientCopy(each.body.client_id, each.body.revision, each.body.revoked_at is not None) for each in told]
    revoked = await storage.apply_clients(work.connection, copies)
    if not revoked:
        return []
    causes = {each.body.client_id: each.cause for each in told}
    disabled = await storage.disable_subscriptions_of(work.connection, revoked, REVOKED)
    for each in disabled:
        if each.was_enabled:
            event = SubscriptionDisabled(subscription_id=each.id, reason=REVOKED, disabled_at=each.disabled_at)
            work.publish(event, cause=causes[each.client_id])
    return [each.id for each in disabled]
