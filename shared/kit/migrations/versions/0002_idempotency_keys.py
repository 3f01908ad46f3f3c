"""Answers kept for requests that are sent again under the same idempotency key."""

from alembic import op

revision = "kit_0002"
down_revision = "kit_0001"
branch_labels = None
depends_on = None

_TABLE = """
CREATE TABLE idempotency_keys (
    client_id uuid NOT NULL,
    method text NOT NULL,
    path text NOT NULL,
    key uuid NOT NULL,
    -- SHA-256 of the request's body
    body_hash bytea NOT NULL,
    -- the answer as it is sent again: its secrets are left out
    status smallint NOT NULL,
    location text,
    etag text,
    body bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (client_id, key, method, path)
) WITH (autovacuum_vacuum_scale_factor = 0.05)
"""

#: serves the housekeeping, which forgets keys by age
_BY_AGE = "CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at)"

#: One statement for the caller, three for the server, and each of these sees what was committed before it began: only a
#: VOLATILE function looks anew after the lock. A plain SELECT would look with the snapshot from before it, and miss the
#: answer of a twin that committed in between. What is kept is found without the lock, so that replays never wait for or
#: refuse each other.
_FUNCTION = """
CREATE FUNCTION answer_kept_or_lock(asking uuid, asked_method text, asked_path text, asked_key uuid)
RETURNS TABLE (in_flight boolean, body_hash bytea, status smallint, location text, etag text, body bytea)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    identity text := concat_ws(' ', 'idempotency', asking, asked_method, asked_path, asked_key);
BEGIN
    FOR attempt IN 1..2 LOOP
        RETURN QUERY
            SELECT false, k.body_hash, k.status, k.location, k.etag, k.body FROM idempotency_keys AS k
            WHERE k.client_id = asking AND k.key = asked_key AND k.method = asked_method AND k.path = asked_path
              AND k.created_at > now() - interval '24 hours';
        EXIT WHEN FOUND OR attempt = 2;
        IF NOT pg_try_advisory_xact_lock(hashtextextended(identity, 0)) THEN
            RETURN QUERY SELECT true, NULL::bytea, NULL::smallint, NULL::text, NULL::text, NULL::bytea;
            EXIT;
        END IF;
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Make the table and the function that asks it."""
    for statement in (_TABLE, _BY_AGE, _FUNCTION):
        op.execute(statement)


def downgrade() -> None:
    """There is no way back: what was done under a key could be done again."""
    raise NotImplementedError
