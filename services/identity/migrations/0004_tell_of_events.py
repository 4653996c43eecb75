"""Create what tells other services of events, and what remembers the events that were dealt with."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = (
    """
    CREATE TABLE identity.event_outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        partition smallint NOT NULL,
        event_id uuid NOT NULL UNIQUE,
        topic text NOT NULL,
        key text NOT NULL,
        payload jsonb NOT NULL,
        headers jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now()
    ) WITH (autovacuum_vacuum_scale_factor = 0.01)
    """,
    "CREATE INDEX event_outbox_partition ON identity.event_outbox (partition, id)",
    """
    CREATE TABLE identity.inbox (
        consumer text NOT NULL,
        event_id uuid NOT NULL,
        received_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (consumer, event_id)
    )
    """,
    "CREATE INDEX inbox_received ON identity.inbox (received_at)",
)


def upgrade() -> None:
    """Create the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables."""
    op.execute("DROP TABLE identity.inbox")
    op.execute("DROP TABLE identity.event_outbox")
