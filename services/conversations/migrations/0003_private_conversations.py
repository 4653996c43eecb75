"""Keep the wrapped data key of private conversations."""

from alembic import op

revision = "0003"
down_revision = "0002"

_STATEMENTS = (
    "ALTER TABLE conversations.conversation ADD COLUMN data_key text",
    # For wrapping the keys anew: private conversations are few.
    "CREATE INDEX conversation_private ON conversations.conversation (id) WHERE data_key IS NOT NULL",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
