"""Parley's own processes: migrations, services, the REST adapter, workers."""

import sys
from collections.abc import Mapping
from functools import partial

from deploy.local.part import Part
from deploy.local.probes import tcp_open


def migrate_part(env: Mapping[str, str]) -> Part:
    """Return the step that brings every schema to its newest revision."""
    return _python("migrate", "database migrations", "migrate", env, one_shot=True)


def services_part(env: Mapping[str, str], port: int) -> Part:
    """Return the gRPC server of all capabilities."""
    return _python("services", "all services, gRPC", "serve", env, port=port)


def rest_part(env: Mapping[str, str], port: int) -> Part:
    """Return the REST adapter."""
    return _python("rest", "REST adapter", "rest", env, port=port)


def worker_parts(env: Mapping[str, str], count: int) -> tuple[Part, ...]:
    """Return the workers: `worker`, then `worker-2` and so on."""
    names = ["worker", *(f"worker-{number}" for number in range(2, count + 1))][:count]
    return tuple(_python(name, "worker", "work", env) for name in names)


def _python(
    name: str, title: str, command: str, env: Mapping[str, str], *, port: int = 0, one_shot: bool = False
) -> Part:
    return Part(
        name=name,
        title=title,
        argv=(sys.executable, "-m", "services", command),
        # Unbuffered, so that the last words of a process that dies are in its log.
        env={**env, "PYTHONUNBUFFERED": "1"},
        address=f"127.0.0.1:{port}" if port else "",
        ready=partial(tcp_open, "127.0.0.1", port) if port else None,
        one_shot=one_shot,
    )
