"""Waiting for something to become true, with an end."""

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], *, seconds: float, what: str) -> None:
    """Return as soon as `condition` holds; fail after `seconds`, naming `what` was waited for."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what} was not there after {seconds} s"
        time.sleep(0.02)
