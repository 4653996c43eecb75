"""Create conversations, messages, runs and the outbox."""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    """
    CREATE TABLE conversations.conversation (
        id uuid PRIMARY KEY,
        owner_id text NOT NULL,
        organization_id text,
        title text NOT NULL,
        context jsonb NOT NULL,
        request_id uuid,
        last_sequence integer NOT NULL DEFAULT 0,
        fence bigint NOT NULL DEFAULT 0,
        lease_until timestamptz,
        nudged_at timestamptz,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        UNIQUE (owner_id, request_id)
    )
    """,
    # Pages go from the newest id down; UUIDv7 ids sort by time.
    "CREATE INDEX conversation_page ON conversations.conversation (owner_id, id DESC)",
    """
    CREATE TABLE conversations.run (
        id uuid PRIMARY KEY,
        conversation_id uuid NOT NULL REFERENCES conversations.conversation ON DELETE CASCADE,
        ordinal integer NOT NULL,
        message_id uuid NOT NULL,
        output_message_id uuid,
        state text NOT NULL,
        attempt integer NOT NULL DEFAULT 0,
        cancel_requested boolean NOT NULL DEFAULT false,
        error_reason text NOT NULL DEFAULT '',
        error_message text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL,
        started_at timestamptz,
        ended_at timestamptz,
        UNIQUE (conversation_id, ordinal)
    )
    """,
    # What waits is few, whatever has ended before.
    """
    CREATE INDEX run_open ON conversations.run (conversation_id, ordinal) WHERE state IN ('queued', 'running')
    """,
    """
    CREATE TABLE conversations.message (
        id uuid PRIMARY KEY,
        conversation_id uuid NOT NULL REFERENCES conversations.conversation ON DELETE CASCADE,
        sequence integer NOT NULL,
        role text NOT NULL,
        text text NOT NULL,
        run_id uuid NOT NULL,
        metadata jsonb,
        request_id uuid,
        created_at timestamptz NOT NULL,
        UNIQUE (conversation_id, sequence),
        UNIQUE (conversation_id, request_id)
    )
    """,
    # A run has one question and at most one answer, whatever its workers do.
    "CREATE UNIQUE INDEX message_run_role ON conversations.message (run_id, role)",
    """
    CREATE TABLE conversations.outbox (
        id bigserial PRIMARY KEY,
        event_id uuid NOT NULL UNIQUE,
        topic text NOT NULL,
        key text NOT NULL,
        payload jsonb NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now()
    ) WITH (autovacuum_vacuum_scale_factor = 0.01)
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
