"""The public keys of the token issuer (JSON Web Key Set, RFC 7517), fetched over HTTP and kept."""

import asyncio
import time

import httpx
import jwt

from services.chassis import logs

_log = logs.get(__name__)
_FRESH_SECONDS = 60.0
_RETRY_SECONDS = 2.0
_TIMEOUT_SECONDS = 5.0


class KeySetUnavailable(Exception):
    """The keys could never be fetched."""


class RemoteKeySet:
    """Keeps the keys at `url` for a minute. An unknown key id fetches them anew, but not more often than every 2 s.

    That bound keeps a flood of forged key ids from becoming a flood of fetches.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_at = float("-inf")
        self._tried_at = float("-inf")
        self._lock = asyncio.Lock()

    async def key(self, key_id: str) -> jwt.PyJWK | None:
        """Return the key with this id, None when the issuer has none. Raises KeySetUnavailable."""
        if key_id not in self._keys or time.monotonic() - self._fetched_at > _FRESH_SECONDS:
            async with self._lock:
                await self._refresh(key_id)
        return self._keys.get(key_id)

    async def _refresh(self, key_id: str) -> None:
        now = time.monotonic()
        fresh = now - self._fetched_at < _FRESH_SECONDS
        if fresh and key_id in self._keys:
            return
        if now - self._tried_at < _RETRY_SECONDS:
            if not self._keys:
                raise KeySetUnavailable(self._url)
            return
        self._tried_at = now
        try:
            async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
                response = await client.get(self._url)
                response.raise_for_status()
                keys = jwt.PyJWKSet.from_dict(response.json()).keys
        except (httpx.HTTPError, ValueError, jwt.PyJWTError) as error:
            # Old keys stay good: the issuer may be away for a while without locking everybody out.
            _log.warning("key set cannot be fetched", url=self._url, error=str(error))
            if not self._keys:
                raise KeySetUnavailable(self._url) from error
            return
        # Keycloak publishes keys for encryption too.
        self._keys = {key.key_id: key for key in keys if key.key_id and key.public_key_use != "enc"}
        self._fetched_at = now
