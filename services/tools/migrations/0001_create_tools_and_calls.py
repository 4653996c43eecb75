"""Create tools, their calls and the outbox."""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    """
    CREATE TABLE tools.tool (
        id uuid PRIMARY KEY,
        owner text NOT NULL,
        name text NOT NULL,
        description text NOT NULL,
        arguments_schema text NOT NULL,
        source jsonb NOT NULL,
        secret_headers jsonb NOT NULL,
        idempotent boolean NOT NULL,
        needs_approval boolean NOT NULL,
        timeout_seconds integer NOT NULL,
        retries integer NOT NULL,
        revision integer NOT NULL,
        request_id uuid,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        UNIQUE (owner, request_id),
        CONSTRAINT tool_name UNIQUE (owner, name)
    )
    """,
    "CREATE INDEX tool_page ON tools.tool (owner, id DESC)",
    # A call outlives its tool: what was done is known.
    """
    CREATE TABLE tools.call (
        id uuid PRIMARY KEY,
        position bigint GENERATED ALWAYS AS IDENTITY,
        owner text NOT NULL,
        user_id text NOT NULL,
        tool_id uuid NOT NULL,
        tool_name text NOT NULL,
        tool_revision integer NOT NULL,
        arguments text NOT NULL,
        state text NOT NULL,
        result text NOT NULL DEFAULT '',
        error_reason text NOT NULL DEFAULT '',
        error_message text NOT NULL DEFAULT '',
        attempt integer NOT NULL DEFAULT 0,
        conversation_id uuid,
        run_id uuid,
        decided_by text NOT NULL DEFAULT '',
        approval_until timestamptz,
        fence integer NOT NULL DEFAULT 0,
        lease_until timestamptz,
        nudged_at timestamptz,
        created_at timestamptz NOT NULL,
        started_at timestamptz,
        ended_at timestamptz
    )
    """,
    "CREATE INDEX call_page ON tools.call (owner, position DESC)",
    "CREATE INDEX call_conversation ON tools.call (conversation_id, position DESC) WHERE conversation_id IS NOT NULL",
    "CREATE INDEX call_tool ON tools.call (tool_id, position DESC)",
    "CREATE INDEX call_waiting ON tools.call (approval_until) WHERE state = 'waiting_for_approval'",
    # What is open is little, whatever has ended before.
    "CREATE INDEX call_open ON tools.call (state, id) WHERE state IN ('requested', 'running')",
    """
    CREATE TABLE tools.outbox (
        id bigserial PRIMARY KEY,
        partition smallint NOT NULL,
        event_id uuid NOT NULL UNIQUE,
        topic text NOT NULL,
        key text NOT NULL,
        payload jsonb NOT NULL,
        headers jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now()
    ) WITH (autovacuum_vacuum_scale_factor = 0.01)
    """,
    "CREATE INDEX outbox_partition ON tools.outbox (partition, id)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
