"""What the Envoy configuration depends on, as values. Nothing is read from the environment here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvoySettings:
    """Everything that differs between one Envoy and the next. Addresses are HOST:PORT."""

    edge: str = "127.0.0.1:8080"
    """Where the world calls."""
    mesh: str = "127.0.0.1:8079"
    """Where services and adapters call each other; keep it off public interfaces, it checks no token."""
    admin: str = "127.0.0.1:9901"
    """Envoy's own administration: unauthenticated, so loopback only."""
    services: str = "127.0.0.1:50051"
    """The gRPC server of every capability that `capabilities` does not place elsewhere. Here and in the next three:
    several, separated by commas, share the calls, and one that is sick, hangs or is gone gets none. A name stands for
    all of its addresses."""
    capabilities: Mapping[str, str] = field(default_factory=dict)
    """Capability -> its own gRPC servers, as in production."""
    rest: str = "127.0.0.1:8081"
    """The REST adapter; it also publishes the keys that sign users' tokens, unless Keycloak does."""
    websocket: str = "127.0.0.1:8091"
    """The WebSocket adapter."""
    keycloak: str = ""
    """Keycloak, when it is the issuer: its login pages are served below `/auth/`, and its keys check the tokens."""
    security: str = ""
    """Where the security listener serves Keycloak's console: for a security team's own network. Needs `keycloak`."""
    jwks_path: str = "/.well-known/jwks.json"
    """Where the issuer (Keycloak, else the REST adapter) publishes its keys."""
    trusted_hops: int = 0
    """How many proxies in front of the edge may say in x-forwarded-for who calls; 0 believes nobody."""
    issuer: str = "http://127.0.0.1:8080"
    """The `iss` that a user's token must carry."""
    audience: str = "parley"
    """The `aud` that a user's token must carry."""
    environment: Literal["development", "production"] = "development"
    """`development` lets pages on any local port call (CORS)."""
    cors_origins: tuple[str, ...] = ()
    """Origins whose pages may call, such as `https://app.example`; `:*` at the end means any port."""
    tls_certificate: str = ""
    """PEM file of the edge's certificate chain; empty serves plain HTTP."""
    tls_key: str = ""
    """PEM file of the certificate's key."""
    mesh_certificates: str = ""
    """Folder with Envoy's own certificate, as `parley certificates` keeps it: the mesh and the way to the services then
    speak mTLS. Empty: plain."""
    mesh_secrets: str = ""
    """Folder of the files that tell Envoy where to look in that folder: beside the configuration."""
    access_log: str = "/dev/stdout"
    """Where the edge writes one JSON line per request."""
    request_seconds: int = 30
    """How long a request may take to arrive whole; the answer may take longer."""
    max_head_kib: int = 160
    """How long the path and the headers of a request may be together: more than the REST adapter takes (64 KiB each),
    so that it says which of them is too long."""
    max_heap_bytes: int = 384 * 1024 * 1024
    """How much memory Envoy may allocate. From 85 % of it on, the streams that hold most of it are reset; at 95 %
    requests and at 98 % connections are refused."""
    max_connections: int = 10_000
    """How many clients may be connected at once, and how many requests may wait on one cluster."""
    health_checks: bool = False
    """Ask gRPC services for their health. Done anyhow where several are named; set it where one name has several
    addresses. Off where each cluster has one host: see the README."""
    jwks_cache: str = "60s"
    """How long a fetched key set counts. Envoy does not fetch again on an unknown `kid`."""
