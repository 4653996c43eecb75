"""What identity costs: the check of a token in a service, and sign-ins and refreshes a second and core.

`python -m tests.benchmarks.identity` starts PostgreSQL and Valkey, runs the built-in directory in this one process, and
prints. Seconds of a core are those of this process: hashing and signing are in it, the stores are not. `--keycloak`
does the same with a real Keycloak; there the seconds are those of its server.
"""

import argparse
import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import jwt
import psutil
import uvloop
from redis.asyncio import Redis

from services.chassis.database import Database
from services.chassis.identifiers import new_id
from services.chassis.migrations import migrate
from services.chassis.revocations import RevokedSessions
from services.chassis.secrets import FixedSecret
from services.chassis.tokens import TokenVerifier
from services.identity.backends.argon2_password_hasher import Argon2PasswordHasher
from services.identity.backends.builtin_tokens import BuiltinTokens
from services.identity.backends.directory_key_store import DirectoryKeyStore
from services.identity.backends.keycloak_directory import keycloak_directory
from services.identity.backends.keycloak_realm import KeycloakRealm
from services.identity.backends.postgres_work import PostgresWork
from services.identity.backends.rsa_token_signer import RsaTokenSigner
from services.identity.operations.keep_keys import KeepKeys
from services.identity.ports.directory import Directory
from services.identity.rules.signing_keys import KeySchedule
from services.identity.rules.users import NewUser
from services.identity.wiring.directory import builtin_directory, now
from tests.support.running_keycloak import running_keycloak
from tests.support.stores import running_postgres, running_valkey

ISSUER, AUDIENCE, PASSWORD = "http://edge.test", "parley", "correct horse battery"
SECONDS = 5.0
AT_ONCE = 8
CHECKS = 20_000
FRESH_CHECKS = 2_000


class PublishedKeys:
    """The key set of the issuer, as a service holds it once it has fetched it."""

    def __init__(self, keys: KeepKeys) -> None:
        self._keys = {key.key_id: key.key for key in jwt.PyJWKSet.from_dict(dict(keys.key_set())).keys}

    async def key(self, key_id: str) -> object:
        """Return the key with this id."""
        return self._keys.get(key_id)


async def measure_keycloak() -> None:
    """Measure the sessions of Keycloak and print them."""
    with TemporaryDirectory() as folder, running_keycloak(Path(folder)) as running:
        state = json.loads((running.home / "run" / "state.json").read_text())
        server = psutil.Process(state["parts"]["keycloak"]["pid"])

        def used() -> float:
            times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
            return sum(each.user + each.system for each in times)

        secrets = (FixedSecret(running.secret(f"keycloak-client-parley-{name}")) for name in ("identity", "api"))
        realm = KeycloakRealm(running.url, "parley", *secrets)
        await measure_sessions(keycloak_directory(realm, timedelta(minutes=30), timedelta(days=7)), used)
        await realm.close()


async def measure_builtin() -> None:
    """Measure the built-in directory and print it."""
    with TemporaryDirectory() as folder, running_postgres() as postgres_url, running_valkey() as valkey_url:
        database = Database(postgres_url)
        await migrate(database.engine, ["identity"])
        schedule = KeySchedule(timedelta(days=30), timedelta(minutes=10), timedelta(minutes=35))
        keys = KeepKeys(DirectoryKeyStore(Path(folder)), RsaTokenSigner(), schedule, now)
        await keys.refresh()
        hasher = Argon2PasswordHasher(2)
        tokens = BuiltinTokens(keys.sign, ISSUER, AUDIENCE, timedelta(minutes=30), timedelta(days=7))
        directory = builtin_directory(PostgresWork(database), hasher, tokens)
        async with Redis.from_url(valkey_url) as valkey:
            await measure_checks(
                directory,
                TokenVerifier(
                    issuer=ISSUER,
                    audience=AUDIENCE,
                    secret="",
                    keys=PublishedKeys(keys),  # type: ignore[arg-type]
                    revoked=RevokedSessions(valkey),
                ),
            )
        await measure_sessions(directory, time.process_time)
        hasher.close()
        await database.close()


async def measure_checks(directory: Directory, verifier: TokenVerifier) -> None:
    """Print what the check of a token costs: one that was seen before, and one that is new."""
    name = f"ann-{new_id().hex}"
    await directory.users.create(NewUser(f"{name}@example.com", name, PASSWORD))
    pair = await directory.sessions.sign_in(name, PASSWORD)
    fresh = []
    for _ in range(FRESH_CHECKS):
        pair = await directory.sessions.refresh(pair.refresh_token)
        fresh.append(pair.access_token)
    for what, shown in (("new", fresh), ("seen before", [pair.access_token] * CHECKS)):
        began, worked = time.perf_counter(), time.process_time()
        for token in shown:
            await verifier.verify(token)
        elapsed, used = time.perf_counter() - began, time.process_time() - worked
        print(
            f"check of a token {what}: {elapsed / len(shown) * 1e6:.0f} µs, {used / len(shown) * 1e6:.0f} µs of a core"
        )


async def measure_sessions(directory: Directory, used: Callable[[], float]) -> None:
    """Print how many sign-ins and refreshes a second there are, and on how much of a core; `used` tells its seconds."""
    # Keycloak lets one person in at a time.
    names = [f"ann-{new_id().hex}" for _ in range(AT_ONCE)]
    for name in names:
        await directory.users.create(NewUser(f"{name}@example.com", name, PASSWORD))
    shown = [(await directory.sessions.sign_in(name, PASSWORD)).refresh_token for name in names]

    async def sign_in(index: int) -> None:
        await directory.sessions.sign_in(names[index], PASSWORD)

    async def refresh(index: int) -> None:
        shown[index] = (await directory.sessions.refresh(shown[index])).refresh_token

    for what, call in (("sign-ins", sign_in), ("refreshes", refresh)):
        before = used()
        done, elapsed = await _repeat(call)
        cores = used() - before
        print(f"{what}: {done / elapsed:.0f} /s with {AT_ONCE} at once, {done / cores:.0f} /s and core")


async def _repeat(call: Callable[[int], Awaitable[None]]) -> tuple[int, float]:
    began = time.perf_counter()

    async def go_on(index: int) -> int:
        count = 0
        while time.perf_counter() - began < SECONDS:
            await call(index)
            count += 1
        return count

    done = sum(await asyncio.gather(*(go_on(index) for index in range(AT_ONCE))))
    return done, time.perf_counter() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.identity", description=__doc__)
    parser.add_argument("--keycloak", action="store_true", help="measure Keycloak instead of the built-in directory")
    uvloop.run(measure_keycloak() if parser.parse_args().keycloak else measure_builtin())
