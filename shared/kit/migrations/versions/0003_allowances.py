"""How much each client may still ask for; shared by all replicas of a service."""

from alembic import op

revision = "kit_0003"
down_revision = "kit_0002"
branch_labels = None
depends_on = None

_TABLE = """
-- Unlogged: a crash of the database fills all buckets again, and a commit here waits for no disk.
CREATE UNLOGGED TABLE allowances (
    subject text PRIMARY KEY,
    tokens double precision NOT NULL,
    -- how many the last statement has handed out
    granted integer NOT NULL,
    refilled_at timestamptz NOT NULL
    -- No index but the key's, so that updates stay within their page; the housekeeping reads the whole small table.
) WITH (fillfactor = 50)
"""


def upgrade() -> None:
    """Make the table."""
    op.execute(_TABLE)


def downgrade() -> None:
    """Drop it: all buckets are full again."""
    op.execute("DROP TABLE allowances")
