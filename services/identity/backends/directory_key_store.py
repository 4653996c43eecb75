"""Signing keys as files that only their owner may read; several processes may share the folder."""

import asyncio
import contextlib
import json
import os
import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from services.identity.errors import StartRefused
from services.identity.rules.signing_keys import SigningKey

_SUFFIX = ".json"


class DirectoryKeyStore:
    """Implements the port KeyStore: one file a key, named by its number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def load(self) -> list[SigningKey]:
        """See the port. Raises StartRefused when a file cannot be read: signing on without it would lock people out."""
        return await asyncio.to_thread(self._load)

    async def add(self, key: SigningKey) -> bool:
        """See the port."""
        return await asyncio.to_thread(self._add, key)

    async def remove(self, keys: Sequence[SigningKey]) -> None:
        """See the port."""
        for key in keys:
            await asyncio.to_thread(self._path(key.number).unlink, missing_ok=True)

    def _load(self) -> list[SigningKey]:
        keys = []
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            # Another process may have removed it since.
            with contextlib.suppress(FileNotFoundError):
                keys.append(_read(path))
        return keys

    def _add(self, key: SigningKey) -> bool:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._folder / f".{secrets.token_hex(8)}.draft"
        content = {"kid": key.key_id, "signs_from": key.signs_from.isoformat(), "private_key": key.private_pem}
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            # A link appears whole or not at all, and unlike a rename it never replaces another process's key.
            os.link(draft, self._path(key.number))
        except FileExistsError:
            return False
        finally:
            draft.unlink()
        return True

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}{_SUFFIX}"


def _read(path: Path) -> SigningKey:
    try:
        content = json.loads(path.read_text())
        return SigningKey(
            number=int(path.stem),
            key_id=content["kid"],
            signs_from=datetime.fromisoformat(content["signs_from"]),
            private_pem=content["private_key"],
        )
    except (ValueError, KeyError, TypeError, PermissionError) as error:
        raise StartRefused(cause=f"the signing key {path} cannot be read ({type(error).__name__})") from error
