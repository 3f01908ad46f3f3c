"""Subscriptions made and changed, with what is secret of them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import EndpointConfig

from .subscriptions import SEEN, SubscriptionRow, subscription_in


@dataclass(frozen=True)
class Sealed:
    """What is secret of a subscription."""

    keys: bytes = field(repr=False)
    #: None where its endpoint is approached with nothing but the signed request
    access: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True)
class SubscriptionToKeep:
    """A subscription as it is to be stored."""

    id: UUID
    client_id: UUID
    title: str
    url: str
    types: Sequence[str]
    exclude_types: Sequence[str]
    enabled: bool
    config: EndpointConfig
    sealed: Sealed
    public_key: str | None
    ca_fingerprints: Sequence[str] | None


_ADD = text(
    f"""
    WITH endpoint AS (INSERT INTO endpoints (subscription_id) VALUES (CAST(:id AS uuid)))
    INSERT INTO subscriptions (id, client_id, title, url, types, exclude_types, enabled, sealed_secret, delay_seconds,
                               max_package_size, rate_limit, ordered, timeout_seconds, retry_schedule, signature,
                               public_key, sealed_access, header_names, auth, ca_fingerprints)
    VALUES (CAST(:id AS uuid), :client_id, :title, :url, CAST(:types AS text[]), CAST(:exclude_types AS text[]),
            :enabled, :sealed_keys, :delay, :max_package_size, :rate_limit, :ordered, :timeout,
            CAST(:retry_schedule AS float8[]), CAST(:signature AS text[]), :public_key, CAST(:sealed_access AS bytea),
            CAST(:header_names AS text[]), CAST(:auth AS jsonb), CAST(:ca_fingerprints AS text[]))
    RETURNING {SEEN}
    """  # noqa: S608 -- our columns
).columns(auth=JSONB)

#: Of a subscription that is locked. Its circuit forgets what it knew where it is switched on anew or sent elsewhere:
#: that was another endpoint, or the same one put right.
_CHANGE = text(
    f"""
    WITH anew AS (
        UPDATE endpoints
        SET pace = 'UNTRIED', failures = 0, failing_since = NULL, opened = 0, open_until = NULL, probe_until = NULL
        WHERE subscription_id = CAST(:id AS uuid) AND CAST(:anew AS boolean))
    UPDATE subscriptions
    SET title = :title, url = :url, types = CAST(:types AS text[]), exclude_types = CAST(:exclude_types AS text[]),
        enabled = CAST(:enabled AS boolean),
        disabled_reason = CASE WHEN NOT CAST(:enabled AS boolean) THEN disabled_reason END,
        sealed_secret = :sealed_keys, delay_seconds = :delay, max_package_size = :max_package_size,
        rate_limit = :rate_limit, ordered = :ordered, timeout_seconds = :timeout,
        retry_schedule = CAST(:retry_schedule AS float8[]), signature = CAST(:signature AS text[]),
        public_key = :public_key, sealed_access = CAST(:sealed_access AS bytea),
        header_names = CAST(:header_names AS text[]), auth = CAST(:auth AS jsonb),
        ca_fingerprints = CAST(:ca_fingerprints AS text[]),
        revision = revision + 1, updated_at = clock_timestamp()
    WHERE id = CAST(:id AS uuid) RETURNING {SEEN}
    """  # noqa: S608 -- our columns
).columns(auth=JSONB)

#: FOR NO KEY UPDATE: whatever is planned for it waits for the change, or the change for that.
_LOCK = text(
    f"SELECT {SEEN}, sealed_secret, sealed_access FROM subscriptions "  # noqa: S608 -- our columns
    "WHERE id = :id AND client_id = :client_id AND deleted_at IS NULL FOR NO KEY UPDATE"
).columns(auth=JSONB)

#: A subscription that is so already stays as it is.
_PAUSE = text(
    f"""
    UPDATE subscriptions
    SET paused_at = CASE WHEN CAST(:paused AS boolean) THEN clock_timestamp() END,
        revision = revision + 1, updated_at = clock_timestamp()
    WHERE id = :id AND (paused_at IS NOT NULL) <> CAST(:paused AS boolean) RETURNING {SEEN}
    """  # noqa: S608 -- our columns
).columns(auth=JSONB)


async def add_subscription(connection: AsyncConnection, new: SubscriptionToKeep) -> SubscriptionRow:
    """Store a subscription."""
    return subscription_in((await connection.execute(_ADD, _stored(new))).mappings().one())


async def change_subscription(
    connection: AsyncConnection, changed: SubscriptionToKeep, *, anew: bool
) -> SubscriptionRow:
    """Store a locked subscription as it is now, under its next revision; `anew` resets its endpoint's circuit."""
    stored = {**_stored(changed), "anew": anew}
    return subscription_in((await connection.execute(_CHANGE, stored)).mappings().one())


async def lock_subscription(
    connection: AsyncConnection, client_id: UUID, subscription_id: UUID
) -> tuple[SubscriptionRow, Sealed] | None:
    """The client's subscription with what is secret of it, locked; None where it has none of that id."""
    found = await connection.execute(_LOCK, {"id": subscription_id, "client_id": client_id})
    row = found.mappings().first()
    if row is None:
        return None
    sealed = Sealed(row["sealed_secret"], row["sealed_access"])
    return subscription_in({name: value for name, value in row.items() if not name.startswith("sealed_")}), sealed


async def pause_subscription(
    connection: AsyncConnection, subscription_id: UUID, *, paused: bool
) -> SubscriptionRow | None:
    """Let what is planned for a locked subscription wait, or go on; None where it was so already."""
    found = await connection.execute(_PAUSE, {"id": subscription_id, "paused": paused})
    row = found.mappings().first()
    return None if row is None else subscription_in(row)


def _stored(kept: SubscriptionToKeep) -> dict[str, Any]:
    config = kept.config
    return {
        "id": kept.id,
        "client_id": kept.client_id,
        "title": kept.title,
        "url": kept.url,
        "types": list(kept.types),
        "exclude_types": list(kept.exclude_types),
        "enabled": kept.enabled,
        "delay": config.delay,
        "max_package_size": config.max_package_size,
        "rate_limit": config.rate_limit,
        "ordered": config.ordered,
        "timeout": config.timeout,
        "retry_schedule": None if config.retry_schedule is None else list(config.retry_schedule),
        "signature": [scheme.value for scheme in config.signature],
        "public_key": kept.public_key,
        "sealed_keys": kept.sealed.keys,
        "sealed_access": kept.sealed.access,
        "header_names": list(config.headers),
        "auth": None if config.auth is None else orjson.dumps(config.auth.shown()).decode(),
        "ca_fingerprints": None if kept.ca_fingerprints is None else list(kept.ca_fingerprints),
    }
