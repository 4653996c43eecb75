"""How many calls of tools are open, looked up in PostgreSQL."""

from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.metrics import Figure, Gauge, Look
from services.tools.rules import CallState

_OPEN = Gauge(
    "parley_tool_calls", "Calls of tools that have not ended: requested, running, waiting_for_approval.", ("state",)
)
_STATES = (CallState.REQUESTED, CallState.RUNNING, CallState.WAITING_FOR_APPROVAL)
# Two questions, for each of which there is an index of what is open.
_COUNT = text("""
    SELECT state, count(*) AS calls FROM tools.call WHERE state IN ('requested', 'running') GROUP BY state
    UNION ALL
    SELECT state, count(*) FROM tools.call WHERE state = 'waiting_for_approval' GROUP BY state
""")


def open_calls(database: Database) -> Look:
    """Return what looks up how many calls are open."""

    async def look() -> list[Figure]:
        async with database.autocommit() as connection:
            found = {row.state: row.calls for row in await connection.execute(_COUNT)}
        return [Figure(_OPEN, (state.value,), found.get(state.value, 0)) for state in _STATES]

    return look
