"""Create what surrounds the directory: audit events, invitations, members' roles, API keys, requests, the outbox."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    """
    CREATE TABLE identity.audit_events (
        id uuid PRIMARY KEY,
        created_at timestamptz NOT NULL,
        actor_id text NOT NULL,
        action text NOT NULL,
        subject_id text NOT NULL,
        address text NOT NULL,
        request_id text NOT NULL,
        outcome text NOT NULL,
        details jsonb NOT NULL
    )
    """,
    "CREATE INDEX audit_events_actor ON identity.audit_events (actor_id, id)",
    "CREATE INDEX audit_events_subject ON identity.audit_events (subject_id, id)",
    "CREATE INDEX audit_events_action ON identity.audit_events (action, id)",
    """
    CREATE FUNCTION identity.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE EXCEPTION 'audit events are never changed or deleted' USING ERRCODE = 'insufficient_privilege';
    END $$
    """,
    """
    CREATE TRIGGER audit_events_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON identity.audit_events
        FOR EACH STATEMENT EXECUTE FUNCTION identity.refuse_change()
    """,
    """
    CREATE TABLE identity.member_roles (
        organization_id uuid NOT NULL,
        user_id uuid NOT NULL,
        role text NOT NULL,
        PRIMARY KEY (organization_id, user_id)
    )
    """,
    """
    CREATE TABLE identity.invitations (
        id uuid PRIMARY KEY,
        organization_id uuid NOT NULL,
        email text NOT NULL,
        role text NOT NULL,
        token_hash bytea UNIQUE,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        closed_at timestamptz
    )
    """,
    "CREATE INDEX invitations_organization ON identity.invitations (organization_id, id) WHERE closed_at IS NULL",
    """
    CREATE TABLE identity.api_keys (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL,
        name text NOT NULL,
        prefix text NOT NULL,
        key_hash bytea NOT NULL UNIQUE,
        scopes text[] NOT NULL,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        last_used_at timestamptz,
        revoked_at timestamptz
    )
    """,
    "CREATE INDEX api_keys_user ON identity.api_keys (user_id, id) WHERE revoked_at IS NULL",
    """
    CREATE TABLE identity.requests (
        user_id text NOT NULL,
        request_id uuid NOT NULL,
        content_hash bytea NOT NULL,
        made_id uuid NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (user_id, request_id)
    )
    """,
    """
    CREATE TABLE identity.outbox (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        partition smallint NOT NULL,
        event_id uuid NOT NULL UNIQUE,
        topic text NOT NULL,
        key text NOT NULL,
        payload jsonb NOT NULL,
        headers jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX outbox_partition ON identity.outbox (partition, id)",
)
_TABLES = ("outbox", "requests", "api_keys", "invitations", "member_roles", "audit_events")


def upgrade() -> None:
    """Create the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables."""
    for table in _TABLES:
        op.execute(f"DROP TABLE identity.{table}")
    op.execute("DROP FUNCTION identity.refuse_change")
