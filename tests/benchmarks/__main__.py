"""`make bench`: starts the house and prints what it measures, each figure beside its floor. Nothing is asserted."""

import asyncio
import json
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.benchmarks import memory, road, unary
from tests.benchmarks.bare import running_bare_server
from tests.benchmarks.http_client import HttpConnection
from tests.support.callers import edge_of
from tests.support.running_mesh import running_mesh

HOST = "127.0.0.1"


async def main() -> None:
    """Measure everything once and print it."""
    with TemporaryDirectory() as folder, running_mesh(Path(folder)) as mesh:
        async with edge_of(mesh.url) as edge:
            token = (await edge.register()).token
        print("Memory (PSS), before any load:")
        _print_memory(mesh.launcher.pid)
        async with HttpConnection(HOST, mesh.port, token) as connection:
            _, body = await connection.call("POST", "/api/v1/chat/conversations", {})
        conversation_id = json.loads(body)["id"]
        service = f"{HOST}:{mesh.port_of('services')}"
        print("\nA unary RPC with a token check and a query:")
        async with running_bare_server() as bare:
            for line in await unary.compare(bare, service, HOST, mesh.port, token, conversation_id):
                print(f"  {line}")
        print(f"\nThe road of a message, {road.MESSAGES} messages in {road.CONVERSATIONS} conversations by REST:")
        for name, rate in (await road.measure(HOST, mesh.port, token)).items():
            print(f"  {name.replace('_', ' ')}: {rate:.0f}")
        print("\nMemory (PSS), after that load:")
        _print_memory(mesh.launcher.pid)


def _print_memory(launcher: int) -> None:
    sizes = memory.resident(launcher)
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"  {name:24s} {size:6.0f} MiB")
    print(f"  {'all':24s} {sum(sizes.values()):6.0f} MiB")


if __name__ == "__main__":
    asyncio.run(main())
