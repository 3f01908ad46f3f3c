"""The copy of clients: whose access was revoked."""

from alembic import op

revision = "webhook_dispatcher_0002"
down_revision = "webhook_dispatcher_0001"
branch_labels = None
depends_on = None

_CHANGES = """
-- A row for every client that has or had subscriptions, announced or not: planning and the revocation lock it.
CREATE TABLE clients (
    client_id uuid PRIMARY KEY,
    -- 0 while nothing was announced of it
    revision bigint NOT NULL DEFAULT 0,
    revoked boolean NOT NULL DEFAULT false
);
INSERT INTO clients (client_id) SELECT DISTINCT client_id FROM subscriptions;
"""


def upgrade() -> None:
    """Make the table."""
    for statement in _CHANGES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back: what was revoked would be sent again."""
    raise NotImplementedError
