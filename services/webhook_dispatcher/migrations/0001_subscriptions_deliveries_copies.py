"""Subscriptions, deliveries and attempts; the copies of configurations and accounts."""

from alembic import op

revision = "webhook_dispatcher_0001"
down_revision = None
branch_labels = ("webhook_dispatcher",)
depends_on = None

_TABLES = """
CREATE TABLE subscriptions (
    id uuid PRIMARY KEY,
    client_id uuid NOT NULL,
    title text NOT NULL,
    url text NOT NULL,
    types text[] NOT NULL,
    exclude_types text[] NOT NULL,
    enabled boolean NOT NULL,
    disabled_reason text,
    sealed_secret bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    deleted_at timestamptz
);
-- serves planning (the enabled ones of a batch's clients) and a client's list
CREATE INDEX subscriptions_of_client ON subscriptions (client_id, created_at) WHERE deleted_at IS NULL;

CREATE TABLE configurations (
    account_id uuid PRIMARY KEY,
    client_id uuid NOT NULL,
    version bigint NOT NULL,
    revision bigint NOT NULL,
    configured boolean NOT NULL,
    -- the record of this account that could not be read, until a newer one is applied or it is redriven
    quarantined text,
    -- where its events stand in Kafka, and the last deletion that was applied, explicit or implied by a newer version
    partition integer NOT NULL,
    deletion_position bigint
) WITH (fillfactor = 70);

CREATE TABLE accounts (
    account_id uuid PRIMARY KEY,
    client_id uuid NOT NULL,
    revision bigint NOT NULL
);

CREATE TABLE deliveries (
    id uuid PRIMARY KEY,
    subscription_id uuid NOT NULL REFERENCES subscriptions (id),
    client_id uuid NOT NULL,
    account_id uuid,
    event_source text NOT NULL,
    event_id text NOT NULL,
    event_time timestamptz NOT NULL,
    event_type text NOT NULL,
    gated boolean NOT NULL,
    configuration_version bigint,
    -- frozen when planned: every attempt sends and signs the same bytes
    body bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('WAITING', 'LEASED', 'DELIVERED', 'FAILED', 'SUPPRESSED', 'DISCARDED')),
    reason text,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease_token uuid,
    lease_expires_at timestamptz,
    claimed_at timestamptz,
    -- the deletion of its configuration version came while it was leased: it never waits again
    gate_closed boolean NOT NULL DEFAULT false,
    -- its subscription went while it was leased: what it becomes instead of waiting again
    ends_as text CHECK (ends_as IN ('FAILED', 'DISCARDED')),
    -- how far the copy of configurations had come when the delivery was planned, and when its last attempt was claimed
    planned_position bigint,
    projection_position bigint,
    deletion_position bigint,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CHECK (NOT gated OR account_id IS NOT NULL),
    CHECK ((state = 'LEASED') = (lease_token IS NOT NULL)),
    -- the inbox is the first line; this is the second: one event reaches one subscription as one delivery
    UNIQUE (subscription_id, event_source, event_id, event_time)
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
        autovacuum_vacuum_cost_delay = 0);
-- serves the claim: which subscriptions have something waiting, and the ones due first of each
CREATE INDEX deliveries_waiting ON deliveries (subscription_id, due_at) WHERE state = 'WAITING';
-- serves the release of leases whose holder has died
CREATE INDEX deliveries_leased ON deliveries (lease_expires_at) WHERE state = 'LEASED';
-- serves the gate: what a deletion of a configuration version stops
CREATE INDEX deliveries_behind_the_gate ON deliveries (account_id, configuration_version)
    WHERE gated AND state IN ('WAITING', 'LEASED');
-- serves the end of a subscription: what has not ended yet
CREATE INDEX deliveries_open ON deliveries (subscription_id) WHERE state IN ('WAITING', 'LEASED');
-- serves a client's list, newest first
CREATE INDEX deliveries_of_client ON deliveries (client_id, created_at DESC, id);
-- serves a subscription's list, newest first
CREATE INDEX deliveries_of_subscription ON deliveries (subscription_id, created_at DESC, id);
-- serves the list of an account's deliveries
CREATE INDEX deliveries_of_account ON deliveries (account_id, created_at DESC, id) WHERE account_id IS NOT NULL;

CREATE TABLE attempts (
    delivery_id uuid NOT NULL REFERENCES deliveries (id) ON DELETE CASCADE,
    number integer NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    outcome text NOT NULL,
    status_code integer,
    error text,
    response_body bytea CHECK (octet_length(response_body) <= 4096),
    projection_position bigint,
    deletion_position bigint,
    PRIMARY KEY (delivery_id, number)
);
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back: what waits for its subscriber would be lost."""
    raise NotImplementedError
