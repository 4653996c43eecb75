"""Signing keys change while people call: no request fails."""

import asyncio
import time

import httpx
import jwt

from tests.stack.conftest import Stack
from tests.stack.test_sync import rotate
from tests.support.callers import PASSWORD, Edge, bearer


def _key_id(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


async def test_keys_rotate_under_load_and_no_request_fails(stack: Stack, edge: Edge) -> None:
    bea = await edge.register()
    statuses: list[tuple[int, str]] = []
    tokens = [bea.token]
    done = asyncio.Event()

    async def call() -> None:
        while not done.is_set():
            # Each call shows another token of those there are, the newest among them.
            for token in list(tokens):
                answer = await edge.http.get("/api/v1/auth/me", headers=bearer(token))
                statuses.append((answer.status_code, _key_id(token)))

    async def sign_in() -> None:
        while not done.is_set():
            pair = await edge.sign_in(bea.user["email"], PASSWORD)
            if _key_id(pair["accessToken"]) not in [_key_id(token) for token in tokens]:
                tokens.append(pair["accessToken"])

    calling = [asyncio.create_task(each) for each in (call(), call(), call(), sign_in())]
    try:
        # Twice as long as Envoy keeps the keys.
        code, told = await asyncio.to_thread(rotate, stack, wait=6)
        assert (code, told.splitlines()[-1]) == (0, "The new key signs; the old ones still check what they signed.")
        deadline = time.monotonic() + 30
        while len(tokens) < 2 or statuses.count((200, _key_id(tokens[1]))) < 50:
            assert time.monotonic() < deadline, (len(tokens), len(statuses))
            assert not any(task.done() for task in calling)
            await asyncio.sleep(0.05)
    finally:
        done.set()
        await asyncio.gather(*calling)
    failed = [status for status, _ in statuses if status != 200]
    assert failed == []
    assert {key for _, key in statuses} == {_key_id(token) for token in tokens}
    async with httpx.AsyncClient() as client:
        keys = (await client.get(f"{stack.issuer}/protocol/openid-connect/certs")).json()["keys"]
    assert {_key_id(token) for token in tokens} <= {key["kid"] for key in keys}
