"""Envelope encryption: each thing has a data key of its own, which is kept wrapped by the keeper of the keys.

The keeper is asked once a thing and process, not once a value: sealing takes microseconds. When the keeper's key
rotates, only the wrapped data keys are wrapped anew, not what they seal.
"""

import base64
import os
from collections import OrderedDict

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.chassis.field_encryption import Cipher, FieldEncryption, Plain, Undecipherable

_PREFIX = "sealed:1:"
_NONCE_BYTES = 12
_KEPT = 10_000


class Seal:
    """The data key of one thing. `about` binds a value to its place in the thing."""

    def __init__(self, context: str, wrapped: str, key: bytes) -> None:
        self.wrapped = wrapped
        self._context = context
        self._key = AESGCM(key)

    def seal(self, text: str, about: str) -> str:
        """Return the text sealed; an empty one stays empty."""
        if not text:
            return text
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + self._key.encrypt(nonce, text.encode(), self._bound_to(about))
        return _PREFIX + base64.b64encode(sealed).decode()

    def open(self, sealed: str, about: str) -> str:
        """Return the text that was sealed. Raises Undecipherable."""
        if not sealed:
            return sealed
        try:
            if not sealed.startswith(_PREFIX):
                raise ValueError(_PREFIX)
            raw = base64.b64decode(sealed.removeprefix(_PREFIX), validate=True)
            return self._key.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], self._bound_to(about)).decode()
        except (ValueError, InvalidTag):
            raise Undecipherable(f"{about} of {self._context} does not open") from None

    def _bound_to(self, about: str) -> bytes:
        return f"{self._context}/{about}".encode()


class DataKeys:
    """Makes and opens data keys, and remembers those that were in use last."""

    def __init__(self, encryption: FieldEncryption) -> None:
        self._encryption = encryption
        self._opened: OrderedDict[tuple[str, str], Seal] = OrderedDict()

    async def new(self, context: str) -> Seal:
        """Return a new data key for a thing; its `wrapped` is to be stored with it. Raises SecretsUnavailable."""
        key = AESGCM.generate_key(256)
        (wrapped,) = await self._encryption.encrypt([Plain(context, key)])
        return self._remember((context, wrapped), Seal(context, wrapped, key))

    async def open(self, context: str, wrapped: str) -> Seal:
        """Return the data key of a thing. Raises Undecipherable, SecretsUnavailable."""
        known = self._opened.get((context, wrapped))
        if known is not None:
            self._opened.move_to_end((context, wrapped))
            return known
        (key,) = await self._encryption.decrypt([Cipher(context, wrapped)])
        return self._remember((context, wrapped), Seal(context, wrapped, key))

    def _remember(self, key: tuple[str, str], seal: Seal) -> Seal:
        self._opened[key] = seal
        while len(self._opened) > _KEPT:
            self._opened.popitem(last=False)
        return seal
