"""What the people who run the system look through: subscriptions of all clients."""

from alembic import op

revision = "webhook_dispatcher_0007"
down_revision = "webhook_dispatcher_0006"
branch_labels = None
depends_on = None

_CHANGES = """
-- serves the list of all clients' subscriptions
CREATE INDEX subscriptions_of_all ON subscriptions (created_at, id) WHERE deleted_at IS NULL;
"""


def upgrade() -> None:
    """Make the index."""
    for statement in _CHANGES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back, as there is none from the migrations before."""
    raise NotImplementedError
