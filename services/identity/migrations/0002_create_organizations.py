"""Create organisations; keep of users whether the address is verified, of sessions where from and when last used."""

from alembic import op

revision = "0002"
down_revision = "0001"

_STATEMENTS = (
    """
    CREATE TABLE identity.organizations (
        id uuid PRIMARY KEY,
        name text NOT NULL,
        description text NOT NULL DEFAULT '',
        created_at timestamptz NOT NULL
    )
    """,
    "CREATE UNIQUE INDEX organizations_name ON identity.organizations (lower(name))",
    "ALTER TABLE identity.users ADD COLUMN email_verified boolean NOT NULL DEFAULT false",
    """
    ALTER TABLE identity.users ADD CONSTRAINT users_organization
        FOREIGN KEY (organization_id) REFERENCES identity.organizations ON DELETE SET NULL
    """,
    "CREATE INDEX users_organization ON identity.users (organization_id, id) WHERE organization_id IS NOT NULL",
    "ALTER TABLE identity.sessions ADD COLUMN used_at timestamptz",
    "ALTER TABLE identity.sessions ADD COLUMN address text NOT NULL DEFAULT ''",
)


def upgrade() -> None:
    """Create the table and the columns."""
    for statement in _STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    """Drop them."""
    op.execute("ALTER TABLE identity.sessions DROP COLUMN used_at, DROP COLUMN address")
    op.execute("ALTER TABLE identity.users DROP CONSTRAINT users_organization, DROP COLUMN email_verified")
    op.execute("DROP INDEX identity.users_organization")
    op.execute("DROP TABLE identity.organizations")
