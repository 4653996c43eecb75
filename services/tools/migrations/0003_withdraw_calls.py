"""Remember which runs have ended with open calls: none of their calls is begun any more."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    "CREATE TABLE tools.ended_run (id uuid PRIMARY KEY, ended_at timestamptz NOT NULL DEFAULT now())",
    "CREATE INDEX ended_run_time ON tools.ended_run (ended_at)",
    """
    CREATE INDEX call_of_ended_run ON tools.call (run_id)
    WHERE run_id IS NOT NULL AND state IN ('withdrawn', 'unknown')
    """,
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
