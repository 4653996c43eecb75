"""Fetches and builds ahead what the full profile runs, once: `python -m deploy.local.prepare CACHE`."""

import asyncio
import sys
from pathlib import Path

from deploy.kafka.distribution import fetch_libraries
from deploy.keycloak.preparing import prepare as prepare_keycloak
from deploy.local.errors import LaunchError


async def prepare(cache: Path) -> None:
    """Bring Keycloak (about 70 s) and Kafka into the cache, unless it has them. Raises LaunchError."""
    await prepare_keycloak(cache)
    await fetch_libraries(cache)


def main(arguments: list[str]) -> int:
    """Prepare the cache in the given folder and return the exit code; one line on a failure."""
    try:
        asyncio.run(prepare(Path(arguments[0]).absolute()))
    except (LaunchError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
