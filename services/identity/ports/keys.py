"""What signs access tokens."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from services.identity.rules.signing_keys import SigningKey


class KeyStore(Protocol):
    """Where the signing keys are kept. Several processes may share it."""

    async def load(self) -> list[SigningKey]:
        """Return all keys."""

    async def add(self, key: SigningKey) -> bool:
        """Keep a key; False, having kept nothing, when another process was first to add one with its number."""

    async def remove(self, keys: Sequence[SigningKey]) -> None:
        """Remove keys; those that are gone already do no harm."""


SignClaims = Callable[[Mapping[str, object]], str]
"""Returns a JWT with the claims, signed with the key whose turn it is."""


class TokenSigner(Protocol):
    """Makes key pairs and signs with them."""

    async def make_key(self) -> tuple[str, str]:
        """Return a new key pair: its id and its private key as PEM."""

    def sign(self, claims: Mapping[str, object], key: SigningKey) -> str:
        """Return a JWT."""

    def public_jwk(self, key: SigningKey) -> dict[str, str]:
        """Return the public key as a JSON Web Key."""
