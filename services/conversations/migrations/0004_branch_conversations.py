"""Make a tree of the messages, let a question have several answers, and tell other services of answers."""

from alembic import op

revision = "0004"
down_revision = "0003"

_STATEMENTS = (
    "ALTER TABLE conversations.message ADD parent_id uuid",
    "ALTER TABLE conversations.conversation ADD active_message_id uuid",
    # What was said so far is one branch: each question before its own answer.
    """
    UPDATE conversations.message AS m SET parent_id = line.parent_id
    FROM (
        SELECT message.id, lag(message.id) OVER (
            PARTITION BY message.conversation_id ORDER BY run.ordinal, message.sequence
        ) AS parent_id
        FROM conversations.message JOIN conversations.run ON run.id = message.run_id
    ) AS line
    WHERE line.id = m.id
    """,
    """
    UPDATE conversations.conversation AS c SET active_message_id = (
        SELECT message.id FROM conversations.message JOIN conversations.run ON run.id = message.run_id
        WHERE message.conversation_id = c.id ORDER BY run.ordinal DESC, message.sequence DESC LIMIT 1
    )
    """,
    "CREATE INDEX message_children ON conversations.message (parent_id, sequence)",
    # A further answer to an old question shares its number with what was said last.
    "ALTER TABLE conversations.run DROP CONSTRAINT run_conversation_id_ordinal_key",
    "ALTER TABLE conversations.run ADD request_id uuid, ADD UNIQUE (conversation_id, request_id)",
    "CREATE INDEX run_of_message ON conversations.run (message_id)",
    """
    CREATE TABLE conversations.event_outbox (
        id bigserial PRIMARY KEY,
        partition smallint NOT NULL,
        event_id uuid NOT NULL UNIQUE,
        topic text NOT NULL,
        key text NOT NULL,
        payload jsonb NOT NULL,
        headers jsonb NOT NULL DEFAULT '{}',
        created_at timestamptz NOT NULL DEFAULT now()
    ) WITH (autovacuum_vacuum_scale_factor = 0.01)
    """,
    "CREATE INDEX event_outbox_partition ON conversations.event_outbox (partition, id)",
)


def upgrade() -> None:
    for statement in _STATEMENTS:
        op.execute(statement)
