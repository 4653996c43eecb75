"""Password hashes, the real ones."""

import asyncio
from collections.abc import Iterator

import argon2
import bcrypt
import pytest

from services.identity.backends.argon2_password_hasher import Argon2PasswordHasher

PASSWORD = "correct horse battery"


@pytest.fixture
def hasher() -> Iterator[Argon2PasswordHasher]:
    hasher = Argon2PasswordHasher(2)
    yield hasher
    hasher.close()


async def test_hashes_are_argon2id_with_the_parameters_of_owasp(hasher: Argon2PasswordHasher) -> None:
    made = await hasher.hash(PASSWORD)
    assert made.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await hasher.matches(PASSWORD, made)
    assert not await hasher.matches("wrong", made)
    assert not hasher.is_outdated(made)


@pytest.mark.parametrize("prefix", [b"2a", b"2b", b"2y"])
async def test_hashes_of_bcrypt_are_accepted_and_outdated(hasher: Argon2PasswordHasher, prefix: bytes) -> None:
    made = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).replace(b"2b", prefix, 1).decode()
    assert await hasher.matches(PASSWORD, made)
    assert not await hasher.matches("wrong", made)
    assert hasher.is_outdated(made)


async def test_bcrypt_reads_72_bytes_and_longer_passwords_do_no_harm(hasher: Argon2PasswordHasher) -> None:
    long = "ế" * 60
    made = bcrypt.hashpw(long.encode()[:72], bcrypt.gensalt(4)).decode()
    assert await hasher.matches(long, made)
    assert not await hasher.matches("x" + long, made)


async def test_argon2_with_other_parameters_is_accepted_and_outdated(hasher: Argon2PasswordHasher) -> None:
    weak = argon2.PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    other_kind = argon2.PasswordHasher(time_cost=2, memory_cost=19456, parallelism=1, type=argon2.Type.I).hash(PASSWORD)
    for made in (weak, other_kind):
        assert await hasher.matches(PASSWORD, made)
        assert hasher.is_outdated(made)


@pytest.mark.parametrize("made", ["", "plain", "$2b$nonsense", "$argon2id$nonsense", "$argon2id$v=19$m=0,t=0,p=0$$"])
async def test_a_hash_that_cannot_be_read_lets_nobody_in(hasher: Argon2PasswordHasher, made: str) -> None:
    assert not await hasher.matches(PASSWORD, made)


async def test_nobody_has_no_password(hasher: Argon2PasswordHasher) -> None:
    assert not await hasher.matches(PASSWORD, None)


async def test_the_loop_goes_on_while_passwords_are_hashed(hasher: Argon2PasswordHasher) -> None:
    hashing = asyncio.gather(*(hasher.hash(PASSWORD) for _ in range(8)))
    turns = 0
    while not hashing.done():
        await asyncio.sleep(0)
        turns += 1
    await hashing
    assert turns > 100
