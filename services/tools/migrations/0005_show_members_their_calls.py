"""Find the calls that one user asked for among those of an owner."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("CREATE INDEX call_asked ON tools.call (owner, user_id, position DESC)")
