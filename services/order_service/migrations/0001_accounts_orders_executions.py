"""The service's own tables: the copy of accounts, orders, rebalancing executions."""

from alembic import op

revision = "order_service_0001"
down_revision = None
branch_labels = ("order_service",)
depends_on = None

_ACCOUNTS = """
CREATE TABLE accounts (
    -- one row per account that was ever heard of; its lock is the lock of the account (promise P2)
    account_id uuid PRIMARY KEY,
    client_id uuid,
    type text,
    status text,
    account_revision bigint NOT NULL DEFAULT 0,
    account_quarantined text,
    configured boolean NOT NULL DEFAULT false,
    allocation_id uuid,
    configuration_version bigint NOT NULL DEFAULT 0,
    configuration_revision bigint NOT NULL DEFAULT 0,
    configuration_quarantined text
) WITH (fillfactor = 80)
"""

#: serves rebalancings of allocations: their accounts
_ACCOUNTS_OF_ALLOCATIONS = """
CREATE INDEX accounts_of_allocations ON accounts (allocation_id) WHERE configured
"""

_EXECUTIONS = """
CREATE TABLE rebalancing_executions (
    -- the client may choose the id, and must not meet another client's choice
    client_id uuid NOT NULL,
    id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, id)
)
"""

_ORDERS = """
CREATE TABLE orders (
    id uuid PRIMARY KEY,
    client_id uuid NOT NULL,
    -- no reference to accounts: an execution order may name an account that does not exist
    account_id uuid NOT NULL,
    user_id uuid,
    allocation_id uuid,
    configuration_version bigint,
    kind text NOT NULL CHECK (kind IN ('PORTFOLIO', 'REBALANCING')),
    side text CHECK (side IN ('BUY', 'SELL')),
    cash_amount numeric CHECK (cash_amount > 0),
    currency text,
    client_reference text,
    execution_id uuid,
    status text NOT NULL CHECK (status IN ('NEW', 'PROCESSING', 'FILLED', 'SETTLED', 'CANCELLED')),
    cancellation_reason text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    processing_at timestamptz,
    filled_at timestamptz,
    settled_at timestamptz,
    cancelled_at timestamptz,
    CONSTRAINT orders_fields_of_the_kind CHECK (
        CASE kind
            WHEN 'PORTFOLIO' THEN
                num_nulls(user_id, allocation_id, configuration_version, side, cash_amount, currency) = 0
                AND execution_id IS NULL
            ELSE num_nonnulls(user_id, side, cash_amount, currency, client_reference) = 0
                AND execution_id IS NOT NULL AND status <> 'SETTLED'
        END),
    CONSTRAINT orders_tagged_unless_cancelled CHECK (configuration_version IS NOT NULL OR status = 'CANCELLED'),
    CONSTRAINT orders_cancelled_for_a_reason CHECK (
        CASE WHEN status <> 'CANCELLED' THEN num_nonnulls(cancellation_reason, cancelled_at) = 0
             WHEN cancelled_at IS NULL OR cancellation_reason IS NULL THEN false
             WHEN kind = 'PORTFOLIO' THEN
                 cancellation_reason IN ('CANCELLED_BY_CLIENT', 'CONFIGURATION_DELETED', 'REJECTED_BY_UPSTREAM')
             ELSE cancellation_reason IN (
                 'ACCOUNT_NOT_FOUND', 'ACCOUNT_IS_EMPTY', 'CONFIGURATION_IS_MISSING', 'INVALID_ACCOUNT_TYPE',
                 'INVALID_ACCOUNT_STATUS', 'PORTFOLIO_IS_BALANCED', 'CANCELLED_BY_CLIENT')
        END)
)
"""

#: serves the cancellation; an order leaves it with its first transition, so it stays as small as what is open
_NEW_ORDERS = """
CREATE INDEX orders_new ON orders (account_id) WHERE status = 'NEW'
"""

#: serves lists by account; narrow, as the next, because every transition of an order writes a new entry into both
_ORDERS_OF_ACCOUNTS = """
CREATE INDEX orders_of_accounts ON orders (account_id, created_at)
"""

#: serves lists over all accounts of a client
_ORDERS_OF_CLIENTS = """
CREATE INDEX orders_of_clients ON orders (client_id, created_at)
"""

#: serves the orders of an execution
_ORDERS_OF_EXECUTIONS = """
CREATE INDEX orders_of_executions ON orders (execution_id, created_at) WHERE execution_id IS NOT NULL
"""


def upgrade() -> None:
    """Make the tables and their indexes."""
    for statement in (
        _ACCOUNTS,
        _ACCOUNTS_OF_ALLOCATIONS,
        _EXECUTIONS,
        _ORDERS,
        _NEW_ORDERS,
        _ORDERS_OF_ACCOUNTS,
        _ORDERS_OF_CLIENTS,
        _ORDERS_OF_EXECUTIONS,
    ):
        op.execute(statement)


def downgrade() -> None:
    """There is no way back: orders would be lost."""
    raise NotImplementedError
