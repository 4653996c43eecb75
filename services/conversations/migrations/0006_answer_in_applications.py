"""Remember in which application a conversation is held, and what the prompt of its bot is told."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE conversations.conversation
            ADD application_id uuid,
            ADD prompt_variables jsonb NOT NULL DEFAULT '{}'
        """
    )
