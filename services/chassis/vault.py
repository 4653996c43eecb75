"""A process's session with Vault: logs in with a single-use wrapped secret id, renews its token, logs in anew.

OpenBao and HashiCorp Vault alike: only the HTTP API that they share.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import hvac
import requests
from hvac.exceptions import Forbidden, InternalServerError, InvalidRequest, VaultDown, VaultError
from requests.exceptions import RequestException

from services.chassis import logs
from services.chassis.secrets import SecretsUnavailable
from services.chassis.supervision import keep_running

_log = logs.get(__name__)
_T = TypeVar("_T")
_THREADS = 4
_CALL_SECONDS = 5
_LOGIN_SECONDS = 10.0
_LOOK_SECONDS = 0.1
_START_SECONDS = 60.0
_PAUSE_SECONDS = 0.5
# A renewed token is worth keeping while it still gets this part of what a new one gets.
_WORTH_RENEWING = 0.7
_AWAY = (RequestException, VaultDown, InternalServerError)


@dataclass(frozen=True, slots=True)
class _Login:
    role_id: str
    wrapping_token: str = field(repr=False)


class VaultSession:
    """Vault as one role. hvac blocks, so that its calls run in threads of their own."""

    def __init__(self, url: str, login_file: Path, ca: str = "") -> None:
        self._login_file = login_file
        # Several threads use its pooled connections at once.
        self._new_client = partial(_new_client, url, ca)
        self._client = self._new_client()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="vault")
        self._logging_in = asyncio.Lock()
        self._lifetime = 0.0
        self._logged_in = asyncio.Event()
        self.generation = 0
        """Rises with each login. What a login leased ends with its token: lease anew when this has risen."""

    async def call(self, ask: Callable[[Any], _T]) -> _T:
        """Return what `ask` returns for the hvac client; logs in first where it must, and once more when refused.

        Raises:
            SecretsUnavailable: Vault is away, or there is no login for this process.
            VaultError: Vault refuses.
        """
        generation = self.generation
        if generation == 0:
            await self._log_in(generation)
            generation = self.generation
        try:
            return await self._in_thread(ask)
        except Forbidden:
            # The token is lost, or the policy says no: a second login tells.
            if await self._token_is_good():
                raise
            await self._log_in(generation)
            return await self._in_thread(ask)

    async def wait_until_ready(self) -> None:
        """Return once Vault answers and is unsealed. Raises SecretsUnavailable when that takes more than a minute."""
        try:
            async with asyncio.timeout(_START_SECONDS):
                while True:
                    with contextlib.suppress(SecretsUnavailable):
                        health = await self._in_thread(_health)
                        if health == requests.codes.ok:
                            return
                        _log.warning("Vault is not ready", status=health)
                    await asyncio.sleep(_PAUSE_SECONDS)
        except TimeoutError:
            raise SecretsUnavailable from None

    async def keep(self) -> None:
        """Keep the token alive, for ever: renew it at two thirds of its life, log in anew before it cannot be."""
        if self.generation == 0:
            await self._log_in(0)
            left = self._lifetime
        else:
            # Begun again after a failure: how much is left, nobody knows.
            left = await self._renewed(self.generation)
        while True:
            generation = self.generation
            await asyncio.sleep(left * 2 / 3)
            if generation != self.generation:
                left = self._lifetime
                continue
            left = await self._renewed(generation)

    async def login_after(self, generation: int) -> None:
        """Return once there was a later login than that one."""
        while self.generation <= generation:
            await self._logged_in.wait()

    async def close(self) -> None:
        """Give the token back, which ends what it leased, and end the threads."""
        if self.generation:
            with contextlib.suppress(SecretsUnavailable, VaultError):
                await self._in_thread(lambda client: client.auth.token.revoke_self())
        self._threads.shutdown(wait=False)

    async def _renewed(self, generation: int) -> float:
        """Renew the token or replace it; return how long the one in use lives."""
        try:
            answer = await self._in_thread(lambda client: client.auth.token.renew_self())
            left = float(answer["auth"]["lease_duration"])
        except (Forbidden, InvalidRequest):
            left = 0.0
        if left >= self._lifetime * _WORTH_RENEWING:
            return left
        await self._log_in(generation)
        return self._lifetime

    async def _token_is_good(self) -> bool:
        try:
            await self._in_thread(lambda client: client.auth.token.lookup_self())
        except (Forbidden, InvalidRequest):
            return False
        return True

    async def _log_in(self, generation: int) -> None:
        async with self._logging_in:
            if generation != self.generation:
                return  # somebody else just did
            login = await self._find_login()
            try:
                auth = await self._in_thread(lambda client: self._unwrap_and_log_in(client, login))
            except (Forbidden, InvalidRequest) as error:
                # Unwrapped by somebody else, or too old. Which one, the audit log tells.
                _log.warning("a login for Vault was refused", role_file=self._login_file.name)
                raise SecretsUnavailable from error
            self._lifetime = float(auth["lease_duration"])
            self.generation += 1
            self._logged_in.set()
            self._logged_in = asyncio.Event()
            _log.info("logged in to Vault", seconds=self._lifetime, logins=self.generation)

    def _unwrap_and_log_in(self, client: Any, login: _Login) -> dict[str, Any]:
        # A client of its own: unwrapping wants the wrapping token as the token.
        secret_id = self._new_client(login.wrapping_token).sys.unwrap()["data"]["secret_id"]
        auth: dict[str, Any] = client.auth.approle.login(login.role_id, secret_id)["auth"]
        return auth

    async def _find_login(self) -> _Login:
        """Take the login that was laid for us; nobody else has it then."""
        mine = self._login_file.with_name(f".{self._login_file.name}.{os.getpid()}.{id(self)}")
        try:
            async with asyncio.timeout(_LOGIN_SECONDS):
                while True:
                    with contextlib.suppress(FileNotFoundError):
                        self._login_file.rename(mine)
                        break
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            _log.warning("no login for Vault was laid", path=str(self._login_file))
            raise SecretsUnavailable from None
        try:
            content = json.loads(mine.read_text())
        finally:
            mine.unlink()
        return _Login(content["role_id"], content["wrapping_token"])

    async def _in_thread(self, ask: Callable[[Any], _T]) -> _T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, ask, self._client)
        except _AWAY as error:
            _log.warning("Vault is away", error=type(error).__name__)
            raise SecretsUnavailable from None


def _health(client: Any) -> int:
    # A standby that answers for the active one will do.
    return int(client.sys.read_health_status(standby_ok=True, method="HEAD").status_code)


def _new_client(url: str, ca: str, token: str | None = None) -> Any:
    session = requests.Session()
    # A proxy of the environment must not come between us and Vault, nor a .netrc.
    session.trust_env = False
    session.verify = ca or True
    return hvac.Client(url=url, token=token, timeout=_CALL_SECONDS, session=session)


async def keep_session(session: VaultSession) -> None:
    """Keep the session's token alive until cancelled, also while Vault is away."""
    await keep_running("vault", session.keep)
