"""Subscriptions that can be changed, paused, signed for in more than one way, and approached with credentials."""

from alembic import op

revision = "webhook_dispatcher_0005"
down_revision = "webhook_dispatcher_0004"
branch_labels = None
depends_on = None

_CHANGES = """
ALTER TABLE subscriptions
    -- one more with every change that its client can see
    ADD COLUMN revision bigint NOT NULL DEFAULT 1,
    -- seconds at most between attempts; NULL for the operator's
    ADD COLUMN retry_schedule double precision[],
    -- the schemes that its deliveries are signed by
    ADD COLUMN signature text[] NOT NULL DEFAULT '{v1}',
    -- what verifies v1a
    ADD COLUMN public_key text,
    -- when the next signing key that was replaced stops signing; NULL where none still does
    ADD COLUMN former_keys_until timestamptz,
    -- headers, credentials and certificates of its own, sealed; and what may be seen of them
    ADD COLUMN sealed_access bytea,
    ADD COLUMN header_names text[] NOT NULL DEFAULT '{}',
    ADD COLUMN auth jsonb,
    ADD COLUMN ca_fingerprints text[];
-- serves the forgetting of signing keys
CREATE INDEX subscriptions_with_former_keys ON subscriptions (former_keys_until) WHERE former_keys_until IS NOT NULL;
"""


def upgrade() -> None:
    """Add the columns."""
    for statement in _CHANGES.split(";\n"):
        if statement.strip():
            op.execute(statement)


def downgrade() -> None:
    """There is no way back, as there is none from the migrations before."""
    raise NotImplementedError
