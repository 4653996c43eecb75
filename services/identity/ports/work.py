"""What holds everything together: time and transactions."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol

Clock = Callable[[], datetime]
"""Returns the time now, with its zone."""


class Work(Protocol):
    """Holds changes together."""

    def together(self) -> AbstractAsyncContextManager[None]:
        """What is ours and changes inside of the block is stored when it ends, and forgotten when it raises.

        A change in a directory that is not ours has happened at once.
        """

    async def alone(self, name: str) -> None:
        """Keep other work that asks for the same name waiting until the work at hand ends, in every process.

        What is read from now on is what they left. Decide by that, not by what was read before.
        """
