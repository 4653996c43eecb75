"""The plan of the whole house: which parts, in which order, with which addresses and environment."""

import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from dotenv import dotenv_values

from deploy.local.envoy import EnvoyPlaces, edge_works, envoy_part
from deploy.local.folders import Folders
from deploy.local.full_profile import FULL_NAMES, FullProfile
from deploy.local.metrics import metrics_names, metrics_notes, with_metrics
from deploy.local.part import Stage
from deploy.local.ports import assign_ports
from deploy.local.postgres import database_url, postgres_part
from deploy.local.probes import Probe
from deploy.local.python_parts import migrate_part, rest_part, services_part, websocket_part, worker_parts
from deploy.local.secrets import HOUSE_SECRET, secret
from deploy.local.settings import LocalSettings
from deploy.local.valkey import valkey_part, valkey_url

_NAMES = ("postgres", "valkey", "services", "rest", "mesh", "admin", "websocket")


@dataclass(frozen=True, slots=True)
class Plan:
    """Stages in the order of starting, and the question that tells that all of it works."""

    stages: tuple[Stage, ...]
    finally_ready: Probe | None = None
    preparation: tuple[str, Callable[[], Awaitable[None]]] | None = None
    """What must be made once before anything starts, however long it takes: a line about it, and the work."""
    notes: tuple[str, ...] = ()
    """Lines for the person at the terminal, once everything is up."""


def whole_house(settings: LocalSettings, folders: Folders) -> Plan:
    """Plan every part. Raises LaunchError when a program is missing."""
    names = (*_NAMES, *metrics_names(settings.workers), *(FULL_NAMES if settings.profile == "full" else ()))
    taken = {settings.edge_port, settings.security_port}
    ports = assign_ports(names, folders.run / "ports.json", taken=taken)
    at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
    chosen = {
        "services": settings.serve_listen,
        "rest": settings.rest_listen,
        "websocket": settings.websocket_listen,
        "mesh": settings.mesh_target,
    }
    at |= {name: address for name, address in chosen.items() if address}
    full = FullProfile(settings, folders, ports) if settings.profile == "full" else None
    env = environment(settings, folders, at, full.settings(at) if full else _stores(folders, at))
    stores: list[Stage] = []
    if full or not settings.database_url:
        stores.append((postgres_part(folders, ports["postgres"], os.environ),))
    if not settings.valkey_url:
        stores.append((valkey_part(folders, ports["valkey"], os.environ),))
    places = EnvoyPlaces(at["mesh"], at["admin"], at["services"], at["rest"], at["websocket"])
    if full:
        places = full.places(places)
    # Stopped in reverse: workers while the mesh still carries their calls, the stores last.
    parts = (
        services_part(env, at["services"]),
        envoy_part(settings, folders, places, env),
        rest_part(env, at["rest"]),
        websocket_part(env, at["websocket"]),
        *worker_parts(env, settings.workers),
    )
    house = with_metrics(parts, at)
    figures = metrics_notes(house, at["admin"])
    ready = partial(edge_works, settings, at["admin"])
    if full is None:
        return Plan((*stores, (migrate_part(env),), house), ready, notes=figures)
    stages = (*stores, *full.stages(migrate_part(env), env), full.with_vault(house))
    return Plan(stages, ready, full.preparation(), (*full.notes(), *figures))


def _stores(folders: Folders, at: Mapping[str, str]) -> dict[str, str]:
    """Return where the stores are, with their passwords, and the house's secret."""
    return {
        "PARLEY_DATABASE_URL": database_url(folders, at["postgres"]),
        "PARLEY_VALKEY_URL": valkey_url(folders, at["valkey"]),
        "PARLEY_SECRET": secret(folders.secrets, HOUSE_SECRET),
    }


def environment(
    settings: LocalSettings, folders: Folders, at: Mapping[str, str], profile: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of Parley's processes; what the caller set, in the environment or .env, wins.

    `profile` are the settings that the profile adds, the stores among them.
    """
    ours = {
        "PARLEY_HOME": str(folders.home),
        "PARLEY_ENVIRONMENT": settings.environment,
        "PARLEY_MESH_TARGET": at["mesh"],
        "PARLEY_SERVE_LISTEN": at["services"],
        "PARLEY_REST_LISTEN": at["rest"],
        "PARLEY_REST_UPSTREAM": at["mesh"],
        "PARLEY_WEBSOCKET_LISTEN": at["websocket"],
        "PARLEY_WEBSOCKET_UPSTREAM": at["mesh"],
        "PARLEY_ISSUER": settings.edge_url,
        # Past the edge, whose certificate may be of an authority that only its clients know.
        "PARLEY_JWKS_URL": f"http://{at['rest']}/.well-known/jwks.json",
    }
    theirs = {name.upper(): value for name, value in dotenv_values(".env").items() if value is not None}
    # HOME is made absolute; everything else that the caller chose stays as it is.
    chosen = {name: value for name, value in theirs.items() if name.startswith("PARLEY_") and name != "PARLEY_HOME"}
    given = {name: value for name, value in os.environ.items() if name != "PARLEY_HOME"}
    return {**ours, **profile, **chosen, **given}
