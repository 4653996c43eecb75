"""Knows the streams that are open, so that a shutdown can end them in good order."""

from typing import Any


class OpenStreams:
    """The gRPC calls of the open streams."""

    def __init__(self) -> None:
        """Start with none."""
        self.ending = False
        self._calls: set[Any] = set()

    def add(self, call: Any) -> None:
        """Note that a stream is open."""
        self._calls.add(call)

    def discard(self, call: Any) -> None:
        """Note that a stream has ended."""
        self._calls.discard(call)

    def end(self) -> None:
        """Cancel all calls; each stream then says goodbye to its client."""
        self.ending = True
        for call in list(self._calls):
            call.cancel()
