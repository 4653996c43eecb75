"""A dump of Keycloak's database with its schema and our realm: what saves a first start 18 s."""

import asyncio
import hashlib
import os
import secrets
import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from deploy.keycloak.database import DATABASE, OPERATOR, ROLE, Server, password_file, run_sql
from deploy.keycloak.distribution import distribution_key
from deploy.keycloak.server import Places, keycloak_part, write_configuration
from deploy.local.child import start_child
from deploy.local.errors import LaunchError
from deploy.local.folders import make_folders
from deploy.local.part import Part, wait_until
from deploy.local.ports import assign_ports
from deploy.local.postgres import find_binaries, postgres_part
from deploy.local.postgres_data import USER
from deploy.local.secrets import secret
from deploy.local.step import run_step

REALM = Path(__file__).with_name("parley-realm.json")
_READY_SECONDS = 120.0


def template_path(cache: Path) -> Path:
    """Return where the dump for this Keycloak and this realm lies, whether it is there yet or not."""
    key = hashlib.sha256(distribution_key().encode() + REALM.read_bytes()).hexdigest()[:16]
    return cache / f"keycloak-{key}.dump"


async def make_template(cache: Path, home: Path) -> Path:
    """Make the dump unless the cache has it; return it. Hold the cache's lock.

    Raises:
        LaunchError: PostgreSQL or Keycloak did not start, or refused the realm.
    """
    dump = template_path(cache)
    if dump.exists():
        return dump
    imports = home / "data" / "import"
    shutil.rmtree(imports, ignore_errors=True)
    imports.mkdir(parents=True)
    shutil.copy(REALM, imports / "parley-realm.json")
    with TemporaryDirectory(prefix="parley-keycloak-") as folder:
        await _make(Path(folder), home, dump)
    return dump


async def _make(folder: Path, home: Path, dump: Path) -> None:
    folders = make_folders(folder / "home")
    ports = assign_ports(["postgres", "keycloak", "management"], folders.run / "ports.json", set())
    binaries = find_binaries()
    server = Server(binaries, ports["postgres"], USER, password_file(folders.secrets, USER))
    password = secret(folders.secrets, "keycloak-database-password")
    places = Places(ports["keycloak"], ports["management"], "http://127.0.0.1", "http://127.0.0.1")

    async def with_keycloak() -> None:
        role = f"CREATE ROLE {ROLE} LOGIN PASSWORD '{password}';\nCREATE DATABASE {DATABASE} OWNER {ROLE};\n"
        await run_sql(server, "postgres", role, os.environ)
        configuration = folders.secrets / "keycloak.conf"
        write_configuration(configuration, password)
        keycloak = keycloak_part(home, places, ports["postgres"], configuration, os.environ)
        # This secret is thrown away: whoever restores the dump sets one of their own.
        operator = {
            "KC_BOOTSTRAP_ADMIN_CLIENT_ID": OPERATOR,
            "KC_BOOTSTRAP_ADMIN_CLIENT_SECRET": secrets.token_hex(32),
        }
        importing = Part(
            name=keycloak.name,
            title=keycloak.title,
            argv=(*keycloak.argv, "--import-realm"),
            env={**keycloak.env, **operator},
            ready=keycloak.ready,
        )
        await _while_running(importing, folders.log(importing.name), _nothing)
        draft = dump.with_suffix(".new")
        dumping = [str(binaries / "pg_dump"), "-Fc", "-d", DATABASE, "-f", str(draft)]
        await run_step(dumping, server.environment(os.environ))
        draft.replace(dump)

    postgres = postgres_part(folders, ports["postgres"], os.environ)
    if postgres.prepare is not None:
        await postgres.prepare()
    await _while_running(postgres, folders.log(postgres.name), with_keycloak)


async def _while_running(part: Part, log: Path, work: Callable[[], Awaitable[None]]) -> None:
    """Start the part, do the work once it is ready, and stop it."""
    child = await start_child(part, log)
    ended = asyncio.create_task(child.wait())
    try:
        if part.ready is not None:
            ready = asyncio.create_task(wait_until(part.ready, 0.1))
            await asyncio.wait({ready, ended}, timeout=_READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            if not ready.done():
                ready.cancel()
                raise LaunchError(f"{part.title} was not ready: {child.last_words()}")
        await work()
    finally:
        await child.stop()
        await ended


async def _nothing() -> None:
    return
