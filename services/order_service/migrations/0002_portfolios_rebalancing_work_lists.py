"""Ledger portfolios and what they allow their accounts, the work of rebalancings, and the indexes of the lists."""

from alembic import op

revision = "order_service_0002"
down_revision = "order_service_0001"
branch_labels = None
depends_on = None

_PORTFOLIOS = """
CREATE TABLE portfolios (
    -- one row per ledger portfolio that was ever heard of; its lock comes before those of its accounts
    portfolio_id uuid PRIMARY KEY,
    revision bigint NOT NULL DEFAULT 0,
    blocked boolean NOT NULL DEFAULT false,
    -- why what is known of it cannot be trusted; nothing is known of one that only its accounts have named
    quarantined text DEFAULT 'not heard of yet'
) WITH (fillfactor = 80)
"""

#: What an account's portfolio allows stands on the account's own row, so that its lock is all that an order needs.
_ACCOUNTS = """
ALTER TABLE accounts
    ADD portfolio_id uuid,
    ADD portfolio_blocked boolean NOT NULL DEFAULT false,
    ADD portfolio_quarantined text
"""

#: serves a portfolio that is blocked: its accounts
_ACCOUNTS_OF_PORTFOLIOS = """
CREATE INDEX accounts_of_portfolios ON accounts (portfolio_id) WHERE portfolio_id IS NOT NULL
"""

_EXECUTIONS = """
ALTER TABLE rebalancing_executions
    ADD cancelled_at timestamptz,
    -- when the worker is to look at it next; null once nothing is left to do
    ADD due_at timestamptz,
    -- what the events of its orders have in their headers, since nobody who asked is there any more when they are made
    ADD announced_with jsonb,
    ADD cancelled_with jsonb
"""

#: serves the worker
_EXECUTIONS_DUE = """
CREATE INDEX rebalancing_executions_due ON rebalancing_executions (due_at) WHERE due_at IS NOT NULL
"""

#: serves the list of a client's executions
_EXECUTIONS_OF_CLIENTS = """
CREATE INDEX rebalancing_executions_of_clients ON rebalancing_executions (client_id, created_at, id)
"""

_TARGETS = """
CREATE TABLE rebalancing_targets (
    -- the accounts of an execution whose orders are still to be made; a row goes with the making of its order
    client_id uuid NOT NULL,
    execution_id uuid NOT NULL,
    account_id uuid NOT NULL,
    PRIMARY KEY (client_id, execution_id, account_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000)
"""

#: Cursors go on behind an order's time and id, so each index of a list ends with both. They are narrow, because every
#: transition of an order writes a new entry into each.
_LISTS = (
    "DROP INDEX orders_of_accounts, orders_of_clients, orders_of_executions",
    "CREATE INDEX orders_of_accounts ON orders (account_id, created_at, id)",
    "CREATE INDEX orders_of_clients ON orders (client_id, created_at, id)",
    "CREATE INDEX orders_of_allocations ON orders (allocation_id, created_at, id)",
    # what is under way is little beside what is over, and would be looked for in all of that; what is over leaves it
    """
    CREATE INDEX orders_open ON orders (client_id, status, created_at, id) WHERE status IN ('NEW', 'PROCESSING')
    """,
    "CREATE INDEX orders_of_executions ON orders (execution_id, created_at, id) WHERE execution_id IS NOT NULL",
    # serves the count of an execution's orders by status as well, and its cancellation
    """
    CREATE INDEX orders_of_executions_by_status ON orders (execution_id, status, created_at, id)
    WHERE execution_id IS NOT NULL
    """,
)


def upgrade() -> None:
    """Make the tables, columns and indexes."""
    for statement in (
        _PORTFOLIOS,
        _ACCOUNTS,
        _ACCOUNTS_OF_PORTFOLIOS,
        _EXECUTIONS,
        _EXECUTIONS_DUE,
        _EXECUTIONS_OF_CLIENTS,
        _TARGETS,
        *_LISTS,
    ):
        op.execute(statement)


def downgrade() -> None:
    """There is no way back: what portfolios allow would be lost."""
    raise NotImplementedError
