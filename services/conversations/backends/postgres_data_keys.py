"""Wraps the data keys of private conversations anew after their keeper's key was rotated."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from sqlalchemy import func, select, update

from services.chassis.database import Database
from services.chassis.field_encryption import Cipher, FieldEncryption, Plain
from services.conversations.backends.seals import context_of
from services.conversations.backends.tables import CONVERSATION


@dataclass(frozen=True, slots=True)
class PostgresDataKeys:
    """What is left is what does not say that the newest key wrapped it: stopped anywhere, it goes on from there."""

    database: Database
    encryption: FieldEncryption
    batch: int = 500

    async def rewrap(self) -> AsyncGenerator[tuple[int, int], None]:
        """Wrap all data keys anew, batch by batch; yield how many are done and how many are left after each.

        Conversations may be opened, read, written and deleted meanwhile; two of these may run at once.

        Raises:
            Undecipherable: a wrapped key does not open.
            SecretsUnavailable: the keeper of the keys is away.
        """
        (probe,) = await self.encryption.encrypt([Plain("newest", b"")])
        newest = probe.rpartition(":")[0] + ":"
        old = CONVERSATION.c.data_key.is_not(None) & ~CONVERSATION.c.data_key.startswith(newest, autoescape=True)
        done = 0
        while True:
            async with self.database.transaction() as connection:
                rows = (
                    await connection.execute(
                        select(CONVERSATION.c.id, CONVERSATION.c.data_key).where(old).limit(self.batch)
                    )
                ).all()
            if not rows:
                return
            wrapped = await self.encryption.rewrap([Cipher(context_of(row.id), row.data_key) for row in rows])
            async with self.database.transaction() as connection:
                for row, anew in zip(rows, wrapped, strict=True):
                    # Only what was read is replaced: another run of this may have been faster.
                    await connection.execute(
                        update(CONVERSATION)
                        .where(CONVERSATION.c.id == row.id, CONVERSATION.c.data_key == row.data_key)
                        .values(data_key=anew)
                    )
                left = await connection.scalar(select(func.count()).select_from(CONVERSATION).where(old))
            done += len(rows)
            yield done, int(left or 0)
