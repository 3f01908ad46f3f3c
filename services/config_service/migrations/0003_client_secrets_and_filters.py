"""Several secrets of a client at once, what is announced of clients, and indexes for the filters of lists."""

from alembic import op

revision = "config_service_0003"
down_revision = "config_service_0002"
branch_labels = None
depends_on = None

_CHANGES = """
ALTER TABLE clients ADD COLUMN revision bigint NOT NULL DEFAULT 1 CHECK (revision >= 1),
                    ADD COLUMN updated_at timestamptz;
UPDATE clients SET updated_at = coalesce(revoked_at, created_at);
ALTER TABLE clients ALTER COLUMN updated_at SET NOT NULL, ALTER COLUMN revision DROP DEFAULT;
-- serve the lists of clients and of those whose access was revoked
CREATE INDEX clients_in_order ON clients (created_at, client_id) WHERE revoked_at IS NULL;
CREATE INDEX clients_revoked ON clients (created_at, client_id) WHERE revoked_at IS NOT NULL;

CREATE TABLE client_secrets (
    client_id uuid NOT NULL REFERENCES clients,
    secret_hash text NOT NULL,
    created_at timestamptz NOT NULL,
    -- the end of its overlap with the secret that came after it; null for the newest
    valid_until timestamptz,
    PRIMARY KEY (client_id, secret_hash)
);
INSERT INTO client_secrets (client_id, secret_hash, created_at) SELECT client_id, secret_hash, created_at FROM clients;
ALTER TABLE clients DROP COLUMN secret_hash;

-- serve the lists of a client's accounts of one user, in one status, of one type
CREATE INDEX accounts_of_user ON accounts (client_id, user_id, created_at, account_id);
CREATE INDEX accounts_in_status ON accounts (client_id, status, created_at, account_id);
CREATE INDEX accounts_of_type ON accounts (client_id, type, created_at, account_id);

CREATE FUNCTION instruments_held(client_id uuid, allocation jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT array_agg($1::text || ''/'' || (item ->> ''instrument_id'')) FROM jsonb_array_elements($2) AS item';
-- serves the list of the allocations that hold an instrument; with the client inside, what others hold costs nothing
CREATE INDEX allocations_holding ON allocations USING gin (instruments_held(client_id, allocation))
    WITH (fastupdate = off) WHERE deleted_at IS NULL;
"""


def upgrade() -> None:
    """Make the changes."""
    for statement in _CHANGES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back: of several secrets only one could be kept."""
    raise NotImplementedError
