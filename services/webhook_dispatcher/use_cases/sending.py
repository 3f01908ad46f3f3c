"""Claim, send, record: what the delivery worker does with what is due."""

import random
import time
from collections.abc import Sequence
from datetime import UTC, datetime

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.clients import Sender
from services.webhook_dispatcher.domain import (
    Attempt,
    Claimed,
    DeliveryState,
    Outcome,
    Reason,
    Schedule,
    message_id_of,
    next_step,
    signed_headers,
)
from services.webhook_dispatcher.storage import Capacity, Recorded
from shared.contracts import SubscriptionDisabled
from shared.kit.cause import Cause
from shared.kit.secrets import SecretBox, UnsealableError
from shared.kit.unit_of_work import Database, UnitOfWork

GONE = "the endpoint answered 410"


class Endpoints:
    """How endpoints are reached: their secrets opened, their requests sent."""

    def __init__(self, sender: Sender, box: SecretBox) -> None:
        self.sender = sender
        self.box = box


async def claim_due(database: Database, capacity: Capacity, lease_seconds: float) -> list[Claimed]:
    """Start attempts for what is due, as many as fit."""
    async with database.reading() as connection:
        return await storage.claim(connection, capacity, lease_seconds)


async def make_attempt(endpoints: Endpoints, claimed: Claimed) -> Attempt:
    """Sign and send one delivery; whatever happens is the attempt's outcome."""
    try:
        secret = endpoints.box.open(claimed.sealed_secret).decode()
    except UnsealableError:
        now = datetime.now(UTC)
        return Attempt(Outcome.NOT_SENT, now, now, error="the secret cannot be opened with the present keys")
    headers = signed_headers(secret, message_id_of(claimed.id), int(time.time()), claimed.body)
    return await endpoints.sender.post(claimed.url, headers, claimed.body)


async def record_attempts(
    database: Database, attempts: Sequence[tuple[Claimed, Attempt]], schedule: Schedule
) -> list[Recorded]:
    """Write down what came of attempts and what follows; endpoints that are gone are switched off on the way."""
    results = [
        Recorded(claimed, attempt, next_step(attempt, claimed.attempt, schedule, random.random()))  # noqa: S311 -- jitter
        for claimed, attempt in attempts
    ]
    async with database.unit_of_work() as work:
        # Subscriptions before deliveries, as everywhere.
        gone = {each.claimed.subscription_id: each.claimed for each in results if each.attempt.outcome is Outcome.GONE}
        for subscription_id in sorted(gone):
            await _disable(work, gone[subscription_id])
        await storage.record(work.connection, results)
    return results


async def _disable(work: UnitOfWork, claimed: Claimed) -> None:
    """Switch the subscription off, end what waits for it, and tell ops."""
    disabled = await storage.disable_subscription(work.connection, claimed.subscription_id, GONE)
    if disabled is None:
        return
    client_id, at = disabled
    await storage.end_deliveries_of(
        work.connection, claimed.subscription_id, DeliveryState.FAILED, Reason.SUBSCRIPTION_DISABLED
    )
    event = SubscriptionDisabled(subscription_id=claimed.subscription_id, reason=GONE, disabled_at=at)
    work.publish(event, cause=Cause(client_id, correlation_id=message_id_of(claimed.id)))


async def give_back(database: Database, claimed: Sequence[Claimed]) -> None:
    """Hand back what was claimed and not dialled: its attempt did not happen."""
    if claimed:
        async with database.reading() as connection:
            await storage.hand_back(connection, claimed)


async def release_lost(database: Database) -> int:
    """Take back what processes that died had claimed; answers how many."""
    async with database.reading() as connection:
        return await storage.release_expired(connection)
