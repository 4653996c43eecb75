"""What a capability hands to the process that runs it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import dramatiq
import grpc


async def _nothing() -> None:
    return None


@dataclass(frozen=True)
class Served:
    """One gRPC service: the generated `add_…_to_server`, its servicer and its full name."""

    add_to_server: Callable[[Any, grpc.aio.Server], None]
    servicer: object
    full_name: str


@dataclass(frozen=True)
class Module:
    """One capability, wired.

    `prepare` runs once before the server listens; `background` runs beside the server until the process stops;
    `register_jobs` declares the actors on a worker's broker; `rewrap` encrypts with the newest key what was with an
    older one, and yields how many are done and left; `close` gives back what the wiring opened.
    """

    served: tuple[Served, ...]
    prepare: Callable[[], Awaitable[None]] = _nothing
    background: tuple[Callable[[], Awaitable[None]], ...] = ()
    register_jobs: Callable[[dramatiq.Broker], None] | None = None
    rewrap: Callable[[], AsyncIterator[tuple[int, int]]] | None = None
    close: Callable[[], Awaitable[None]] = field(default=_nothing)
