"""RabbitMQ's process: a node of our own, without systemd, on the loopback only."""

import asyncio
import os
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from deploy.local.errors import LaunchError
from deploy.local.folders import Folders
from deploy.local.part import Part
from deploy.local.probes import http_ok, tcp_open
from deploy.local.secrets import secret

# Past the wrapper in /usr/sbin, which switches to the user rabbitmq and talks to systemd.
PROGRAM = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
USER = "parley"
PASSWORD = "rabbitmq-password"  # noqa: S105 -- the name of its file

NAMES = ("rabbitmq", "rabbitmq-names", "rabbitmq-distribution", "rabbitmq-console", "rabbitmq-metrics")
"""The ports that it needs: its own, Erlang's name server and distribution, the console, the metrics."""


def names_part(ports: Mapping[str, int], env: Mapping[str, str]) -> Part:
    """Return Erlang's name server, which RabbitMQ would otherwise start by itself and leave behind.

    Raises:
        LaunchError: the package is missing.
    """
    port = ports["rabbitmq-names"]
    return Part(
        name="rabbitmq-names",
        title="RabbitMQ's name server",
        argv=(find_names_server(), "-address", "127.0.0.1", "-port", str(port)),
        env=_without_ours(env),
        address=f"127.0.0.1:{port}",
        ready=partial(tcp_open, "127.0.0.1", port),
    )


def rabbitmq_part(folders: Folders, ports: Mapping[str, int], env: Mapping[str, str]) -> Part:
    """Return the part; its data lies in HOME/rabbitmq. `ports` has the NAMES.

    Raises:
        LaunchError: the package is missing.
    """
    if not PROGRAM.exists():
        raise LaunchError("RabbitMQ is missing: install the package rabbitmq-server")
    data = folders.home / "rabbitmq"
    ours = {
        "HOME": str(data),
        "RABBITMQ_NODENAME": f"parley-{ports['rabbitmq']}@localhost",
        "RABBITMQ_NODE_PORT": str(ports["rabbitmq"]),
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(ports["rabbitmq-distribution"]),
        "RABBITMQ_MNESIA_BASE": str(data / "mnesia"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(data / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(data / "rabbitmq.conf"),
        "RABBITMQ_PID_FILE": str(data / "pid"),
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(ports["rabbitmq-names"]),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 -kernel inet_dist_use_interface {127,0,0,1}",
    }
    return Part(
        name="rabbitmq",
        title="RabbitMQ",
        argv=(str(PROGRAM),),
        env=_without_ours(env) | ours,
        address=f"127.0.0.1:{ports['rabbitmq']}",
        prepare=partial(asyncio.to_thread, _write, data, ports, secret(folders.secrets, PASSWORD)),
        ready=partial(http_ok, "127.0.0.1", ports["rabbitmq-console"], "/"),
        stop_grace=20,
    )


def bare_url(port: int) -> str:
    """Return the URL with the user, without the password."""
    return f"amqp://{USER}@127.0.0.1:{port}/"


def url(folders: Folders, port: int) -> str:
    """Return the URL with the password."""
    return f"amqp://{USER}:{secret(folders.secrets, PASSWORD)}@127.0.0.1:{port}/"


def find_names_server() -> str:
    """Return the program epmd of Erlang. Raises LaunchError when it is missing."""
    found = shutil.which("epmd")
    if found is None:
        raise LaunchError("RabbitMQ's name server is missing: install the package rabbitmq-server")
    return found


def _without_ours(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not name.startswith(("PARLEY_", "RABBITMQ_"))}


def _write(data: Path, ports: Mapping[str, int], password: str) -> None:
    data.mkdir(mode=0o700, exist_ok=True)
    (data / "plugins").write_text("[rabbitmq_management,rabbitmq_prometheus].\n")
    configuration = data / "rabbitmq.conf"
    configuration.touch(mode=0o600)
    lines = [
        f"default_user = {USER}",
        f"default_pass = {password}",
        "management.tcp.ip = 127.0.0.1",
        f"management.tcp.port = {ports['rabbitmq-console']}",
        "prometheus.tcp.ip = 127.0.0.1",
        f"prometheus.tcp.port = {ports['rabbitmq-metrics']}",
    ]
    configuration.write_text("\n".join(lines) + "\n")
