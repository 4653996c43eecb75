"""Passwords in argon2id; hashes of bcrypt are accepted too."""

import asyncio
import secrets
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import argon2
import bcrypt
from argon2.exceptions import InvalidHashError, VerificationError

_Result = TypeVar("_Result")
# bcrypt reads no further; the library refuses longer passwords, the hashes of others were made of their beginning.
_BCRYPT_BYTES = 72
_BCRYPT_PREFIXES = ("$2a$", "$2b$", "$2y$")
# OWASP's parameters for argon2id: 19 MiB, two passes, one lane.
_MEMORY_KIB = 19 * 1024
_PASSES = 2
_LANES = 1


class Argon2PasswordHasher:
    """Implements the port PasswordHasher. At most `threads` hashes are made at once, so memory and CPU are bounded."""

    def __init__(self, threads: int, *, memory_kib: int = _MEMORY_KIB, passes: int = _PASSES) -> None:
        self._argon2 = argon2.PasswordHasher(
            time_cost=passes, memory_cost=memory_kib, parallelism=_LANES, type=argon2.Type.ID
        )
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="passwords")
        self._nobodys_hash = self._argon2.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """See the port."""
        return await self._off_the_loop(lambda: self._argon2.hash(password))

    async def matches(self, password: str, password_hash: str | None) -> bool:
        """See the port."""
        return await self._off_the_loop(lambda: self._matches(password, password_hash))

    def is_outdated(self, password_hash: str) -> bool:
        """See the port."""
        return password_hash.startswith(_BCRYPT_PREFIXES) or self._argon2.check_needs_rehash(password_hash)

    def close(self) -> None:
        """Give back the threads."""
        self._threads.shutdown(wait=True, cancel_futures=True)

    def _matches(self, password: str, password_hash: str | None) -> bool:
        if password_hash is None:
            self._verify(password, self._nobodys_hash)
            return False
        return self._verify(password, password_hash)

    def _verify(self, password: str, password_hash: str) -> bool:
        try:
            if password_hash.startswith(_BCRYPT_PREFIXES):
                return bcrypt.checkpw(password.encode()[:_BCRYPT_BYTES], password_hash.encode())
            return self._argon2.verify(password_hash, password)
        except (VerificationError, InvalidHashError, ValueError):
            # A hash that cannot be read lets nobody in.
            return False

    async def _off_the_loop(self, work: Callable[[], _Result]) -> _Result:
        # A caller that gives up takes its work out of the queue: a flood of logins does not outlive its deadlines.
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)
