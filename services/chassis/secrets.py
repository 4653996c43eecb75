"""Secrets by name, from wherever the operators keep them; a changed one is seen without a restart.

A name has a capability and a word, such as `inference/openai-api-key`.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Protocol

from pydantic import SecretStr

from services.chassis import logs
from services.chassis.errors import Kind, ServiceError

_log = logs.get(__name__)


class SecretMissing(ServiceError):
    """Nobody has set the secret."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SECRET_MISSING"
    template = "the secret {name} is not set"


class SecretsUnavailable(ServiceError):
    """Vault cannot be reached, and what is asked for is not known from before."""

    kind = Kind.UNAVAILABLE
    reason = "SECRETS_UNAVAILABLE"
    template = "secrets and keys cannot be reached now; try again"


class SecretSource(Protocol):
    """Where secrets are kept."""

    async def read(self, name: str) -> SecretStr:
        """Return the secret as it is there now.

        Raises:
            SecretMissing: it is not there.
            SecretsUnavailable: the place cannot be asked.
        """


class SecretStore:
    """Reads secrets once and keeps them; `keep_fresh` reads what is in use again and again."""

    def __init__(self, source: SecretSource, every_seconds: float) -> None:
        self._source = source
        self._every = every_seconds
        self._known: dict[str, SecretStr] = {}
        self._changed = asyncio.Event()

    async def get(self, name: str) -> SecretStr:
        """Return a secret; the last known value while the source is away.

        Raises:
            SecretMissing: it is not set.
            SecretsUnavailable: the source cannot be asked, and was not before.
        """
        return self._known[name] if name in self._known else await self.refresh(name)

    async def refresh(self, name: str) -> SecretStr:
        """Read a secret again at once, such as when it was refused; otherwise as `get`."""
        try:
            value = await self._source.read(name)
        except SecretsUnavailable:
            if name not in self._known:
                raise
            return self._known[name]
        except SecretMissing:
            self._known.pop(name, None)
            raise
        self._keep(name, value)
        return value

    async def watch(self, name: str) -> AsyncIterator[SecretStr]:
        """Yield the secret as it is, and again whenever it has changed. Raises as `get`."""
        last = await self.get(name)
        yield last
        while True:
            changed = self._changed
            now = self._known.get(name, last)
            if now != last:
                last = now
                yield last
            else:
                await changed.wait()

    async def keep_fresh(self) -> None:
        """Read every secret that was asked for again, for ever."""
        while True:
            await asyncio.sleep(self._every)
            for name in list(self._known):
                try:
                    await self.refresh(name)
                except SecretMissing:
                    _log.warning("a secret that is in use was removed", name=name)

    def _keep(self, name: str, value: SecretStr) -> None:
        before = self._known.get(name)
        self._known[name] = value
        if before is not None and before != value:
            _log.info("a secret has changed", name=name)
            self._changed.set()
            self._changed = asyncio.Event()
