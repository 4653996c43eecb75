"""Prepares Keycloak: about 70 s the first time, nothing afterwards."""

import asyncio
import fcntl
from pathlib import Path
from typing import TextIO

from deploy.keycloak.distribution import build_distribution, built_home
from deploy.keycloak.template import make_template, template_path


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
