"""Prepares Keycloak: about 70 s the first time, nothing afterwards. `python -m deploy.keycloak.preparing CACHE`."""

import asyncio
import fcntl
import sys
from pathlib import Path
from typing import TextIO

from deploy.keycloak.distribution import build_distribution, built_home
from deploy.keycloak.template import make_template, template_path
from deploy.local.errors import LaunchError


def is_prepared(cache: Path) -> bool:
    """Whether a start would find everything in the cache."""
    return built_home(cache).exists() and template_path(cache).exists()


async def prepare(cache: Path) -> None:
    """Fetch, build and make the template, unless the cache has them. Two at once wait for each other.

    Raises:
        LaunchError: a step failed.
    """
    if is_prepared(cache):
        return
    with await asyncio.to_thread(_lock, cache):
        await make_template(cache, await build_distribution(cache))


def _lock(cache: Path) -> TextIO:
    """Lock the cache until the returned file is closed."""
    cache.mkdir(parents=True, exist_ok=True)
    lock = (cache / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def main(arguments: list[str]) -> int:
    """Prepare the cache in the given folder and return the exit code; one line on a failure."""
    try:
        asyncio.run(prepare(Path(arguments[0]).absolute()))
    except LaunchError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
