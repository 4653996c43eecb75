"""Parley's own processes: migrations, services, the adapters, workers."""

import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

from deploy.local.part import Part
from deploy.local.probes import http_ok, tcp_open


def migrate_part(env: Mapping[str, str]) -> Part:
    """Return the step that brings every schema to its newest revision."""
    return _python("migrate", "database migrations", "migrate", env, one_shot=True)


def sync_part(env: Mapping[str, str]) -> Part:
    """Return the step that brings Keycloak's realm to what is written down."""
    return _python("sync", "Keycloak's realm", "identity sync", env, one_shot=True)


def services_part(env: Mapping[str, str], address: str) -> Part:
    """Return the gRPC server of all capabilities."""
    return _python("services", "all services, gRPC", "serve", env, address=address)


def rest_part(env: Mapping[str, str], address: str) -> Part:
    """Return the REST adapter."""
    return _python("rest", "REST adapter", "rest", env, address=address)


def websocket_part(env: Mapping[str, str], address: str) -> Part:
    """Return the WebSocket adapter."""
    host, _, port = address.rpartition(":")
    part = _python("websocket", "WebSocket adapter", "websocket", env, address=address)
    return replace(part, ready=partial(http_ok, host.strip("[]"), int(port), "/health"))


def worker_parts(env: Mapping[str, str], count: int) -> tuple[Part, ...]:
    """Return the workers: `worker`, then `worker-2` and so on."""
    names = ["worker", *(f"worker-{number}" for number in range(2, count + 1))][:count]
    return tuple(_python(name, "worker", "work", env) for name in names)


def _python(
    name: str, title: str, command: str, env: Mapping[str, str], *, address: str = "", one_shot: bool = False
) -> Part:
    host, _, port = address.rpartition(":")
    return Part(
        name=name,
        title=title,
        argv=(sys.executable, "-m", "services", *command.split()),
        # Unbuffered, so that the last words of a process that dies are in its log.
        env={**env, "PYTHONUNBUFFERED": "1"},
        address=address,
        ready=partial(tcp_open, host.strip("[]"), int(port)) if port else None,
        one_shot=one_shot,
        # Longer than the 10 s that they give to running requests.
        stop_grace=15,
    )
