"""Create users, sessions and refresh tokens."""

from alembic import op

revision = "0001"
down_revision = None

_STATEMENTS = (
    """
    CREATE TABLE identity.users (
        id uuid PRIMARY KEY,
        email text NOT NULL,
        username text NOT NULL,
        password_hash text NOT NULL,
        display_name text NOT NULL,
        avatar_url text NOT NULL DEFAULT '',
        native_language text NOT NULL DEFAULT 'vi',
        target_language text NOT NULL DEFAULT 'en',
        level text NOT NULL DEFAULT 'beginner',
        roles text[] NOT NULL DEFAULT '{user}',
        is_active boolean NOT NULL DEFAULT true,
        organization_id uuid,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX users_email ON identity.users (lower(email))",
    "CREATE UNIQUE INDEX users_username ON identity.users (lower(username))",
    """
    CREATE TABLE identity.sessions (
        id uuid PRIMARY KEY,
        user_id uuid NOT NULL REFERENCES identity.users ON DELETE CASCADE,
        created_at timestamptz NOT NULL,
        expires_at timestamptz NOT NULL,
        ended_at timestamptz
    )
    """,
    "CREATE INDEX sessions_user ON identity.sessions (user_id)",
    "CREATE INDEX sessions_expiry ON identity.sessions (expires_at)",
    "CREATE INDEX sessions_end ON identity.sessions (ended_at) WHERE ended_at IS NOT NULL",
    """
    CREATE TABLE identity.refresh_tokens (
        token_hash bytea PRIMARY KEY,
        session_id uuid NOT NULL REFERENCES identity.sessions ON DELETE CASCADE,
        expires_at timestamptz NOT NULL,
        spent_at timestamptz
    )
    """,
    "CREATE INDEX refresh_tokens_session ON identity.refresh_tokens (session_id)",
    "CREATE INDEX refresh_tokens_expiry ON identity.refresh_tokens (expires_at)",
)


def upgrade() -> None:
    """Create the tables."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop the tables."""
    for table in ("refresh_tokens", "sessions", "users"):
        op.execute(f"DROP TABLE identity.{table}")
