"""Subscriptions: made, read, listed, changed, paused, deleted by their client."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.domain import (
    Access,
    AddressRule,
    DeliveryState,
    EndpointConfig,
    OAuth2,
    Reason,
    ScheduleBounds,
    Scheme,
    SigningKeys,
    check_headers,
    check_selection,
    check_url,
    config_after,
    fingerprints_of,
)
from services.webhook_dispatcher.storage import Connection, Sealed, SubscriptionRow, SubscriptionToKeep
from shared.contracts import new_id
from shared.kit.paging import Page, Part
from shared.kit.refusals import Forbidden, NotFound, refuse_unless_current
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


@dataclass(frozen=True)
class EndpointChange:
    """What a client asks to be changed, by the names of NewEndpoint; what is not named stays as it is."""

    fields: Mapping[str, Any] = field(default_factory=dict)
    #: as `config_after` takes it; left out where there is nothing to merge
    config: Mapping[str, Any] | None = field(default_factory=dict)


@dataclass(frozen=True)
class SubscriptionRules:
    """What the operator allows, and the box that secrets are sealed in."""

    addresses: AddressRule
    box: SecretBox
    schedules: ScheduleBounds = field(default_factory=ScheduleBounds)


async def subscribe(work: UnitOfWork, endpoint: NewEndpoint, rules: SubscriptionRules) -> tuple[SubscriptionRow, str]:
    """Make a subscription; answers it with its secret, which is shown this once.

    Raises InvalidRequest, AddressNotReached, HeadersNotAllowed, CertificatesNotUsable, ScheduleNotAllowed, and
    ClientRevoked while a token of a revoked client is still good.
    """
    _check(endpoint, rules)
    await _hold_client(work)
    keys = SigningKeys.new(endpoint.config.signature)
    new = _to_keep(new_id(), work.cause.client_id, endpoint, keys, rules.box)
    return await storage.add_subscription(work.connection, new), keys.secret


async def change_subscription(
    work: UnitOfWork,
    subscription_id: UUID,
    change: EndpointChange,
    rules: SubscriptionRules,
    expected: int | None = None,
) -> SubscriptionRow:
    """Change the client's subscription, and end what waits for it where that switches it off.

    Raises what `subscribe` raises, SubscriptionNotFound, PreconditionFailed.
    """
    # Clients before subscriptions, as planning does.
    await _hold_client(work)
    before, sealed = await lock_subscription(work, subscription_id)
    refuse_unless_current(expected, before.revision)
    was = _endpoint_of(before, sealed, rules.box)
    wanted = replace(was, **change.fields, config=config_after(was.config, change.config))
    if wanted == was:
        return before
    _check(wanted, rules)
    keys = SigningKeys.from_bytes(rules.box.open(sealed.keys)).with_schemes(wanted.config.signature)
    changed = _to_keep(before.id, before.client_id, wanted, keys, rules.box)
    anew = wanted.url != was.url or (wanted.enabled and not was.enabled)
    row = await storage.change_subscription(work.connection, changed, anew=anew)
    if was.enabled and not wanted.enabled:
        await storage.end_deliveries_of(
            work.connection, [subscription_id], DeliveryState.FAILED, Reason.SUBSCRIPTION_DISABLED
        )
    return row


async def pause_subscription(work: UnitOfWork, subscription_id: UUID, *, paused: bool) -> SubscriptionRow:
    """Let what is planned for the client's subscription wait, or go on; raises SubscriptionNotFound."""
    before, _ = await lock_subscription(work, subscription_id)
    return await storage.pause_subscription(work.connection, subscription_id, paused=paused) or before


async def lock_subscription(work: UnitOfWork, subscription_id: UUID) -> tuple[SubscriptionRow, Sealed]:
    """The client's subscription, locked; raises SubscriptionNotFound."""
    locked = await storage.lock_subscription(work.connection, work.cause.client_id, subscription_id)
    if locked is None:
        raise SubscriptionNotFound
    return locked


async def read_subscription(connection: Connection, client_id: UUID, subscription_id: UUID) -> SubscriptionRow:
    """The client's subscription; raises SubscriptionNotFound, also for another client's."""
    row = await storage.subscription_of(connection, client_id, subscription_id)
    if row is None:
        raise SubscriptionNotFound
    return row


async def list_subscriptions(connection: Connection, client_id: UUID, page: Page) -> Part[SubscriptionRow]:
    """A page of the client's subscriptions."""
    return await storage.subscriptions_of(connection, client_id, page)


async def delete_subscription(work: UnitOfWork, subscription_id: UUID, expected: int | None = None) -> None:
    """Delete the client's subscription and discard what waits for it.

    Raises SubscriptionNotFound, PreconditionFailed.
    """
    before, _ = await lock_subscription(work, subscription_id)
    refuse_unless_current(expected, before.revision)
    await storage.delete_subscription(work.connection, subscription_id)
    await storage.end_deliveries_of(
        work.connection, [subscription_id], DeliveryState.DISCARDED, Reason.SUBSCRIPTION_DELETED
    )


async def _hold_client(work: UnitOfWork) -> None:
    if not await storage.hold_client(work.connection, work.cause.client_id):
        raise ClientRevoked


def _check(endpoint: NewEndpoint, rules: SubscriptionRules) -> None:
    config = endpoint.config
    check_url(endpoint.url, rules.addresses)
    check_selection(endpoint.types, endpoint.exclude_types)
    rules.schedules.check(config.retry_schedule)
    check_headers(config.headers, config.auth)
    if isinstance(config.auth, OAuth2):
        check_url(config.auth.token_url, rules.addresses, "body.config.auth.token_url")


def _to_keep(
    subscription_id: UUID, client_id: UUID, endpoint: NewEndpoint, keys: SigningKeys, box: SecretBox
) -> SubscriptionToKeep:
    access, bundle = endpoint.config.access, endpoint.config.ca_bundle
    return SubscriptionToKeep(
        id=subscription_id,
        client_id=client_id,
        **vars(endpoint),
        sealed=Sealed(box.seal(keys.to_bytes()), None if access is None else box.seal(access.to_bytes())),
        public_key=keys.public_key,
        ca_fingerprints=None if bundle is None else fingerprints_of(bundle),
    )


def _endpoint_of(row: SubscriptionRow, sealed: Sealed, box: SecretBox) -> NewEndpoint:
    access = Access() if sealed.access is None else Access.from_bytes(box.open(sealed.access))
    config = EndpointConfig(
        delay=row.delay_seconds,
        max_package_size=row.max_package_size,
        rate_limit=row.rate_limit,
        ordered=row.ordered,
        timeout=row.timeout_seconds,
        retry_schedule=row.retry_schedule,
        signature=tuple(Scheme(each) for each in row.signature),
        **vars(access),
    )
    return NewEndpoint(row.title, row.url, row.types, row.exclude_types, row.enabled, config)
