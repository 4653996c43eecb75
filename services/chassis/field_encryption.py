"""Encryption of single fields wherever they rest; the keys stay with their keeper.

Each value is bound to a context, such as the conversation it belongs to: moved elsewhere, it does not open. Values say
which version of which key they are encrypted with, so that keys rotate while old values still open.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Undecipherable(Exception):
    """A value does not open: it was changed, belongs to another context, or its key is gone."""


@dataclass(frozen=True, slots=True)
class Plain:
    """What is to be encrypted, and what it belongs to."""

    context: str
    value: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cipher:
    """What was encrypted, and what it belongs to."""

    context: str
    value: str


class FieldEncryption(Protocol):
    """Encrypts batches: one round trip for all of a batch, where there is one."""

    async def encrypt(self, items: Sequence[Plain]) -> list[str]:
        """Return the items encrypted with the newest key, in their order. Raises SecretsUnavailable."""

    async def decrypt(self, items: Sequence[Cipher]) -> list[bytes]:
        """Return the items as they were, in their order.

        Raises:
            Undecipherable: one of them does not open.
            SecretsUnavailable: the keeper of the keys is away.
        """

    async def rewrap(self, items: Sequence[Cipher]) -> list[str]:
        """Return the items encrypted with the newest key; the plain values are seen by nobody but the keeper.

        Raises as `decrypt`.
        """

    async def rotate(self) -> None:
        """Make a new key, with which everything is encrypted from now on. Raises SecretsUnavailable."""
