"""How many messages a second are accepted, and how many go the whole road to a stored answer (scripted model)."""

import asyncio
import json
import time

from tests.benchmarks.http_client import HttpConnection

CONVERSATIONS = 200
MESSAGES = 2000
CONNECTIONS = 32


async def measure(host: str, port: int, token: str) -> dict[str, float]:
    """Send MESSAGES over CONNECTIONS at once; return rates in messages per second."""
    conversations: list[str] = []
    async with HttpConnection(host, port, token) as connection:
        for _ in range(CONVERSATIONS):
            status, body = await connection.call("POST", "/api/v1/chat/conversations", {})
            assert status == 200, body
            conversations.append(json.loads(body)["id"])
    started = time.perf_counter()
    numbers = iter(range(MESSAGES))

    async def send() -> None:
        async with HttpConnection(host, port, token) as connection:
            for number in numbers:
                path = f"/api/v1/chat/conversations/{conversations[number % CONVERSATIONS]}/messages"
                status, body = await connection.call("POST", path, {"text": f"hello {number}"})
                assert status == 200, body

    await asyncio.gather(*[send() for _ in range(CONNECTIONS)])
    accepted = time.perf_counter() - started
    await _all_answered(host, port, token, conversations)
    answered = time.perf_counter() - started
    return {"accepted_per_second": MESSAGES / accepted, "answered_per_second": MESSAGES / answered}


async def _all_answered(host: str, port: int, token: str, conversations: list[str]) -> None:
    per_conversation = MESSAGES // CONVERSATIONS * 2
    waiting = set(conversations)
    async with HttpConnection(host, port, token) as connection:
        while waiting:
            for conversation in list(waiting):
                _, body = await connection.call("GET", f"/api/v1/chat/conversations/{conversation}")
                if json.loads(body)["messageCount"] < per_conversation:
                    # Its neighbours are no further: looking at all of them would be load of its own.
                    await asyncio.sleep(0.1)
                    break
                waiting.discard(conversation)
