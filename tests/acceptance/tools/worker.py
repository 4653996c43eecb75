"""A worker of `tools` as in the product, that gives jobs up soon; `python -m tests.acceptance.tools.worker`."""

import asyncio

from services.chassis.jobs import make_broker, run_worker
from services.chassis.resources import open_resources
from services.chassis.settings import ChassisSettings
from services.tools.jobs import QUEUE
from services.tools.wiring import assemble


async def main() -> None:
    """Work until told to stop."""
    async with open_resources(ChassisSettings(), "tools") as resources:
        module = await assemble(resources)
        broker = make_broker(resources.settings.jobs_url, resources.settings.valkey_url)
        assert module.register_jobs is not None
        module.register_jobs(broker)
        broker.get_actor(QUEUE).options.update(max_retries=1, min_backoff=50)
        await run_worker(broker, 2)
        await module.close()


if __name__ == "__main__":
    asyncio.run(main())
