"""Let old calls be forgotten, and remember how often the workers were nudged about one."""

from alembic import op

revision = "0002"
down_revision = "0001"

_STATEMENTS = (
    "ALTER TABLE tools.call ADD nudges smallint NOT NULL DEFAULT 0",
    "CREATE INDEX call_ended ON tools.call (ended_at) WHERE ended_at IS NOT NULL",
    "CREATE INDEX call_of_open_run ON tools.call (run_id) WHERE ended_at IS NULL AND run_id IS NOT NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
