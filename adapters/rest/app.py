"""Assembles the application: FastAPI hosts the docs and the health pages, everything else is the gateway's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
from fastapi import FastAPI, Response

from adapters.rest.asgi import Receive, Scope, Send
from adapters.rest.codec import dump_json
from adapters.rest.descriptors import DescriptorSet, read_descriptor_set
from adapters.rest.dialect import PARLEY, Dialect
from adapters.rest.docs import Docs
from adapters.rest.gateway import Gateway
from adapters.rest.health import PARTS, HealthReader, health_routes
from adapters.rest.settings import RestSettings

_MARGIN_BYTES = 1024 * 1024
_CHANNEL_OPTIONS = (
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # After a restart of Envoy, callers are back within a second.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    # Clients' user-agent goes on as metadata; ours says who is between.
    ("grpc.primary_user_agent", "parley-rest"),
)


class RestApplication(FastAPI):
    """FastAPI, with the gateway in front of its router for all paths that are not FastAPI's own."""

    def __init__(self, gateway: Gateway, **options: Any) -> None:
        """Take the gateway and FastAPI's options."""
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None, **options)
        self._gateway = gateway
        self._hosted: frozenset[str] = frozenset()

    def host_routes(self) -> None:
        """Keep the paths of the routes so far for FastAPI, but for those that an RPC has too."""
        paths = {str(getattr(route, "path", "")) for route in self.routes}
        self._hosted = frozenset(path for path in paths if path and not self._gateway.serves("GET", path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and scope["path"] not in self._hosted:
            await self._gateway(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def build_app(settings: RestSettings, dialect: Dialect = PARLEY) -> RestApplication:
    """Return the ASGI application.

    Raises:
        DescriptorSetInvalid: the descriptor set cannot be read.
        TemplateInvalid, BindingInvalid: a google.api.http rule in it is wrong.
    """
    descriptors = read_descriptor_set(settings.descriptor_set)
    gateway = Gateway(
        descriptors,
        max_body_bytes=settings.max_body_bytes,
        default_timeout_seconds=settings.default_timeout_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        dialect=dialect,
    )

    @asynccontextmanager
    async def connected(app: FastAPI) -> AsyncIterator[None]:
        message_bytes = settings.max_body_bytes + _MARGIN_BYTES
        options = (
            *_CHANNEL_OPTIONS,
            ("grpc.max_receive_message_length", message_bytes),
            ("grpc.max_send_message_length", message_bytes),
        )
        async with grpc.aio.insecure_channel(settings.upstream, options=options) as channel:
            gateway.connect(channel)
            app.state.health = HealthReader(channel)
            yield

    app = RestApplication(gateway, lifespan=connected, title=settings.name, version=settings.version)
    docs = Docs(descriptors, settings.name, settings.version)
    app.include_router(docs.routes())
    app.include_router(health_routes(descriptors.service_names()))
    app.add_api_route("/", _landing(settings, docs, descriptors), include_in_schema=False)
    app.host_routes()
    return app


def _landing(settings: RestSettings, docs: Docs, descriptors: DescriptorSet):  # type: ignore[no-untyped-def]
    services = descriptors.service_names()
    parts = {path.strip("/").replace("/", "_"): path for path, service in PARTS.items() if service in services}
    links = {**docs.links(), "health": "/health", **parts}
    body = dump_json({"name": settings.name, "version": settings.version, "links": links})

    async def landing() -> Response:
        return Response(body, media_type="application/json")

    return landing
