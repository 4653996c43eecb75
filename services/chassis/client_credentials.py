"""Service accounts' tokens: OAuth 2.0 client credentials (RFC 6749, 4.4), kept and renewed before they expire."""

import asyncio
import time
from typing import Protocol

import httpx

from services.chassis import logs
from services.chassis.errors import ServiceTokenUnavailable
from services.chassis.secrets import LiveSecret

_log = logs.get(__name__)
_TIMEOUT_SECONDS = 5.0
_RETRY_SECONDS = 1.0
# Renewed once this part of its life is left: callers never wait for the next one while the issuer answers.
_RENEWED_AT = 0.25
_LEAST_SECONDS = 5.0
# RFC 6749, 5.2: a wrong secret is the one or the other.
_REFUSED = (httpx.codes.BAD_REQUEST, httpx.codes.UNAUTHORIZED)


class TokenSource(Protocol):
    """Gives the token with which a service shows itself to another."""

    async def token(self) -> str:
        """Return a token that is good for some more seconds. Raises ServiceTokenUnavailable."""


class ClientCredentials:
    """Asks the token endpoint `url` for tokens of one client. However many callers wait, one request is under way."""

    def __init__(self, url: str, client_id: str, secret: LiveSecret) -> None:
        self._url = url
        self._client_id = client_id
        self._secret = secret
        self._token = ""
        self._renew_at = 0.0
        self._expires_at = 0.0
        self._tried_at = float("-inf")
        self._renewal: asyncio.Task[None] | None = None

    async def token(self) -> str:
        """Return a token that is good for at least five more seconds. Raises ServiceTokenUnavailable."""
        now = time.monotonic()
        if now < self._renew_at:
            return self._token
        if self._renewal is None and now - self._tried_at > _RETRY_SECONDS:
            self._tried_at = now
            self._renewal = asyncio.create_task(self._renew())
        if now > self._expires_at - _LEAST_SECONDS:
            if self._renewal is not None:
                # A caller that gives up must not end the request that others wait for.
                await asyncio.shield(self._renewal)
            if time.monotonic() > self._expires_at - _LEAST_SECONDS:
                raise ServiceTokenUnavailable
        return self._token

    async def _renew(self) -> None:
        try:
            began = time.monotonic()
            shown = self._secret.now()
            answer = await self._ask(shown)
            if answer.status_code in _REFUSED and (changed := await self._secret.look_again()) != shown:
                answer = await self._ask(changed)
            answer.raise_for_status()
            body = answer.json()
            lifetime = float(body["expires_in"])
            self._token = str(body["access_token"])
            self._expires_at = began + lifetime
            self._renew_at = began + lifetime * (1 - _RENEWED_AT)
        except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
            # The text of an HTTP error names the URL and the status; nothing of the secret.
            _log.warning("no token of our own can be had", client_id=self._client_id, error=str(error))
        finally:
            self._renewal = None

    async def _ask(self, secret: str) -> httpx.Response:
        async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS, trust_env=False) as client:
            form = {"grant_type": "client_credentials"}
            return await client.post(self._url, data=form, auth=(self._client_id, secret))
