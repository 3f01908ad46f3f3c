"""Open deliveries apart from ended ones, which lie in time partitions; attempts too; the state of endpoints."""

from alembic import op

revision = "webhook_dispatcher_0004"
down_revision = "webhook_dispatcher_0003"
branch_labels = None
depends_on = None

_SUBSCRIPTIONS = """
ALTER TABLE subscriptions
    ADD COLUMN delay_seconds double precision NOT NULL DEFAULT 0,
    ADD COLUMN max_package_size integer NOT NULL DEFAULT 1,
    -- requests a second, all dispatchers together; NULL for no limit
    ADD COLUMN rate_limit integer,
    ADD COLUMN ordered boolean NOT NULL DEFAULT false,
    -- NULL for the operator's
    ADD COLUMN timeout_seconds double precision,
    -- what is planned for it waits
    ADD COLUMN paused_at timestamptz
"""

_TABLES = """
-- How an endpoint does, as all dispatchers see it. Apart from subscriptions, whose rows planning locks.
CREATE TABLE endpoints (
    subscription_id uuid PRIMARY KEY,
    -- how the last attempt was answered
    pace text NOT NULL DEFAULT 'UNTRIED' CHECK (pace IN ('UNTRIED', 'QUICK', 'SLOW', 'SILENT')),
    -- failed attempts in a row, and since when
    failures integer NOT NULL DEFAULT 0,
    failing_since timestamptz,
    -- the circuit: closed while open_until is NULL, open until then, half-open afterwards
    opened integer NOT NULL DEFAULT 0,
    open_until timestamptz,
    -- the one probe of a half-open circuit is under way until then at most
    probe_until timestamptz,
    -- the rate limit: what was claimed so far is worth the time up to here
    served_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

CREATE SEQUENCE delivery_places;

CREATE TABLE deliveries (
    id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    client_id uuid NOT NULL,
    account_id uuid,
    -- the order of planning
    place bigint NOT NULL DEFAULT nextval('delivery_places'),
    -- an account's deliveries go out one after the other
    ordered boolean NOT NULL DEFAULT false,
    event_source text NOT NULL,
    event_id text NOT NULL,
    event_time timestamptz NOT NULL,
    event_type text NOT NULL,
    -- how many events one body may hold; and those that are packed with the first one, which stands above
    package_size integer NOT NULL DEFAULT 1,
    more_event_ids text[] NOT NULL DEFAULT '{}',
    more_event_types text[] NOT NULL DEFAULT '{}',
    gated boolean NOT NULL,
    configuration_version bigint,
    -- frozen from the first attempt on: every attempt sends and signs the same bytes
    body bytea NOT NULL,
    state text NOT NULL CHECK (state IN ('WAITING', 'LEASED', 'DELIVERED', 'FAILED', 'SUPPRESSED', 'DISCARDED')),
    reason text,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- when it was due, where it was put behind another of its account that goes first
    put_behind_at timestamptz,
    lease_token uuid,
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
    CHECK ((state = 'LEASED') = (lease_token IS NOT NULL))
) PARTITION BY LIST (state);

-- What has not ended yet: small, busy, and all that a claim looks at. No index names what a claim changes (state,
-- lease, attempts), so that a claim's update stays within its page, where there is room for all that was planned at
-- once to be claimed at once.
CREATE TABLE deliveries_open PARTITION OF deliveries (PRIMARY KEY (id)) FOR VALUES IN ('WAITING', 'LEASED')
    WITH (fillfactor = 45, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000,
          autovacuum_vacuum_cost_delay = 0);
-- serves the claim (the ones due first of each subscription) and the end of a subscription
CREATE INDEX deliveries_open_due ON deliveries_open (subscription_id, due_at);
-- serves the claim: what stands before a delivery of the same account
CREATE INDEX deliveries_open_in_line ON deliveries_open (subscription_id, account_id, place) WHERE ordered;
-- serves planning: the last delivery of an account, which may take more events
CREATE INDEX deliveries_open_to_pack ON deliveries_open (subscription_id, account_id, place) WHERE package_size > 1;
-- serves the gate: what a deletion of a configuration version stops
CREATE INDEX deliveries_open_behind_the_gate ON deliveries_open (account_id, configuration_version) WHERE gated;

-- What has ended does not change any more, so that its last change is its end. The partitions are made ahead and
-- dropped by age.
CREATE TABLE deliveries_ended PARTITION OF deliveries (PRIMARY KEY (id, updated_at))
    FOR VALUES IN ('DELIVERED', 'FAILED', 'SUPPRESSED', 'DISCARDED') PARTITION BY RANGE (updated_at);

-- serves a client's list
CREATE INDEX deliveries_of_client ON deliveries (client_id, created_at, id);
-- serves a subscription's list
CREATE INDEX deliveries_of_subscription ON deliveries (subscription_id, created_at, id);
-- serves the list of an account's deliveries
CREATE INDEX deliveries_of_account ON deliveries (account_id, created_at, id) WHERE account_id IS NOT NULL;

-- A claim's lease over all that it took: one row to find the expired ones by, and no index of the deliveries to pay.
CREATE TABLE leases (
    token uuid PRIMARY KEY,
    expires_at timestamptz NOT NULL,
    deliveries uuid[] NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
CREATE INDEX leases_expiring ON leases (expires_at);

CREATE TABLE attempts (
    delivery_id uuid NOT NULL,
    number integer NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz,
    outcome text NOT NULL,
    status_code integer,
    error text,
    response_body bytea CHECK (octet_length(response_body) <= 4096),
    projection_position bigint,
    deletion_position bigint,
    -- by the database's clock, as the partitions are
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (delivery_id, number, recorded_at)
) PARTITION BY RANGE (recorded_at);
"""

