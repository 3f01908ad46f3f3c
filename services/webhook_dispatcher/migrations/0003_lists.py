"""Indexes that serve a list in both directions and by cursor: in one direction throughout, with the id at the end."""

from alembic import op

revision = "webhook_dispatcher_0003"
down_revision = "webhook_dispatcher_0002"
branch_labels = None
depends_on = None

_INDEXES = """
DROP INDEX deliveries_of_client;
DROP INDEX deliveries_of_subscription;
DROP INDEX deliveries_of_account;
DROP INDEX subscriptions_of_client;
-- serves a client's list
CREATE INDEX deliveries_of_client ON deliveries (client_id, created_at, id);
-- serves a subscription's list
CREATE INDEX deliveries_of_subscription ON deliveries (subscription_id, created_at, id);
-- serves the list of an account's deliveries
CREATE INDEX deliveries_of_account ON deliveries (account_id, created_at, id) WHERE account_id IS NOT NULL;
-- serves planning (the enabled ones of a batch's clients) and a client's list
CREATE INDEX subscriptions_of_client ON subscriptions (client_id, created_at, id) WHERE deleted_at IS NULL;
"""


def upgrade() -> None:
    """Replace the indexes."""
    for statement in _INDEXES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back, as there is none from the migrations before."""
    raise NotImplementedError
