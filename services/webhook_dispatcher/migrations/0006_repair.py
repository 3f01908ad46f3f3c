"""What repair takes: sending again, recoveries, the search for an event; and partitions for what finds no other."""

from alembic import op

revision = "webhook_dispatcher_0006"
down_revision = "webhook_dispatcher_0005"
branch_labels = None
depends_on = None

_CHANGES = """
ALTER TABLE deliveries
    -- how many attempts there were when it was last sent again: its schedule begins anew behind them
    ADD COLUMN tried_before integer NOT NULL DEFAULT 0,
    -- the recovery that has last sent it again
    ADD COLUMN recovery_id uuid;
-- serves a recovery: how much of it waits
CREATE INDEX deliveries_open_recovered ON deliveries_open (recovery_id) WHERE recovery_id IS NOT NULL;
-- serves lists by state; what is delivered is most of all, and read along time
CREATE INDEX deliveries_ended_by_state ON deliveries_ended (client_id, state, created_at, id)
    WHERE state <> 'DELIVERED';
-- as above within a subscription; serves a recovery, which goes through what has failed
CREATE INDEX deliveries_ended_by_state_of_subscription ON deliveries_ended (subscription_id, state, created_at, id)
    WHERE state <> 'DELIVERED';
-- serves the search for an event; the client comes second, so that no list of its deliveries is read along this
CREATE INDEX deliveries_of_event ON deliveries (event_id, client_id);
-- serves the search for an event that stands in a package behind others
CREATE INDEX deliveries_of_packed_event ON deliveries USING gin (more_event_ids) WHERE more_event_ids <> '{}';

ALTER TABLE endpoints
    -- the last failed attempt
    ADD COLUMN failed_at timestamptz,
    -- its subscription was switched off for failing too long, and what waits for it is being ended
    ADD COLUMN given_up_at timestamptz;
-- serves the job that switches off what has failed for days
CREATE INDEX endpoints_failing ON endpoints (failing_since) WHERE failing_since IS NOT NULL;
CREATE INDEX endpoints_given_up ON endpoints (given_up_at) WHERE given_up_at IS NOT NULL;

CREATE TABLE recoveries (
    id uuid PRIMARY KEY,
    client_id uuid NOT NULL,
    subscription_id uuid NOT NULL,
    -- what was planned from the first moment on and before the second
    since timestamptz NOT NULL,
    until timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'RUNNING' CHECK (state IN ('RUNNING', 'COMPLETED', 'CANCELLED', 'STOPPED')),
    reason text,
    -- how far it has come: the delivery that it goes on behind
    reached_at timestamptz NOT NULL,
    reached_id uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    -- how many were sent again, were stopped by the gate, and are of no use to send
    recovered bigint NOT NULL DEFAULT 0,
    suppressed bigint NOT NULL DEFAULT 0,
    left_out bigint NOT NULL DEFAULT 0,
    -- its next step
    due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    updated_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
-- one at a time for each subscription, so that order holds
CREATE UNIQUE INDEX recoveries_running ON recoveries (subscription_id) WHERE state = 'RUNNING';
-- serves the worker: whose step is due
CREATE INDEX recoveries_due ON recoveries (due_at) WHERE state = 'RUNNING';
-- serves a subscription's list
CREATE INDEX recoveries_of_subscription ON recoveries (subscription_id, created_at, id);
-- serves the job that forgets old ones
CREATE INDEX recoveries_ended ON recoveries (updated_at) WHERE state <> 'RUNNING';

-- Whatever has no partition of its own (the job that makes them was away for weeks, or the clock was wrong) is kept all
-- the same, and moved when the job comes.
CREATE TABLE deliveries_ended_default PARTITION OF deliveries_ended DEFAULT;
CREATE TABLE attempts_default PARTITION OF attempts DEFAULT;
"""

#: A function, since the dispatcher's connections plan by index alone, and an index of arrays is read by bitmaps only.
_PACKED = """
CREATE FUNCTION deliveries_packed_with(client uuid, event text) RETURNS SETOF uuid
LANGUAGE sql STABLE SET enable_bitmapscan = on SET enable_indexscan = off
AS $$ SELECT id FROM deliveries
      WHERE more_event_ids @> ARRAY[event] AND more_event_ids <> '{}' AND client_id = client $$
"""


def upgrade() -> None:
    """Make the columns, indexes and tables."""
    for statement in _CHANGES.split(";\n"):
        if statement.strip():
            op.execute(statement)
    op.execute(_PACKED)


def downgrade() -> None:
    """There is no way back, as there is none from the migrations before."""
    raise NotImplementedError
