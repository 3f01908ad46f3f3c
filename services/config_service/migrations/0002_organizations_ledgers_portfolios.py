"""Organizations, ledgers and their portfolios, which accounts may name."""

from alembic import op

revision = "config_service_0002"
down_revision = "config_service_0001"
branch_labels = None
depends_on = None

_TABLES = """
CREATE TABLE organizations (
    organization_id uuid PRIMARY KEY,
    client_id uuid NOT NULL,
    legal_name text NOT NULL,
    legal_document text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL
);
-- serves the list of a client's organizations
CREATE INDEX organizations_of_client ON organizations (client_id, created_at, organization_id);

CREATE TABLE ledgers (
    ledger_id uuid PRIMARY KEY,
    client_id uuid NOT NULL,
    organization_id uuid NOT NULL REFERENCES organizations,
    name text NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT ledger_names_in_organization UNIQUE (organization_id, name)
);
-- serves the list of an organization's ledgers
CREATE INDEX ledgers_of_organization ON ledgers (organization_id, created_at, ledger_id);

CREATE TABLE portfolios (
    portfolio_id uuid PRIMARY KEY,
    client_id uuid NOT NULL,
    organization_id uuid NOT NULL REFERENCES organizations,
    ledger_id uuid NOT NULL REFERENCES ledgers,
    name text NOT NULL,
    entity_id text,
    status_code text NOT NULL,
    status_description text,
    metadata jsonb NOT NULL CHECK (jsonb_typeof(metadata) = 'object'),
    revision bigint NOT NULL CHECK (revision >= 1),
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    -- deleted rows stay as the memory of the revision, which only grows
    deleted_at timestamptz
);
-- serve the list of a ledger's portfolios: all of them or those of some days, of one entity, of one status
CREATE INDEX portfolios_of_ledger ON portfolios (ledger_id, created_at, portfolio_id) WHERE deleted_at IS NULL;
CREATE INDEX portfolios_of_entity ON portfolios (ledger_id, entity_id, created_at, portfolio_id)
    WHERE deleted_at IS NULL AND entity_id IS NOT NULL;
CREATE INDEX portfolios_of_status ON portfolios (ledger_id, status_code, created_at, portfolio_id)
    WHERE deleted_at IS NULL;

-- jsonb_build_object is only STABLE because it takes values of any type; of these two it depends on nothing else
CREATE FUNCTION metadata_in_ledger(ledger_id uuid, metadata jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS 'SELECT jsonb_build_object($1::text, $2)';
-- serves the list by metadata.<key>=<value>; with the ledger inside, what others keep costs nothing
CREATE INDEX portfolios_by_metadata ON portfolios
    USING gin (metadata_in_ledger(ledger_id, metadata) jsonb_path_ops) WITH (fastupdate = off)
    WHERE deleted_at IS NULL;

ALTER TABLE accounts ADD CONSTRAINT accounts_in_portfolio FOREIGN KEY (portfolio_id) REFERENCES portfolios;
-- serves the question whether any account names a portfolio, and the list of the accounts that do
CREATE INDEX accounts_of_portfolio ON accounts (portfolio_id, created_at, account_id) WHERE portfolio_id IS NOT NULL;
"""


def upgrade() -> None:
    """Make the tables."""
    for statement in _TABLES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back: portfolios and the accounts in them would be lost."""
    raise NotImplementedError
