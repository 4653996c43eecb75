"""The built-in directory's signing key changes while people call: no request fails."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from services.identity.backends.directory_key_store import DirectoryKeyStore
from services.identity.backends.rsa_token_signer import RsaTokenSigner
from services.identity.rules.signing_keys import SigningKey, next_number
from tests.support.callers import PASSWORD, bearer, edge_of
from tests.support.running_mesh import running_mesh

# Services look for new keys every half minute, and Envoy keeps the old set for two seconds more.
_PUBLISHED_AHEAD = timedelta(seconds=36)
_KNOWN_FOR_SECONDS = 2
_CALLS_WITH_THE_NEW_KEY = 50


def _key_id(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def _add_key(home: Path) -> str:
    """Put the next key where the services keep theirs, as one of them would, but earlier; return its id."""
    store = DirectoryKeyStore(home / "identity" / "keys")
    key_id, private_pem = await RsaTokenSigner().make_key()
    number = next_number(await store.load())
    assert await store.add(SigningKey(number, key_id, datetime.now(UTC) + _PUBLISHED_AHEAD, private_pem))
    return key_id


async def test_a_new_key_takes_over_under_load_and_no_request_fails(tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("keys")
    statuses: list[tuple[int, str]] = []
    with running_mesh(home, jwks_cache_seconds=_KNOWN_FOR_SECONDS, identity_attempts_per_address=100_000) as mesh:
        async with edge_of(mesh.url) as edge:
            ann = await edge.register()
            tokens = [ann.token]
            new_key = await _add_key(home)

            async def call() -> None:
                for token in list(tokens):
                    answer = await edge.http.get("/api/v1/auth/me", headers=bearer(token))
                    statuses.append((answer.status_code, _key_id(token)))

            deadline = time.monotonic() + 90
            while statuses.count((200, new_key)) < _CALLS_WITH_THE_NEW_KEY:
                assert time.monotonic() < deadline, (len(statuses), [_key_id(token) for token in tokens])
                await asyncio.gather(call(), call(), call())
                if len(tokens) == 1:
                    pair = await edge.sign_in(ann.user["email"], PASSWORD)
                    if _key_id(pair["accessToken"]) == new_key:
                        tokens.append(pair["accessToken"])
    failed = [status for status in statuses if status[0] != 200]
    assert failed == []
    assert {key for _, key in statuses} == {_key_id(token) for token in tokens}
    print(f"{len(statuses)} requests, 0 failed")
