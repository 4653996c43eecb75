"""Alembic without its folders of boilerplate: one list of revisions and one PostgreSQL schema per service."""

from pathlib import Path

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.chassis import logs
from services.chassis.database import until_ready

_log = logs.get(__name__)
_VERSION_TABLE = "alembic_version"
# Any number that no other user of the database locks.
_LOCK = 7_261_549
_SERVICES = Path(__file__).parent.parent


class SchemaNotCurrent(Exception):
    """The database is not at the revision that this code needs."""


async def migrate(engine: AsyncEngine, services: list[str]) -> None:
    """Bring the schema of each service to its newest revision. Any number of processes may do this at once.

    Raises:
        DatabaseRefused: PostgreSQL does not get ready, or refuses us.
    """
    await until_ready(engine)
    async with engine.begin() as connection:
        # A second process waits here as long as it takes; the first one's work is then already done.
        await connection.execute(text("SET LOCAL lock_timeout = 0"))
        await connection.execute(text("SET LOCAL statement_timeout = 0"))
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.execute(text("SET LOCAL lock_timeout = '4s'"))
        for service in services:
            if _scripts(service) is not None:
                await connection.run_sync(_upgrade, service)


async def check_current(engine: AsyncEngine, services: list[str]) -> None:
    """Check that each service's schema is of its code; a PostgreSQL that is starting is waited for.

    Raises:
        SchemaNotCurrent: a schema is older or newer.
        DatabaseRefused: PostgreSQL does not get ready, or refuses us.
    """
    await until_ready(engine)
    async with engine.connect() as connection:
        for service in services:
            await connection.run_sync(_check, service)


def _scripts(service: str) -> ScriptDirectory | None:
    folder = _SERVICES / service / "migrations"
    if not folder.is_dir():
        return None
    config = Config()
    config.set_main_option("script_location", str(folder))
    config.set_main_option("version_locations", str(folder))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def _upgrade(connection: Connection, service: str, revision: str = "head") -> None:
    scripts = _scripts(service)
    assert scripts is not None  # noqa: S101 - asked by the caller
    connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{service}"'))

    def steps(current: object, _context: MigrationContext) -> object:
        return scripts._upgrade_revs(revision, current)  # type: ignore[arg-type]  # noqa: SLF001 - as alembic.command does

    with EnvironmentContext(Config(), scripts, fn=steps) as environment:
        environment.configure(
            connection=connection, version_table=_VERSION_TABLE, version_table_schema=service, transactional_ddl=True
        )
        environment.run_migrations()
    _grant(connection, service)
    _log.info("schema is current", service=service, revision=scripts.get_current_head())


def _grant(connection: Connection, service: str) -> None:
    """Let the service's group role, where there is one, work with the tables; they stay the migrating user's."""
    group = f"parley_{service}"
    if not connection.scalar(text("SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = :group)"), {"group": group}):
        return
    for right, things in (("SELECT, INSERT, UPDATE, DELETE", "TABLES"), ("USAGE, SELECT", "SEQUENCES")):
        connection.execute(text(f'GRANT {right} ON ALL {things} IN SCHEMA "{service}" TO "{group}"'))
    connection.execute(text(f'GRANT USAGE ON SCHEMA "{service}" TO "{group}"'))


def _check(connection: Connection, service: str) -> None:
    scripts = _scripts(service)
    if scripts is None:
        return
    context = MigrationContext.configure(
        connection, opts={"version_table": _VERSION_TABLE, "version_table_schema": service}
    )
    found, needed = context.get_current_revision(), scripts.get_current_head()
    if found != needed:
        raise SchemaNotCurrent(
            f"the schema {service} is at revision {found or 'none'}, this code needs {needed}: run `parley migrate`"
        )
