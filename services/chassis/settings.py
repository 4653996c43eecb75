"""The settings that every process shares. Each service adds its own, read in its wiring."""

from pathlib import Path
from typing import Literal

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ChassisSettings(BaseSettings):
    """What a process needs to reach the house's parts. `parley up` sets the addresses and secrets."""

    model_config = SettingsConfigDict(
        env_prefix="PARLEY_", env_file=".env", extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    home: Path = Path(".parley")
    """The data folder."""
    environment: Literal["development", "production"] = "development"
    """`production` refuses known sample passwords and turns reflection off."""
    database_url: SecretStr = SecretStr("postgresql+asyncpg://parley@127.0.0.1:5432/parley")
    """PostgreSQL, as a SQLAlchemy URL with the driver asyncpg."""
    database_pool_size: int = 20
    """Connections kept open to PostgreSQL."""
    database_pool_overflow: int = 0
    """Connections opened beyond the pool under load, and closed again afterwards, which costs more than waiting."""
    valkey_url: SecretStr = SecretStr("redis://127.0.0.1:6379/0")
    """Valkey or Redis. A URL that names a user and no password has the secret `shared/valkey-password`."""
    broker_url: SecretStr = SecretStr("")
    """Where jobs queue: redis://… or amqp://… (RabbitMQ; secret `shared/rabbitmq-password`); empty: Valkey."""
    events_url: SecretStr = SecretStr("")
    """Events: amqp://… (RabbitMQ) or kafka://USER@HOST:PORT,… (secret `shared/kafka-password`); empty: this process."""
    mesh_target: str = "127.0.0.1:8079"
    """HOST:PORT of Envoy's mesh listener, over which services call each other."""
    direct_target: str = ""
    """HOST:PORT of a gRPC server to call past the mesh. For benchmarks only."""
    serve_listen: str = "127.0.0.1:50051"
    """HOST:PORT on which the services listen; port 0 takes a free one."""
    metrics_listen: str = ""
    """HOST:PORT of the process's figures for Prometheus, at `/metrics`; keep it on loopback. Empty: none are shown."""
    issuer: str = "http://127.0.0.1:8080"
    """The `iss` of users' tokens."""
    audience: str = "parley"
    """The `aud` of users' tokens."""
    jwks_url: str = "http://127.0.0.1:8080/.well-known/jwks.json"
    """Where the keys that sign users' tokens are published."""
    secret: SecretStr = SecretStr("")
    """At least 32 characters, the same for all: signs page tokens and services' tokens. In Vault: `shared/secret`."""
    service_token_url: str = ""
    """The issuer's token endpoint, where services get their own tokens; empty signs them with PARLEY_SECRET."""
    service_client_secrets: dict[str, SecretStr] = {}
    """Capability -> secret of its client there, as JSON. What is not set is `<capability>/keycloak-client-secret`."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    """How much is logged."""
    worker_threads: int = 8
    """How many jobs a worker does at once; long ones may go on beside them, as a capability says."""

    @property
    def jobs_url(self) -> SecretStr:
        """The URL of the broker of background jobs."""
        return self.broker_url if self.broker_url.get_secret_value() else self.valkey_url
