"""Claim, send, record: what the delivery worker does with what is due."""

import random
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.clients import (
    Sender,
    TokenEndpoints,
    TrustingSenders,
    guarded_connector,
    guarded_pool,
)
from services.webhook_dispatcher.domain import (
    AddressRule,
    Attempt,
    CircuitRule,
    Claimed,
    DeliveryState,
    NextStep,
    Outcome,
    Reason,
    Schedule,
    SigningKeys,
    Stopped,
    message_id_of,
    next_step,
    reports_of,
    signed_headers,
    told_to_nobody,
)
from services.webhook_dispatcher.storage import Capacity, DriverConnection, Looked, Recorded
from shared.contracts import SubscriptionDisabled
from shared.kit.cause import Cause
from shared.kit.secrets import SecretBox, UnsealableError
from shared.kit.unit_of_work import Database, UnitOfWork

from .access import Accesses
from .gate import once_committed

GONE = "the endpoint answered 410"
_USUAL_CIRCUIT = CircuitRule()
_LOOKED_AT = 1000
_SECRETS_KEPT = 1000


class Endpoints:
    """How endpoints are reached: their secrets opened, their requests sent."""

    def __init__(self, sender: Sender, box: SecretBox, accesses: Accesses, *, timeout: float) -> None:
        #: `timeout` is in seconds, for an attempt at most
        self.sender = sender
        self.box = box
        self.accesses = accesses
        self.timeout = timeout
        #: a backlog is hundreds of attempts with the same secret, each opening of which costs as much as its signature
        self.opened = lru_cache(maxsize=_SECRETS_KEPT)(self._keys_in)

    async def open(self) -> None:
        """Make the pool of connections; nothing is dialled yet."""
        await self.sender.open()

    async def close(self) -> None:
        """Close all connections."""
        await self.accesses.close()
        await self.sender.close()

    def _keys_in(self, sealed: bytes) -> SigningKeys:
        return SigningKeys.from_bytes(self.box.open(sealed))


def endpoints_of(database: Database, box: SecretBox, rule: AddressRule, *, timeout: float) -> Endpoints:
    """Endpoints that are dialled where `rule` permits it, `timeout` in seconds for each attempt at most."""
    dial = partial(guarded_connector, rule)
    senders = TrustingSenders(lambda trust: Sender(partial(dial, trust), timeout=timeout))
    accesses = Accesses(database, box, senders, TokenEndpoints(partial(guarded_pool, rule)))
    return Endpoints(Sender(dial, timeout=timeout), box, accesses, timeout=timeout)


async def look_for_due(connection: DriverConnection, after: UUID | None, at_most: int) -> Looked:
    """Find subscriptions that have something due and may be sent to, going round from `after`."""
    return await storage.look(connection, after, at_most)


async def claim_due(
    database: Database,
    capacity: Capacity,
    lease_seconds: float,
    among: Collection[UUID] | None = None,
    stopped: Stopped = told_to_nobody,
) -> list[Claimed]:
    """Start attempts for what is due of the subscriptions `among` (None: of the first thousand), as many as fit."""
    if among is None:
        async with database.driver_connection() as driver:
            among = (await look_for_due(driver, None, _LOOKED_AT)).due
    async with database.reading() as connection:
        return await storage.claim(connection, capacity, lease_seconds, among, stopped)


async def make_attempt(endpoints: Endpoints, claimed: Claimed, traceparent: str | None = None) -> Attempt:
    """Sign and send one delivery, in this trace context if any; whatever happens is the attempt's outcome."""
    try:
        keys = endpoints.opened(claimed.sealed_secret)
    except UnsealableError:
        now = datetime.now(UTC)
        return Attempt(Outcome.NOT_SENT, now, now, error="the secret cannot be opened with the present keys")
    signed = message_id_of(claimed.id), int(time.time()), claimed.body
    headers = signed_headers(keys.secret, *signed)
    if keys.more:
        headers["webhook-signature"] = " ".join([headers["webhook-signature"], *keys.further_signatures(*signed)])
    if traceparent is not None:
        headers["traceparent"] = traceparent
    if claimed.access_revision is not None:
        within = min(claimed.timeout or endpoints.timeout, endpoints.timeout)
        return await endpoints.accesses.post(endpoints.sender, claimed, headers, within)
    return await endpoints.sender.post(claimed.url, headers, claimed.body, within=claimed.timeout)


async def record_attempts(
    database: Database,
    attempts: Sequence[tuple[Claimed, Attempt]],
    schedule: Schedule,
    circuit: CircuitRule = _USUAL_CIRCUIT,
    stopped: Stopped = told_to_nobody,
) -> list[Recorded]:
    """Write down what came of attempts and what follows for their deliveries, endpoints and circuits.

    Endpoints that are gone are switched off on the way.
    """
    results = [Recorded(claimed, attempt, _step_after(attempt, claimed, schedule)) for claimed, attempt in attempts]
    async with database.unit_of_work() as work:
        # Subscriptions before deliveries, as everywhere.
        gone = {each.claimed.subscription_id: each.claimed for each in results if each.attempt.outcome is Outcome.GONE}
        for subscription_id in sorted(gone):
            await _disable(work, gone[subscription_id])
        await storage.record(work.connection, results, once_committed(work, stopped))
        reports = reports_of((claimed.subscription_id, attempt) for claimed, attempt in attempts)
        await storage.report(work.connection, reports, circuit)
    return results


def _step_after(attempt: Attempt, claimed: Claimed, schedule: Schedule) -> NextStep:
    # What was sent again has its whole schedule anew.
    number = claimed.attempt - claimed.tried_before
    return next_step(attempt, number, claimed.schedule or schedule, random.random())  # noqa: S311 -- jitter


async def _disable(work: UnitOfWork, claimed: Claimed) -> None:
    """Switch the subscription off, end what waits for it, and tell ops."""
    disabled = await storage.disable_subscription(work.connection, claimed.subscription_id, GONE)
    if disabled is None:
        return
    client_id, at = disabled
    await storage.end_deliveries_of(
        work.connection, [claimed.subscription_id], DeliveryState.FAILED, Reason.SUBSCRIPTION_DISABLED
    )
    event = SubscriptionDisabled(subscription_id=claimed.subscription_id, reason=GONE, disabled_at=at)
    work.publish(event, cause=Cause(client_id, correlation_id=message_id_of(claimed.id)))


async def give_back(database: Database, claimed: Sequence[Claimed], stopped: Stopped = told_to_nobody) -> None:
    """Hand back what was claimed and not dialled: its attempt did not happen."""
    if claimed:
        async with database.reading() as connection:
            await storage.hand_back(connection, claimed, stopped)


async def release_lost(database: Database, stopped: Stopped = told_to_nobody) -> int:
    """Take back what processes that died had claimed; answers how many."""
    async with database.reading() as connection:
        return await storage.release_expired(connection, stopped)
