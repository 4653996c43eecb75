"""Real servers that tools call: HTTP, MCP and gRPC, on the loopback."""

import asyncio
import base64
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import uvicorn
from google.protobuf import descriptor_pb2
from mcp.server.mcpserver import MCPServer
from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp


@dataclass
class Seen:
    """What an HTTP server was asked: method, path with query, headers and body."""

    requests: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    failures: int = 0
    """How many requests to /flaky fail before one succeeds."""
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    """Lets requests to /slow be answered."""


@asynccontextmanager
async def serving(app: ASGIApp, port: int = 0) -> AsyncIterator[int]:
    """Serve an ASGI application on a port of the loopback, a free one for 0, and yield the port."""
    listening = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(app, log_level="error", lifespan="on", timeout_graceful_shutdown=1, ws="none")
    server = uvicorn.Server(config)
    server.config.load()
    task = asyncio.create_task(server._serve([listening]))
    try:
        yield listening.getsockname()[1]
    finally:
        server.should_exit = True
        await task
        listening.close()


def web(seen: Seen) -> Starlette:
    """Return an HTTP application that writes down what it was asked."""

    async def echo(request: Request) -> Response:
        await _note(request)
        return PlainTextResponse(f"seen {len(seen.requests)}")

    async def flaky(request: Request) -> Response:
        await _note(request)
        if len(seen.requests) <= seen.failures:
            return PlainTextResponse("later", status_code=int(request.query_params.get("status", "503")))
        return PlainTextResponse("done")

    async def slow(request: Request) -> Response:
        await _note(request)
        await seen.go_on.wait()
        return PlainTextResponse("at last")

    async def inward(request: Request) -> Response:
        await _note(request)
        return RedirectResponse("http://127.0.0.1:1/metadata")

    async def large(request: Request) -> Response:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b"x" * 65_536

        return StreamingResponse(parts())

    async def bomb(request: Request) -> Response:
        return Response(b"\x1f\x8b", headers={"content-encoding": "gzip"})

    async def charset(request: Request) -> Response:
        size = int(request.query_params.get("size", "1"))
        content_type = f"text/plain; {request.query_params['given']}"
        return Response(b"caf\xe9" if size == 1 else b"a-" * size, headers={"content-type": content_type})

    async def _note(request: Request) -> None:
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        seen.requests.append((request.method, path, dict(request.headers), await request.body()))

    handlers = {"/flaky": flaky, "/slow": slow, "/inward": inward, "/large": large, "/bomb": bomb, "/charset": charset}
    routes = [Route(path, handler, methods=["GET", "POST"]) for path, handler in handlers.items()]
    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
    return Starlette(routes=[*routes, Route("/{rest:path}", echo, methods=methods)])


def mcp_server() -> MCPServer:
    """Return an MCP server with a tool that reads, one that changes and one that fails."""
    server = MCPServer("weather")

    @server.tool(annotations=ToolAnnotations(read_only_hint=True))
    def forecast(city: str, days: int = 1) -> dict[str, Any]:
        """Tells the weather."""
        return {"city": city, "days": days, "sky": "blue"}

    @server.tool(name="order.umbrella")
    def order_umbrella(colour: str) -> str:
        """Orders an umbrella."""
        return f"a {colour} umbrella is on its way"

    @server.tool()
    def broken() -> str:
        """Always fails."""
        raise ValueError("out of umbrellas")

    return server


def picture_server(*names: str) -> MCPServer:
    """Return an MCP server whose tools answer more than text; `look` says what, and the others of these names text."""
    server = MCPServer("pictures")

    @server.tool(structured_output=False)
    def look(kind: str) -> Any:
        """Answers a part of a kind."""
        parts: dict[str, list[Any]] = {
            "image": [TextContent(text="a dot"), ImageContent(data=PIXEL, mime_type="image/png")],
            "audio": [AudioContent(data=PIXEL, mime_type="audio/wav")],
            "link": [ResourceLink(name="Huế", uri="https://x.example/hue", mime_type="text/html")],
            "text": [
                EmbeddedResource(resource=TextResourceContents(uri="a://b", text="Huế\x00", mime_type="text/plain"))
            ],
            "blob": [EmbeddedResource(resource=BlobResourceContents(uri="a://c", blob=PIXEL))],
            "broken": [ImageContent(data="***", mime_type="image/png")],
            "nothing": [],
        }
        return CallToolResult(content=parts[kind])

    @server.tool(structured_output=False)
    def measure(value: str) -> Any:
        """Answers JSON."""
        values: dict[str, Any] = {"text": {"city": "Huế \x00"}, "long": {"n": 10**60}}
        return CallToolResult(content=[TextContent(text="{}")], structured_content=values[value])

    for name in names:
        server.add_tool(lambda: "done", name=name, description=f"Does {name}.")
    return server


PIXEL = base64.b64encode(b"\x89PNG").decode()


def weather_descriptors() -> bytes:
    """Return the descriptor set of weather.v1.WeatherService, which Parley has no stubs of."""
    file = descriptor_pb2.FileDescriptorProto(name="weather.proto", package="weather.v1", syntax="proto3")
    for name, fields in {"Question": ("city",), "Answer": ("sky", "key", "authority")}.items():
        message = file.message_type.add(name=name)
        for number, one in enumerate(fields, 1):
            message.field.add(name=one, number=number, type=9, label=1)
    service = file.service.add(name="WeatherService")
    service.method.add(name="Tell", input_type=".weather.v1.Question", output_type=".weather.v1.Answer")
    return descriptor_pb2.FileDescriptorSet(file=[file]).SerializeToString()


@asynccontextmanager
async def weather_service() -> AsyncIterator[int]:
    """Serve weather.v1.WeatherService and yield its port. `city` "nowhere" is NOT_FOUND, "void" is UNAVAILABLE."""

    def text(number: int, value: str) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value.encode()

    async def tell(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        city = request[2:].decode()
        if city == "nowhere":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such city")
        if city == "void":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "maybe later")
        key = dict(context.invocation_metadata() or ()).get("idempotency-key", "")
        return text(1, f"blue over {city}") + text(2, str(key))

    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(tell)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("weather.v1.WeatherService", {"Tell": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield port
    finally:
        await server.stop(0)
