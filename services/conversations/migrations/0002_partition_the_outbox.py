"""Partition the outbox by key, and keep the trace of what is in it."""

import zlib

from alembic import op
from sqlalchemy import text

revision = "0002"
down_revision = "0001"

_PARTITIONS = 16
_STATEMENTS = (
    "ALTER TABLE conversations.outbox ALTER partition SET NOT NULL, ALTER headers SET NOT NULL",
    "CREATE INDEX outbox_partition ON conversations.outbox (partition, id)",
)


def upgrade() -> None:
    op.execute("ALTER TABLE conversations.outbox ADD partition smallint, ADD headers jsonb DEFAULT '{}'")
    connection = op.get_bind()
    for key in connection.scalars(text("SELECT DISTINCT key FROM conversations.outbox")).all():
        connection.execute(
            text("UPDATE conversations.outbox SET partition = :partition WHERE key = :key"),
            {"partition": zlib.crc32(key.encode()) % _PARTITIONS, "key": key},
        )
    for statement in _STATEMENTS:
        op.execute(statement)
