"""Keycloak's process: where it listens, how it finds its database and under which names it is known."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deploy.keycloak.database import DATABASE, ROLE
from deploy.keycloak.distribution import RELATIVE_PATH, java_environment
from deploy.local.part import Part
from deploy.local.probes import http_ok


@dataclass(frozen=True, slots=True)
class Places:
    """Keycloak's ports on the loopback, and the URLs (without /auth) under which the world and its operators see it."""

    port: int
    management: int
    edge_url: str
    security_url: str


def write_configuration(file: Path, password: str) -> None:
    """Write the file with the database's password, for its owner only: an environment is for more to see."""
    file.touch(mode=0o600)
    file.write_text(f"db-password={password}\n")


def keycloak_part(home: Path, places: Places, database_port: int, configuration: Path, env: Mapping[str, str]) -> Part:
    """Return the part; `home` is a built distribution. The database and the configuration's file must be there."""
    settings = {
        "KC_CONFIG_FILE": str(configuration),
        # Without it a lone Keycloak opens cluster ports on every address of the machine.
        "KC_CACHE": "local",
        "KC_HTTP_ENABLED": "true",
        "KC_HTTP_HOST": "127.0.0.1",
        "KC_HTTP_PORT": str(places.port),
        "KC_HTTP_MANAGEMENT_HOST": "127.0.0.1",
        "KC_HTTP_MANAGEMENT_PORT": str(places.management),
        "KC_HOSTNAME": places.edge_url + RELATIVE_PATH,
        "KC_HOSTNAME_ADMIN": places.security_url + RELATIVE_PATH,
        "KC_PROXY_HEADERS": "xforwarded",
        "KC_PROXY_TRUSTED_ADDRESSES": "127.0.0.1/32",
        "KC_DB_URL": f"jdbc:postgresql://127.0.0.1:{database_port}/{DATABASE}",
        "KC_DB_USERNAME": ROLE,
        # The stores are shared on one machine, whose PostgreSQL has a hundred connections.
        "KC_DB_POOL_MAX_SIZE": "20",
        "KC_LOG_LEVEL": "INFO,io.smallrye.health:WARN",
    }
    return Part(
        name="keycloak",
        title="Keycloak",
        argv=(str(home / "bin" / "kc.sh"), "start", "--optimized"),
        env=java_environment(env) | settings,
        address=f"127.0.0.1:{places.port}",
        ready=partial(http_ok, "127.0.0.1", places.management, f"{RELATIVE_PATH}/health/ready"),
        stop_grace=20,
    )
