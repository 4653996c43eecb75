"""Keeping the signing keys: a new one in time, the old ones for as long as they are needed."""

import asyncio
from collections.abc import Mapping

from services.chassis import logs
from services.identity.ports.keys import KeyStore, TokenSigner
from services.identity.ports.work import Clock
from services.identity.rules.signing_keys import (
    KeySchedule,
    SigningKey,
    next_number,
    next_signs_from,
    published_keys,
    signing_key,
)

_log = logs.get(__name__)
# Much less than a key is published ahead: every process knows a key before any process signs with it.
_LOOK_SECONDS = 30.0


class KeepKeys:
    """Knows the keys of the store. `refresh` must have run once."""

    def __init__(self, store: KeyStore, signer: TokenSigner, schedule: KeySchedule, clock: Clock) -> None:
        self._store = store
        self._signer = signer
        self._schedule = schedule
        self._clock = clock
        self._keys: tuple[SigningKey, ...] = ()

    async def refresh(self) -> None:
        """Read the keys, add one when one is due, and remove those that nobody needs any more."""
        keys = await self._store.load()
        now = self._clock()
        signs_from = next_signs_from(keys, self._schedule, now)
        if signs_from is not None:
            key_id, private_pem = await self._signer.make_key()
            if await self._store.add(SigningKey(next_number(keys), key_id, signs_from, private_pem)):
                _log.info("new signing key", key_id=key_id, signs_from=signs_from.isoformat())
            # Also when another process was first: then its key is the new one.
            keys = await self._store.load()
        published = published_keys(keys, self._schedule, now)
        await self._store.remove([key for key in keys if key not in published])
        self._keys = tuple(published)

    async def keep_rotating(self) -> None:
        """Refresh every half minute, for ever."""
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            await self.refresh()

    def sign(self, claims: Mapping[str, object]) -> str:
        """Return a JWT, signed with the key whose turn it is."""
        return self._signer.sign(claims, signing_key(self._keys, self._clock()))

    def key_set(self) -> dict[str, object]:
        """Return the JSON Web Key Set that verifiers need."""
        published = published_keys(self._keys, self._schedule, self._clock())
        return {"keys": [self._signer.public_jwk(key) for key in published]}
