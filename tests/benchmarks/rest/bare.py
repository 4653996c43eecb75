"""`python -m tests.benchmarks.rest.bare BINPB UPSTREAM GET|POST TASKS SECONDS`: grpc.aio alone; prints rate and p50."""

import asyncio
import json
import statistics
import sys
import time
from pathlib import Path

import grpc
import uvloop

from tests.benchmarks.rest.echo import ECHO, ECHO_BODY, TEXT, load_echo, stub


async def measure(descriptor_set: Path, upstream: str, method: str, tasks: int, seconds: float) -> tuple[float, float]:
    """Call over and over in `tasks` tasks on one channel; return calls per second and the median in milliseconds."""
    _, kind = load_echo(descriptor_set)
    times: list[float] = []
    async with grpc.aio.insecure_channel(upstream) as channel:
        call = stub(channel, ECHO if method == "GET" else ECHO_BODY, kind)
        request = kind(resource_id="r") if method == "GET" else kind(id=TEXT)
        await call(request)
        began = time.perf_counter()
        stop = began + seconds

        async def loop() -> None:
            while (started := time.perf_counter()) < stop:
                await call(request)
                times.append(time.perf_counter() - started)

        await asyncio.gather(*[loop() for _ in range(tasks)])
        return len(times) / (time.perf_counter() - began), statistics.median(times) * 1000


if __name__ == "__main__":
    _, binpb, target, http_method, count, duration = sys.argv
    print(json.dumps(uvloop.run(measure(Path(binpb), target, http_method, int(count), float(duration)))))
