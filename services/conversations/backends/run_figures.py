"""How many runs are open, looked up in PostgreSQL."""

from sqlalchemy import text

from services.chassis.database import Database
from services.chassis.metrics import Figure, Gauge, Look
from services.conversations.rules import RunState

_OPEN = Gauge("parley_runs", "Runs that have not ended: queued, running.", ("state",))
_OLDEST = Gauge("parley_runs_oldest_seconds", "How long ago the oldest of them was accepted.", ("state",))
_STATES = (RunState.QUEUED, RunState.RUNNING)
# Few of all runs are open, and an index knows which.
_COUNT = text("""
    SELECT state, count(*) AS runs, extract(epoch FROM clock_timestamp() - min(created_at)) AS oldest
    FROM conversations.run WHERE state IN ('queued', 'running') GROUP BY state
""")


def open_runs(database: Database) -> Look:
    """Return what looks up how many runs are open, and since when."""

    async def look() -> list[Figure]:
        async with database.autocommit() as connection:
            found = {row.state: row for row in await connection.execute(_COUNT)}
        figures = []
        for state in _STATES:
            row, labels = found.get(state.value), (state.value,)
            figures.append(Figure(_OPEN, labels, row.runs if row else 0))
            figures.append(Figure(_OLDEST, labels, max(float(row.oldest), 0.0) if row else 0.0))
        return figures

    return look
