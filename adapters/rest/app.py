"""Assembles the application: FastAPI hosts the docs and the health pages, everything else is the gateway's."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response

from adapters.rest.codec import dump_json
from adapters.rest.descriptors import DescriptorSet, read_descriptor_set
from adapters.rest.dialect import Dialect
from adapters.rest.docs import Docs
from adapters.rest.external_rules import read_rules
from adapters.rest.gateway import Gateway
from adapters.rest.health import HealthReader, gateway_health, health_links, health_pages
from adapters.rest.hosting import Page, RestApplication
from adapters.rest.settings import RestSettings
from services.chassis.mesh_tls import mesh_channel

_log = logging.getLogger(__name__)
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


def build_app(settings: RestSettings, dialect: Dialect | None = None) -> RestApplication:
    """Return the ASGI application; the dialect is that of the settings when not given.

    Raises:
        DescriptorSetInvalid, RulesInvalid: a file cannot be read.
        RuleInvalid: an HTTP rule is wrong; the text names the file, the RPC and the rule.
    """
    descriptors = read_descriptor_set(settings.descriptor_set)
    gateway = Gateway(
        descriptors,
        max_body_bytes=settings.max_body_bytes,
        max_upload_bytes=settings.max_upload_bytes,
        default_timeout_seconds=settings.unary_timeout,
        heartbeat_seconds=settings.heartbeat_seconds,
        dialect=dialect or settings.make_dialect(),
        external=read_rules(settings.http_rules),
    )

    @asynccontextmanager
    async def connected(app: FastAPI) -> AsyncIterator[None]:
        message_bytes = settings.max_body_bytes + _MARGIN_BYTES
        options = (
            *_CHANNEL_OPTIONS,
            ("grpc.max_receive_message_length", message_bytes),
            ("grpc.max_send_message_length", message_bytes),
        )
        async with mesh_channel(settings.upstream, settings.mesh_certificates, options) as channel:
            gateway.connect(channel)
            app.state.health = HealthReader(channel)
            yield

    if settings.warn_on_unbound_methods:
        _warn(descriptors, gateway)
    pages = _pages(settings, descriptors, gateway)
    return RestApplication(gateway, pages, lifespan=connected, title=settings.name, version=settings.version)


def _warn(descriptors: DescriptorSet, gateway: Gateway) -> None:
    for method in descriptors.methods():
        if not gateway.bindings(method):
            _log.warning("%s has no HTTP rule", method.full_name)


def _pages(settings: RestSettings, descriptors: DescriptorSet, gateway: Gateway) -> dict[str, Page]:
    docs = Docs(descriptors, settings.name, settings.version, gateway.bindings, raw_uploads=gateway.raw_uploads)
    health = gateway_health(settings.health_path)
    if not settings.is_parley:
        return {**docs.pages(), **health}
    services = descriptors.service_names()
    return {
        **docs.pages(),
        **health_pages(services),
        **health,
        "/": _landing(settings, {**docs.links(), **health_links(services)}),
    }


def _landing(settings: RestSettings, links: dict[str, str]) -> Page:
    body = dump_json({"name": settings.name, "version": settings.version, "links": links})

    async def landing(_request: Request) -> Response:
        return Response(body, media_type="application/json")

    return landing
