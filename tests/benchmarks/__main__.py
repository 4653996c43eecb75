"""`make bench`: starts the house and prints what it measures, each figure beside its floor. Nothing is asserted."""

import asyncio
import json

from tests.benchmarks import memory, road, unary
from tests.benchmarks.http_client import HttpConnection
from tests.support.callers import register
from tests.support.running_mesh import running_mesh


async def main() -> None:
    """Measure everything once and print it."""
    with running_mesh(PARLEY_INFERENCE_SCRIPTED_DELAY_MS="0") as mesh:
        host, port = mesh.edge_target.rsplit(":", 1)
        caller = await register(mesh.edge)
        print("Memory (PSS), before any load:")
        _print_memory(mesh.pid)
        async with HttpConnection(host, int(port), caller.access_token) as connection:
            _, body = await connection.call("POST", "/api/v1/chat/conversations", {})
        conversation_id = json.loads(body)["id"]
        bare = mesh.part("services")["address"]
        print("\nA unary RPC with a token check and a query:")
        for line in await unary.compare(bare, host, int(port), caller.access_token, conversation_id):
            print(f"  {line}")
        print(f"\nThe road of a message, {road.MESSAGES} messages in {road.CONVERSATIONS} conversations by REST:")
        for name, rate in (await road.measure(host, int(port), caller.access_token)).items():
            print(f"  {name.replace('_', ' ')}: {rate:.0f}")
        print("\nMemory (PSS), after that load:")
        _print_memory(mesh.pid)


def _print_memory(launcher: int) -> None:
    sizes = memory.resident(launcher)
    for name, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"  {name:24s} {size:6.0f} MiB")
    print(f"  {'all':24s} {sum(sizes.values()):6.0f} MiB")


if __name__ == "__main__":
    asyncio.run(main())
