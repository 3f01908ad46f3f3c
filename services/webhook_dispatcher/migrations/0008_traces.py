"""Deliveries that belong to the trace of their event."""

from alembic import op

revision = "webhook_dispatcher_0008"
down_revision = "webhook_dispatcher_0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column: at once, whatever there is; dispatchers that do not know it yet go on, and leave it empty."""
    # The W3C trace context that every attempt hangs on: of a package, that of its first event.
    op.execute("ALTER TABLE deliveries ADD COLUMN traceparent text")


def downgrade() -> None:
    """There is no way back, as there is none from the migrations before."""
    raise NotImplementedError