#: What ended longer ago than it is kept is left behind, as the job that drops partitions would do the next moment.
_PLANNED_EARLIER = """
INSERT INTO endpoints (subscription_id) SELECT id FROM subscriptions;
INSERT INTO deliveries (id, subscription_id, client_id, account_id, event_source, event_id, event_time, event_type,
                        gated, configuration_version, body, state, reason, attempts, due_at, lease_token, claimed_at,
                        gate_closed, ends_as, planned_position, projection_position, deletion_position, created_at,
                        updated_at)
SELECT id, subscription_id, client_id, account_id, event_source, event_id, event_time, event_type, gated,
       configuration_version, body, state, reason, attempts, due_at, lease_token, claimed_at, gate_closed, ends_as,
       planned_position, projection_position, deletion_position, created_at, least(updated_at, clock_timestamp())
FROM deliveries_before
WHERE state IN ('WAITING', 'LEASED') OR updated_at > now() - interval '90 days' ORDER BY id;
INSERT INTO leases (token, expires_at, deliveries)
SELECT lease_token, max(lease_expires_at), array_agg(id) FROM deliveries_before WHERE state = 'LEASED'
GROUP BY lease_token;
INSERT INTO attempts (delivery_id, number, started_at, finished_at, outcome, status_code, error, response_body,
                      projection_position, deletion_position, recorded_at)
SELECT delivery_id, number, started_at, finished_at, outcome, status_code, error, response_body, projection_position,
       deletion_position, least(coalesce(finished_at, started_at), clock_timestamp())
FROM attempts_before WHERE coalesce(finished_at, started_at) > now() - interval '30 days';
DROP TABLE attempts_before;
DROP TABLE deliveries_before;
"""

#: From as far back as what is there already may reach, to as far ahead as the job that makes them may be away.
_PARTITIONS = """
DO $$
DECLARE
    parent text;
    monday timestamp;
BEGIN
    FOREACH parent IN ARRAY ARRAY['deliveries_ended', 'attempts'] LOOP
        FOR monday IN SELECT date_trunc('week', now() AT TIME ZONE 'UTC') + week * interval '7 days'
                      FROM generate_series(-14, 6) AS week LOOP
            EXECUTE format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
                           parent || to_char(monday, '_YYYYMMDD'), parent, monday AT TIME ZONE 'UTC',
                           (monday + interval '7 days') AT TIME ZONE 'UTC');
        END LOOP;
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Make the new tables and move what is there into them."""
    for table in ("deliveries", "attempts"):
        op.execute(f"ALTER TABLE {table} RENAME TO {table}_before")
        op.execute(f"ALTER INDEX {table}_pkey RENAME TO {table}_before_pkey")
    for index in ("client", "subscription", "account"):
        op.execute(f"ALTER INDEX deliveries_of_{index} RENAME TO deliveries_before_of_{index}")
    op.execute("DROP INDEX deliveries_open, deliveries_leased")
    _execute(_SUBSCRIPTIONS)
    _execute(_TABLES)
    op.execute(_PARTITIONS)
    _execute(_PLANNED_EARLIER)


def _execute(statements: str) -> None:
    for statement in statements.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back: what waits for its subscriber would be lost."""
    raise NotImplementedError
