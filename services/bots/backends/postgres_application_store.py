"""Applications in PostgreSQL."""

from sqlalchemy.ext.asyncio import AsyncConnection

from services.bots.backends.owned_rows import OwnedRows
from services.bots.backends.tables import APPLICATION, application_of
from services.bots.rules import Application


class PostgresApplicationStore(OwnedRows[Application]):
    """Implements the port ApplicationStore on one connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        super().__init__(connection, APPLICATION, "application_id", application_of)
