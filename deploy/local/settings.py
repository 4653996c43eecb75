"""The launcher's settings, from PARLEY_* variables or .env."""

from pathlib import Path
from typing import Any, Literal, Self

from pydantic import FilePath, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class LocalSettings(BaseSettings):
    """What `parley up` may be told. The parts read their own settings from the same variables."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_", env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    profile: Literal["light", "full"] = "light"
    """`full` starts Keycloak, RabbitMQ, Kafka and OpenBao too; `light` needs Python's packages only."""
    home: Path = Path(".parley")
    """The folder of all data, logs and secrets; `.parley-full` for the profile `full` unless it is set."""
    cache: Path = Path(".cache/parley")
    """Where what the profile `full` prepares once is kept: Keycloak as fetched and built, its database as made."""
    environment: Literal["development", "production"] = "development"
    """`production` allows no page of a local port to call (CORS); the services are stricter too."""
    edge_host: str = "127.0.0.1"
    """The address on which the edge listens."""
    edge_port: int = 8080
    """The port on which the edge listens."""
    edge_tls_certificate: FilePath | None = None
    """PEM file of the edge's certificate chain, such as Let's Encrypt's `fullchain.pem`; none: plain HTTP."""
    edge_tls_key: FilePath | None = None
    """PEM file of the key of that certificate."""
    security_host: str = "127.0.0.1"
    """The address on which the security listener serves Keycloak's console; keep it off public interfaces."""
    security_port: int = 0
    """The port of the security listener, which serves Keycloak's console; 0 chooses a free one."""
    issuer: str = ""
    """The `iss` of users' tokens; empty takes the edge's URL, or the realm's below it with Keycloak."""
    audience: str = "parley"
    """The `aud` of users' tokens."""
    cors_origins: str = ""
    """Origins whose pages may call, separated by commas."""
    serve_listen: str = ""
    """HOST:PORT of the services; empty chooses a free port, as with the next three."""
    rest_listen: str = ""
    """HOST:PORT of the REST adapter."""
    websocket_listen: str = ""
    """HOST:PORT of the WebSocket adapter."""
    mesh_target: str = ""
    """HOST:PORT of Envoy's mesh listener."""
    jwks_cache_seconds: int = 60
    """For how long Envoy keeps the issuer's keys: a new key must be published for longer before it signs."""
    workers: int = 1
    """How many worker processes are started."""
    envoy_concurrency: int = 2
    """How many threads of Envoy carry traffic; a second one costs no memory worth measuring."""
    database_url: str = ""
    """A PostgreSQL of your own; empty starts one."""
    valkey_url: str = ""
    """A Valkey or Redis of your own; empty starts one."""
    start_timeout: float = 60
    """Seconds within which everything must be ready."""
    first_start_timeout: float = 120
    """The same, when the database must be made first."""

    @model_validator(mode="before")
    @classmethod
    def _keep_profiles_apart(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("profile") == "full":
            # One database cannot belong to the users of both.
            return {"home": ".parley-full"} | given
        return given

    @model_validator(mode="after")
    def _has_both_halves_of_tls(self) -> Self:
        if (self.edge_tls_certificate is None) != (self.edge_tls_key is None):
            raise ValueError("PARLEY_EDGE_TLS_CERTIFICATE and PARLEY_EDGE_TLS_KEY go together")
        return self

    @property
    def edge_host_of_urls(self) -> str:
        """The host by which this machine reaches the edge."""
        return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(self.edge_host, self.edge_host)

    @property
    def edge_url(self) -> str:
        """The URL under which this machine reaches the edge."""
        scheme = "https" if self.edge_tls_certificate else "http"
        return f"{scheme}://{self.edge_host_of_urls}:{self.edge_port}"
