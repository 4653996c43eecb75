"""The SQL that Vault needs on PostgreSQL: its own database, and the right to make roles for ours."""

from collections.abc import Iterator, Sequence

GROUP_PREFIX = "parley_"
"""A group role per capability: `parley migrate` gives it the rights on the capability's schema."""


def preparation(storage_password: str, database_password: str, names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield (database, statements) for the superuser; they may run again and again. Passwords are hex of ours."""
    yield (
        "postgres",
        _login("vault", storage_password)
        # Its password is Vault's own secret once Vault has rotated it: set at the first time only.
        + _once(f"CREATE ROLE vault_database LOGIN CREATEROLE PASSWORD '{database_password}'", "duplicate_object")
        + "".join(map(_group, names)),
    )
    missing = "WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'vault')"
    yield "postgres", f"SELECT 'CREATE DATABASE vault OWNER vault' {missing} \\gexec\n"


def _login(name: str, password: str) -> str:
    return _once(f"CREATE ROLE {name} LOGIN", "duplicate_object") + f"ALTER ROLE {name} PASSWORD '{password}';\n"


def _group(name: str) -> str:
    group = f"{GROUP_PREFIX}{name}"
    # Since version 16 only who has the ADMIN option may make others members.
    return _once(f'CREATE ROLE "{group}" NOLOGIN', "duplicate_object") + (
        f'GRANT "{group}" TO vault_database WITH ADMIN OPTION;\n'
    )


def _once(statement: str, unless: str) -> str:
    return f"DO $$ BEGIN {statement}; EXCEPTION WHEN {unless} THEN NULL; END $$;\n"
