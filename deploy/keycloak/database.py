"""Keycloak's database on the stack's PostgreSQL: restored from the template, with secrets of its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.postgres_data import own_environment
from deploy.local.secrets import secret
from deploy.local.step import run_step

DATABASE = ROLE = "keycloak"
OPERATOR = "parley-operator"
"""The client of the realm `master` as which `parley identity sync` works."""


@dataclass(frozen=True, slots=True)
class Server:
    """A PostgreSQL and its superuser."""

    binaries: Path
    port: int
    user: str
    password_file: Path
    """As libpq reads it: an environment is for more to see."""

    def environment(self, env: Mapping[str, str]) -> dict[str, str]:
        """Return the environment in which psql and its like reach the server."""
        return own_environment(env) | {
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGPASSFILE": str(self.password_file),
            "PGSSLMODE": "disable",
        }


def password_file(folder: Path, user: str) -> Path:
    """Return the file with the superuser's password, written anew below HOME/secrets for its owner only."""
    path = folder / "pgpass"
    path.touch(mode=0o600)
    path.write_text(f"127.0.0.1:*:*:{user}:{secret(folder, 'postgres-password')}\n")
    return path


async def restore_database(
    server: Server, dump: Path, role_password: str, operator_secret: str, env: Mapping[str, str]
) -> None:
    """Make the database where it is missing. Raises LaunchError."""
    databases = await run_sql(server, "postgres", "SELECT datname FROM pg_database;", env)
    if DATABASE in databases.split():
        return
    draft = f"{DATABASE}_new"
    await run_sql(
        server,
        "postgres",
        f"DROP DATABASE IF EXISTS {draft};\n"
        f"DO $$ BEGIN CREATE ROLE {ROLE} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;\n"
        f"ALTER ROLE {ROLE} PASSWORD '{role_password}';\n"
        f"CREATE DATABASE {draft} OWNER {ROLE};\n",
        env,
    )
    restore = [str(server.binaries / "pg_restore"), "--no-owner", f"--role={ROLE}", "-d", draft, str(dump)]
    await run_step(restore, server.environment(env))
    # The template's operator has a secret that nobody knows; here it gets one before Keycloak first runs.
    sql = f"UPDATE client SET secret = '{operator_secret}' WHERE client_id = '{OPERATOR}';"  # noqa: S608 -- hex of ours
    await run_sql(server, draft, sql, env)
    # Renamed last: a start that is cut short leaves no half a database.
    await run_sql(server, "postgres", f"ALTER DATABASE {draft} RENAME TO {DATABASE};", env)


async def run_sql(server: Server, database: str, sql: str, env: Mapping[str, str]) -> str:
    """Run statements, handed over on standard input, and return what they answer. Raises LaunchError."""
    psql = [str(server.binaries / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", database]
    return await run_step(psql, server.environment(env), text=sql)
