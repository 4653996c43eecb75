"""Note, with the end of a run, that its open calls of tools are to be withdrawn."""

from alembic import op

revision = "0008"
down_revision = "0007"

_STATEMENTS = (
    # The run may be deleted before its calls are withdrawn: no reference.
    """
    CREATE TABLE conversations.withdrawal (
        run_id uuid PRIMARY KEY,
        tries smallint NOT NULL DEFAULT 0,
        due_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX withdrawal_due ON conversations.withdrawal (due_at)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
