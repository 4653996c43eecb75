"""Say where secrets may be sent, who may approve, and what else than text a tool answered."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = (
    """
    CREATE TABLE tools.secret (
        owner text NOT NULL,
        name text NOT NULL,
        hosts jsonb NOT NULL,
        methods jsonb NOT NULL,
        user_ids jsonb NOT NULL,
        organization_role smallint NOT NULL,
        revision integer NOT NULL,
        created_at timestamptz NOT NULL,
        updated_at timestamptz NOT NULL,
        PRIMARY KEY (owner, name)
    )
    """,
    "ALTER TABLE tools.tool ADD requester_may_approve boolean NOT NULL DEFAULT false",
    "ALTER TABLE tools.call ADD content jsonb NOT NULL DEFAULT '[]'",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
