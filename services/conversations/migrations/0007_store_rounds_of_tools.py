"""Store the rounds of calls of a run, so that whoever takes it over goes on after the last one."""

from alembic import op

revision = "0007"
down_revision = "0006"

_STATEMENTS = (
    """
    CREATE TABLE conversations.run_round (
        run_id uuid NOT NULL REFERENCES conversations.run ON DELETE CASCADE,
        depth integer NOT NULL,
        text text NOT NULL,
        metadata jsonb NOT NULL,
        calls jsonb NOT NULL,
        asked_at timestamptz NOT NULL,
        PRIMARY KEY (run_id, depth)
    )
    """,
    "ALTER TABLE conversations.run ADD tool_required boolean NOT NULL DEFAULT false",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
