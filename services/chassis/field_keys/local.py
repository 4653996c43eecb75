"""Field encryption with AES-256-GCM and keys in a file, for development and single machines.

The file is JSON: the id of the newest key, and every key in hex by its id. Processes share it.
"""

import asyncio
import base64
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from secrets import token_hex

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.chassis.field_encryption import Cipher, Plain, Undecipherable

_NAME = "local"
_FORMAT = "1"
_NONCE_BYTES = 12
_KEY_BYTES = 32


@dataclass(frozen=True, slots=True)
class _Keys:
    newest: str
    by_id: dict[str, AESGCM] = field(repr=False)
    stamp: int


class LocalFieldEncryption:
    """Implements FieldEncryption. `key_name` keeps the capabilities' values apart."""

    def __init__(self, file: Path, key_name: str) -> None:
        self._file = file
        self._key_name = key_name
        self._keys: _Keys | None = None

    async def encrypt(self, items: Sequence[Plain]) -> list[str]:
        """See FieldEncryption."""
        keys = await asyncio.to_thread(self._current)
        return [self._seal(keys, item) for item in items]

    async def decrypt(self, items: Sequence[Cipher]) -> list[bytes]:
        """See FieldEncryption."""
        keys = await asyncio.to_thread(self._current)
        return [self._open(keys, item) for item in items]

    async def rewrap(self, items: Sequence[Cipher]) -> list[str]:
        """See FieldEncryption."""
        plain = await self.decrypt(items)
        return await self.encrypt([Plain(item.context, value) for item, value in zip(items, plain, strict=True)])

    async def rotate(self) -> None:
        """See FieldEncryption."""
        await asyncio.to_thread(self._add_key)

    def _seal(self, keys: _Keys, item: Plain) -> str:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = nonce + keys.by_id[keys.newest].encrypt(nonce, item.value, self._bound_to(item.context))
        return ":".join((_NAME, _FORMAT, keys.newest, base64.b64encode(sealed).decode()))

    def _open(self, keys: _Keys, item: Cipher) -> bytes:
        try:
            name, form, key_id, text = item.value.split(":")
            sealed = base64.b64decode(text, validate=True)
            if (name, form) != (_NAME, _FORMAT):
                raise ValueError(name)
            nonce, body = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            return keys.by_id[key_id].decrypt(nonce, body, self._bound_to(item.context))
        except (ValueError, KeyError, InvalidTag):
            raise Undecipherable(f"a value of {item.context} does not open") from None

    def _bound_to(self, context: str) -> bytes:
        return f"{self._key_name}/{context}".encode()

    def _current(self) -> _Keys:
        """Return the keys, read again when the file has changed: another process may have rotated."""
        try:
            stamp = self._file.stat().st_mtime_ns
        except FileNotFoundError:
            self._make()
            stamp = self._file.stat().st_mtime_ns
        if self._keys is None or self._keys.stamp != stamp:
            newest, keys = _read(self._file)
            self._keys = _Keys(newest, {name: AESGCM(bytes.fromhex(key)) for name, key in keys.items()}, stamp)
        return self._keys

    def _make(self) -> None:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        draft = _draft(self._file, "1", {"1": token_hex(_KEY_BYTES)})
        try:
            # Linked, not renamed: of several processes that begin at once, one makes the key.
            os.link(draft, self._file)
        except FileExistsError:
            pass
        finally:
            draft.unlink()

    def _add_key(self) -> None:
        self._current()
        newest, keys = _read(self._file)
        following = str(int(newest) + 1)
        _draft(self._file, following, {**keys, following: token_hex(_KEY_BYTES)}).replace(self._file)


def _read(file: Path) -> tuple[str, dict[str, str]]:
    content = json.loads(file.read_text())
    return content["newest"], content["keys"]


def _draft(file: Path, newest: str, keys: dict[str, str]) -> Path:
    draft = file.with_name(f".{file.name}.{token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
        json.dump({"newest": newest, "keys": keys}, out)
        out.flush()
        os.fsync(out.fileno())
    return draft
