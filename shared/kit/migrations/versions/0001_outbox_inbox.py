"""The kit's own tables: outbox, relay leases, inbox, commands, applied positions."""

from alembic import op

revision = "kit_0001"
down_revision = None
branch_labels = ("kit",)
depends_on = None

_TABLES = """
CREATE TABLE outbox (
    -- cache 1: a cached range would let a later transaction draw a lower id than an earlier one
    id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1),
    topic text NOT NULL,
    key text NOT NULL,
    shard smallint NOT NULL CHECK (shard BETWEEN 0 AND 3),
    headers jsonb NOT NULL,
    payload bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- serves the relay's read (one shard above its cursor in id order) and its delete by id
    PRIMARY KEY (shard, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_insert_threshold = -1,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000);

CREATE TABLE relay_leases (
    shard smallint PRIMARY KEY,
    holder uuid,
    expires_at timestamptz NOT NULL DEFAULT '-infinity'
);
INSERT INTO relay_leases (shard) SELECT generate_series(0, 3);

CREATE TABLE relay_members (
    holder uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
);

CREATE TABLE inbox (
    consumer text NOT NULL,
    client_id uuid NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    time timestamptz NOT NULL,
    PRIMARY KEY (consumer, client_id, source, id, time)
) PARTITION BY RANGE (time);

CREATE TABLE command_inbox (
    client_id uuid NOT NULL,
    source text NOT NULL,
    id text NOT NULL,
    reply jsonb,
    received_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (client_id, source, id)
);
-- serves the housekeeping, which forgets commands by age
CREATE INDEX command_inbox_by_age ON command_inbox (received_at);

CREATE TABLE applied_positions (
    consumer text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    position bigint NOT NULL,
    PRIMARY KEY (consumer, topic, partition)
) WITH (fillfactor = 50);

-- one row: when the housekeeping last came to its end, for people and alerts
CREATE TABLE housekeeping (
    one_row boolean PRIMARY KEY DEFAULT true CHECK (one_row),
    ended_at timestamptz
);
INSERT INTO housekeeping DEFAULT VALUES;
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back: what waits in the outbox would be lost."""
    raise NotImplementedError
