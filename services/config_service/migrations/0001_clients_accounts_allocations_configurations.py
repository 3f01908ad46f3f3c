"""Clients, signing keys, accounts, allocations and configurations."""

from alembic import op

revision = "config_service_0001"
down_revision = None
branch_labels = ("config_service",)
depends_on = None

_TABLES = """
CREATE TABLE clients (
    client_id uuid PRIMARY KEY,
    name text NOT NULL,
    secret_hash text NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    revoked_at timestamptz
);

CREATE TABLE signing_keys (
    kid text PRIMARY KEY,
    -- the private key as JWK, sealed: a copy of the database must not be able to sign tokens
    sealed bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE accounts (
    account_id uuid PRIMARY KEY,
    -- here and below without a reference to clients: an external issuer may keep the clients
    client_id uuid NOT NULL,
    user_id uuid NOT NULL,
    type text NOT NULL CHECK (type IN ('TRADING', 'PORTFOLIO')),
    status text NOT NULL CHECK (status IN ('PENDING_APPROVAL', 'ACTIVE', 'CLOSING', 'CLOSED', 'LOCKED')),
    name text,
    portfolio_id uuid,
    revision bigint NOT NULL CHECK (revision >= 1),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
-- serves the list of a client's accounts
CREATE INDEX accounts_of_client ON accounts (client_id, created_at, account_id);

CREATE TABLE allocations (
    allocation_id uuid PRIMARY KEY,
    client_id uuid NOT NULL,
    name text,
    -- read and replaced as a whole, never by item; weights are decimals in strings
    allocation jsonb NOT NULL CHECK (jsonb_array_length(allocation) >= 1),
    revision bigint NOT NULL CHECK (revision >= 1),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz
);
-- serves the list of a client's allocations
CREATE INDEX allocations_of_client ON allocations (client_id, created_at, allocation_id) WHERE deleted_at IS NULL;

CREATE TABLE configurations (
    -- one row for each account that was ever configured; never deleted, since version and revision only grow
    account_id uuid PRIMARY KEY REFERENCES accounts,
    client_id uuid NOT NULL,
    allocation_id uuid NOT NULL REFERENCES allocations,
    version bigint NOT NULL CHECK (version >= 1),
    revision bigint NOT NULL CHECK (revision >= version),
    configured boolean NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    deleted_at timestamptz,
    CHECK (configured = (deleted_at IS NULL))
);
-- serves the question whether an allocation is used, and the list of the configurations with it
CREATE INDEX configurations_with_allocation ON configurations (allocation_id, created_at, account_id) WHERE configured;
-- serves the list of a client's configurations
CREATE INDEX configurations_of_client ON configurations (client_id, created_at, account_id) WHERE configured;
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back: accounts and what they are invested in would be lost."""
    raise NotImplementedError
