"""Remember which bot answers in a conversation."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.execute("ALTER TABLE conversations.conversation ADD bot_id uuid")
