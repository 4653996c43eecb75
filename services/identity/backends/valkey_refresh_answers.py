"""What refreshes have just answered, in Valkey: sealed under the token that was shown, which nobody stores."""

import asyncio
import hashlib
import json
import os
from dataclasses import asdict

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from redis.asyncio import Redis
from redis.exceptions import RedisError

from services.chassis import logs
from services.identity.ports.sessions import Claim
from services.identity.rules.sessions import TokenPair

_log = logs.get(__name__)
_PATIENCE_SECONDS = 3.0
_LOOK_SECONDS = 0.02
_NONCE_BYTES = 12
_CLIENT_BYTES = 32


class ValkeyRefreshAnswers:
    """Implements the port RefreshAnswers. A value is the client's hash, and behind it the answer once there is one."""

    def __init__(self, valkey: Redis, grace_seconds: int) -> None:
        self._valkey = valkey
        self._grace_ms = grace_seconds * 1000

    async def claim(self, token: str, client: str) -> Claim:
        """See the port."""
        if not self._grace_ms:
            return Claim()
        mark = hashlib.sha256(client.encode()).digest()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                return await self._claim(token, mark)
        except (RedisError, TimeoutError):
            # Without the answer of before, the directory decides as if there were no grace.
            _log.warning("answers of refreshes cannot be looked up")
            return Claim()

    async def _claim(self, token: str, mark: bytes) -> Claim:
        while True:
            found = await self._valkey.set(_key(token), mark, nx=True, get=True, px=self._grace_ms)
            if found is None:
                return Claim(is_first=True)
            if not isinstance(found, bytes) or found[:_CLIENT_BYTES] != mark:
                return Claim()
            if len(found) > _CLIENT_BYTES:
                return Claim(_opened(token, found[_CLIENT_BYTES:], mark))
            # The same client is at it in another tab; its answer is ours too.
            await asyncio.sleep(_LOOK_SECONDS)

    async def keep(self, token: str, client: str, pair: TokenPair) -> None:
        """See the port."""
        mark = hashlib.sha256(client.encode()).digest()
        nonce = os.urandom(_NONCE_BYTES)
        sealed = AESGCM(_seal_key(token)).encrypt(nonce, json.dumps(asdict(pair)).encode(), mark)
        await self._quietly(self._valkey.set(_key(token), mark + nonce + sealed, px=self._grace_ms))

    async def forget(self, token: str) -> None:
        """See the port."""
        await self._quietly(self._valkey.delete(_key(token)))

    async def _quietly(self, done: object) -> None:
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await done  # type: ignore[misc]
        except (RedisError, TimeoutError):
            _log.warning("answers of refreshes cannot be kept")


def _opened(token: str, sealed: bytes, mark: bytes) -> TokenPair | None:
    try:
        said = AESGCM(_seal_key(token)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], mark)
    except InvalidTag:
        return None
    return TokenPair(**json.loads(said))


def _key(token: str) -> str:
    return f"identity:refreshed:{hashlib.sha256(token.encode()).hexdigest()}"


def _seal_key(token: str) -> bytes:
    # A refresh token has 256 random bits or a signature: there is nothing to stretch. The prefix keeps this key apart
    # from the hash under which tokens are stored.
    return hashlib.sha256(b"parley refresh answer\n" + token.encode()).digest()
