"""Tells over HTTP what grpc.health.v1 says about the services behind the upstream."""

import asyncio
from collections.abc import Iterable

import grpc
from fastapi import Request, Response
from grpc_health.v1 import health_pb2

from adapters.rest.codec import dump_json
from adapters.rest.hosting import Page

_CHECK = "/grpc.health.v1.Health/Check"
_TIMEOUT_SECONDS = 2.0
_STATUS = health_pb2.HealthCheckResponse
_SERVING = _STATUS.ServingStatus.Name(_STATUS.SERVING)
_REFUSALS = {grpc.StatusCode.NOT_FOUND: "SERVICE_UNKNOWN", grpc.StatusCode.UNIMPLEMENTED: "UNIMPLEMENTED"}

PARTS = {
    "/health": ("parley.",),
    "/auth/health": ("parley.identity.v1.AuthService",),
    "/chat/health": ("parley.conversations.",),
    "/admin/health": ("parley.identity.v1.UserAdminService", "parley.identity.v1.AuditService", "parley.operations."),
    "/api/v1/ai/health": ("parley.inference.",),
}
"""How the names of the services behind each page begin."""


class HealthReader:
    """Asks the upstream how its services are."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        """Take the channel to the upstream."""
        self._check = channel.unary_unary(
            _CHECK,
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )

    async def state(self, service: str) -> str:
        """Return the state of a service: SERVING, NOT_SERVING, SERVICE_UNKNOWN, UNIMPLEMENTED, or UNREACHABLE."""
        try:
            answer = await self._check(health_pb2.HealthCheckRequest(service=service), timeout=_TIMEOUT_SECONDS)
        except grpc.aio.AioRpcError as error:
            return _REFUSALS.get(error.code(), "UNREACHABLE")
        return _STATUS.ServingStatus.Name(answer.status)

    async def states(self, services: Iterable[str]) -> dict[str, str]:
        """Return the states of several services, asked at the same time."""
        names = list(services)
        return dict(zip(names, await asyncio.gather(*map(self.state, names)), strict=True))


def health_pages(services: set[str]) -> dict[str, Page]:
    """Return the health pages, by path, of the parts that have some of `services`."""

    async def everything(request: Request) -> Response:
        reader: HealthReader = request.app.state.health
        overall, states = await asyncio.gather(reader.state(""), reader.states(_behind("/health", services)))
        return _answer(overall, states)

    pages = {path: _part(_behind(path, services)) for path in PARTS if _behind(path, services)}
    return {**pages, "/health": everything}


def gateway_health(path: str) -> dict[str, Page]:
    """Return grpc-gateway's health page by its path; none without a path."""
    return {path: _as_grpc_gateway} if path else {}


def health_links(services: set[str]) -> dict[str, str]:
    """Return where the health pages are, by name."""
    return {"health": "/health"} | {
        path.removeprefix("/api/v1").strip("/").replace("/", "_"): path for path in PARTS if _behind(path, services)
    }


def _behind(path: str, services: set[str]) -> list[str]:
    return sorted(service for service in services if service.startswith(PARTS[path]))


def _part(services: list[str]) -> Page:
    async def part(request: Request) -> Response:
        reader: HealthReader = request.app.state.health
        return _answer(_SERVING, await reader.states(services))

    return part


async def _as_grpc_gateway(request: Request) -> Response:
    service = request.query_params.get("service", "")
    state = await request.app.state.health.state(service)
    if not service and state in ("SERVICE_UNKNOWN", "UNIMPLEMENTED"):
        state = _SERVING  # it says nothing about itself, but it is there
    if state == _SERVING:
        return _json({"status": state}, 200)
    code, status = {"SERVICE_UNKNOWN": (5, 404)}.get(state, (14, 503))
    return _json({"code": code, "message": state, "details": []}, status)


def _answer(overall: str, states: dict[str, str]) -> Response:
    healthy = overall == _SERVING and all(state == _SERVING for state in states.values())
    return _json({"status": "ok" if healthy else "unavailable", "services": states}, 200 if healthy else 503)


def _json(content: object, status: int) -> Response:
    return Response(dump_json(content), status, media_type="application/json", headers={"cache-control": "no-store"})
