"""Runs the server by hand: `python -m tests.support.model_server`, then `PARLEY_INFERENCE_OPENAI_BASE_URL`."""

import asyncio

from tests.support.model_server.server import misbehaving


async def main() -> None:
    """Serve until Ctrl-C."""
    async with misbehaving() as provider:
        print(provider.base_url, flush=True)
        await asyncio.Event().wait()


asyncio.run(main())
