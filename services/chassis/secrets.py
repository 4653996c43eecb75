"""Secrets by name, from wherever the operators keep them; a changed one is seen without a restart.

A name has a capability and a word, such as `inference/openai-api-key`; what every process needs is `shared/…`.
"""

import asyncio
import contextlib
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


class SecretForbidden(ServiceError):
    """The place knows this process, and does not let it read the secret."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SECRET_FORBIDDEN"
    template = "this process may not read the secret {name}"


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
            SecretForbidden: it is not for this process.
            SecretsUnavailable: the place cannot be asked.
        """


class LiveSecret(Protocol):
    """One secret that is in use and may change meanwhile."""

    def now(self) -> str:
        """Return it as last read."""

    async def look_again(self) -> str:
        """Read it at once, such as when it was refused, and return it."""


class FixedSecret:
    """Implements LiveSecret: one that stands in the settings, and stays."""

    def __init__(self, value: str) -> None:
        self._value = value

    def now(self) -> str:
        """See LiveSecret."""
        return self._value

    async def look_again(self) -> str:
        """See LiveSecret."""
        return self._value


class SecretStore:
    """Reads secrets once and keeps them; `keep_fresh` reads what is in use again and again."""

    def __init__(self, source: SecretSource, every_seconds: float) -> None:
        self._source = source
        self._every = every_seconds
        self._known: dict[str, SecretStr] = {}
        self._held: dict[str, SecretStr] = {}
        self._polled: set[str] = set()
        self._changed = asyncio.Event()

    async def get(self, name: str) -> SecretStr:
        """Return a secret; the last known value while the source is away.

        Raises:
            SecretMissing: it is not set.
            SecretForbidden: it is not for this process.
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

    async def hold(self, name: str, *, polled: bool = True) -> LiveSecret:
        """Return the secret as it is and will be; one that is removed stays as it was. Raises as `get`.

        Not `polled`, it is read again only when it is looked at again: each reading is two lines in Vault's audit log.
        """
        if polled:
            self._polled.add(name)
        self._held[name] = await (self.get(name) if polled else self._source.read(name))
        return _Held(self, name)

    def held(self, name: str) -> SecretStr:
        """Return one of `hold` as last read."""
        return self._held[name]

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
            for name in {*self._known, *self._polled}:
                try:
                    await self.refresh(name)
                except (SecretMissing, SecretForbidden, SecretsUnavailable) as error:
                    _log.warning("a secret that is in use cannot be had any more", name=name, reason=error.reason)

    def _keep(self, name: str, value: SecretStr) -> None:
        before = self._known.get(name, self._held.get(name))
        if name in self._held:
            self._held[name] = value
        if name in self._polled or name not in self._held:
            self._known[name] = value
        if before is not None and before != value:
            _log.info("a secret has changed", name=name)
            self._changed.set()
            self._changed = asyncio.Event()


class _Held:
    """Implements LiveSecret: one of a store."""

    def __init__(self, store: SecretStore, name: str) -> None:
        self._store = store
        self._name = name

    def now(self) -> str:
        """See LiveSecret."""
        return self._store.held(self._name).get_secret_value()

    async def look_again(self) -> str:
        """See LiveSecret."""
        # Away or removed: what was there last may still be good.
        with contextlib.suppress(SecretMissing, SecretForbidden, SecretsUnavailable):
            await self._store.refresh(self._name)
        return self.now()
