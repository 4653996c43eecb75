"""One capability as it is wired, over real gRPC, called by another service of ours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path

import grpc
from pydantic import SecretStr

from services.chassis.channels import open_channel
from services.chassis.resources import open_resources
from services.chassis.serving import build_server
from services.chassis.settings import ChassisSettings
from services.chassis.supervision import keep_running
from services.chassis.tokens import ServiceTokens
from services.registry import CAPABILITIES

SECRET = "0123456789abcdef0123456789abcdef"


@asynccontextmanager
async def served(
    capability: str, home: Path, postgres_url: str, valkey_url: str, caller: str = "conversations"
) -> AsyncIterator[grpc.aio.Channel]:
    """Serve a capability with its background loops and yield a channel of another service to it."""
    settings = ChassisSettings(
        home=home,
        secret=SecretStr(SECRET),
        database_url=SecretStr(postgres_url),
        valkey_url=SecretStr(valkey_url),
    )
    async with open_resources(settings, "tests") as resources:
        module = await import_module(CAPABILITIES[capability]).assemble(resources)
        await module.prepare()
        server, _, _ = build_server([module], resources)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        loops = [asyncio.create_task(keep_running(capability, loop)) for loop in module.background]
        async with open_channel(f"127.0.0.1:{port}", ServiceTokens(SECRET, caller)) as channel:
            yield channel
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await server.stop(1)
        await module.close()
