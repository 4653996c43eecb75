"""What is measured, as ASGI applications. `BENCH_DESCRIPTOR_SET` and `BENCH_UPSTREAM` say of what and of whom."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import orjson
from fastapi import FastAPI
from google.protobuf import json_format
from pydantic import BaseModel

from adapters.rest.settings import RestSettings
from tests.benchmarks.rest.echo import BODY_PATH, ECHO, ECHO_BODY, RESOURCE_PATH, load_echo, stub


def settings(listen: str = "127.0.0.1:0") -> RestSettings:
    """Return the adapter's settings for the measured service."""
    return RestSettings(
        listen=listen,
        upstream=os.environ["BENCH_UPSTREAM"],
        descriptor_set=Path(os.environ["BENCH_DESCRIPTOR_SET"]),
    )


def adapter() -> Any:
    """Return the adapter as it is."""
    from adapters.rest.app import build_app

    return build_app(settings())


def use_json_format() -> None:
    """Put google.protobuf.json_format in the place of the adapter's codec, for this process."""
    from adapters.rest import codec

    def encoder(_self: Any, descriptor: Any) -> Any:
        return lambda message: json_format.MessageToDict(message, always_print_fields_with_no_presence=True)

    def decoder(_self: Any, descriptor: Any) -> Any:
        return lambda message, value: json_format.ParseDict(value, message, ignore_unknown_fields=True)

    codec.Codec.encoder = encoder  # type: ignore[method-assign, assignment]
    codec.Codec.decoder = decoder  # type: ignore[method-assign, assignment]


class _Floor:
    """The least that a gateway in Python can do: two paths, one field, no headers, no errors."""

    def __init__(self) -> None:
        _, self._kind = load_echo(Path(os.environ["BENCH_DESCRIPTOR_SET"]))
        self._prefix = len(RESOURCE_PATH)
        self._echo: Any = None
        self._echo_body: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._lifespan(receive, send)
            return
        if scope["method"] == "GET":
            answer = await self._echo(self._kind(resource_id=scope["path"][self._prefix :]))
        else:
            body = b""
            more = True
            while more:
                event = await receive()
                body += event["body"]
                more = event.get("more_body", False)
            answer = await self._echo_body(self._kind(id=orjson.loads(body)["id"]))
        text = orjson.dumps(
            {
                "id": answer.id,
                "num": str(answer.num),
                "status": None,
                "resourceId": answer.resource_id,
                "nId": None,
            }
        )
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(text)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": text})

    async def _lifespan(self, receive: Any, send: Any) -> None:
        while True:
            event = await receive()
            if event["type"] == "lifespan.startup":
                self._channel = grpc.aio.insecure_channel(os.environ["BENCH_UPSTREAM"])
                self._echo = stub(self._channel, ECHO, self._kind)
                self._echo_body = stub(self._channel, ECHO_BODY, self._kind)
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._channel.close()
                await send({"type": "lifespan.shutdown.complete"})
                return


def floor() -> Any:
    """Return a bare ASGI application that calls grpc.aio."""
    return _Floor()


class _Nested(BaseModel):
    nId: str = ""  # noqa: N815 - as it stands in JSON
    val: str = ""


class _Simple(BaseModel):
    id: str = ""
    num: str = "0"
    resourceId: str = ""  # noqa: N815 - as it stands in JSON
    nId: _Nested | None = None  # noqa: N815 - as it stands in JSON


def fastapi() -> Any:
    """Return what one would write by hand: a FastAPI route per RPC, with models of the messages."""
    _, kind = load_echo(Path(os.environ["BENCH_DESCRIPTOR_SET"]))
    stubs: dict[str, Any] = {}

    @asynccontextmanager
    async def connected(_app: FastAPI) -> AsyncIterator[None]:
        async with grpc.aio.insecure_channel(os.environ["BENCH_UPSTREAM"]) as channel:
            stubs["echo"], stubs["body"] = stub(channel, ECHO, kind), stub(channel, ECHO_BODY, kind)
            yield

    app = FastAPI(lifespan=connected)

    @app.get(RESOURCE_PATH + "{resource_id}")
    async def echo(resource_id: str) -> _Simple:
        return _shown(await stubs["echo"](kind(resource_id=resource_id)))

    @app.post(BODY_PATH)
    async def echo_body(message: _Simple) -> _Simple:
        return _shown(await stubs["body"](kind(id=message.id, num=int(message.num), resource_id=message.resourceId)))

    return app


def _shown(message: Any) -> _Simple:
    nested = _Nested(nId=message.n_id.n_id, val=message.n_id.val) if message.HasField("n_id") else None
    return _Simple(id=message.id, num=str(message.num), resourceId=message.resource_id, nId=nested)


def probe() -> Any:
    """Return the application that shows what a server can do."""
    from tests.benchmarks.rest.servers import Probe

    return Probe()
