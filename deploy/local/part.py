"""One part of the house: what to start, how to know that it is ready and how to stop it."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from deploy.local.probes import Probe


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A process that is started and kept up, or run once to its end."""

    name: str
    """Short and unique: the name of its log and in HOME/run/state.json."""
    title: str
    """What it is, for people."""
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    """Its whole environment."""
    address: str = ""
    """HOST:PORT where it listens, if it does."""
    prepare: Callable[[], Awaitable[None]] | None = None
    """Run once before the first start; raises LaunchError."""
    clear: Callable[[], None] | None = None
    """Run before every start, in a thread: ends what a dead one left behind."""
    ready: Probe | None = None
    """None: ready as soon as it runs."""
    one_shot: bool = False
    """Run to its end, which must be exit code 0, before anything later starts."""
    stop_signal: signal.Signals = signal.SIGTERM
    stop_grace: float = 10.0
    """Seconds between the stop signal and SIGKILL."""
    user: str | None = None
    """The operating-system user to run as; only root may set it."""


Stage = tuple[Part, ...]
"""Parts that start together, once all before them are ready."""


async def wait_until(probe: Probe, every: float = 0.05) -> None:
    """Ask until the probe says yes. The caller sets the limit."""
    while not await probe():  # noqa: ASYNC110 -- another process's state: there is no event to wait for
        await asyncio.sleep(every)
