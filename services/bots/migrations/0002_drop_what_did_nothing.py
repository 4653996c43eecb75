"""Drop the keys of applications, which opened nothing, and their origins, which nobody looked at."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute("DROP TABLE bots.application_key")
    op.execute("ALTER TABLE bots.application DROP COLUMN allowed_origins")
