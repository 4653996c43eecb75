"""The house under the hands of its operator: what runs, what dies and comes back, what is found again."""

import json
import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.callers import Edge, Json, Person, edge_of, eventually, refusal
from tests.support.running_mesh import ADMIN_EMAIL, ADMIN_PASSWORD, RunningMesh, refused, running_mesh

PARTS = ("rest", "websocket", "services", "worker", "envoy", "valkey", "postgres")
TITLES = {
    "services": r"parley: services",
    "rest": r"parley: rest",
    "websocket": r"parley: websocket",
    "worker": r"parley: worker",
    "envoy": r".*/envoy -c .*--disable-hot-restart.*",
    "valkey": r".*valkey-server 127\.0\.0\.1:\d+",
    "postgres": r".*/postgres -D .*",
}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningMesh]:
    """A house of one's own, to break."""
    with running_mesh(tmp_path_factory.mktemp("house"), inference_scripted_delay_ms=5) as house:
        yield house


def title(pid: int) -> str:
    return " ".join(part for part in psutil.Process(pid).cmdline() if part)


async def test_each_process_says_what_it_is(house: RunningMesh) -> None:
    assert set(house.parts) == set(TITLES)
    for part, pattern in TITLES.items():
        assert re.fullmatch(pattern, title(house.pid(part))), title(house.pid(part))
    assert title(house.launcher.pid) == "parley: up"


async def test_the_terminal_shows_what_a_newcomer_needs(house: RunningMesh) -> None:
    for part, state in house.parts.items():
        assert f"{part}  {state['title']}  {state['address'] or '-'}  {state['pid']}" in house.text
    for words in (house.url, f"{house.url}/api/docs", "A first conversation", "parley models fetch"):
        assert words in house.text
    for secret in (ADMIN_PASSWORD, (house.home / "secrets" / "parley-secret").read_text().strip()):
        assert secret not in house.text
        assert not [part for part in house.parts if secret in house.log(part)]


async def test_secrets_are_for_the_owner_only(house: RunningMesh) -> None:
    for path in [*(house.home / "secrets").iterdir(), *(house.home / "identity" / "keys").iterdir()]:
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("part", PARTS)
async def test_a_part_that_is_killed_comes_back(house: RunningMesh, part: str) -> None:
    async with edge_of(house.url) as edge:
        ada = await edge.register()
        conversation = await ada.open_conversation(title=f"Before {part} died")
        assert await ada.answer(conversation, "before") == "You said: before"
        shown, before = len(house.text), house.parts[part]
        os.kill(before["pid"], signal.SIGKILL)
        if part == "postgres":
            await _is_told_to_try_again(ada, conversation)
        house.wait_for("was killed by SIGKILL", after=shown)
        house.wait_for("started again", after=shown)
        said = house.text[shown:]
        assert f"({part}) was killed by SIGKILL" in said
        assert f"({part}) started again" in said
        after = house.parts[part]
        assert (after["restarts"], after["address"]) == (before["restarts"] + 1, before["address"])
        assert after["pid"] != before["pid"]

        async def answers() -> bool:
            return await _works(ada, conversation)

        await eventually(answers, seconds=20, what=f"an answer after {part} died")
        messages = (await ada.get(f"{conversation}/messages"))["messages"]
        assert [message["text"] for message in messages[:2]] == ["before", "You said: before"]
        assert (await edge.sign_in(ada.user["email"]))["accessToken"]


async def test_an_answer_survives_the_worker(house: RunningMesh) -> None:
    async with edge_of(house.url) as edge:
        ada = await edge.register()
        conversation = await ada.open_conversation()
        text = " ".join(f"word{number}" for number in range(150))
        run = await ada.say(conversation, text)
        kinds, said = [], ""
        async with ada.listening(run) as events:
            async for event in events:
                kinds.append(event.kind)
                said = "" if event.kind == "restarted" else said + event.delta
                if kinds.count("delta") == 20 and "restarted" not in kinds:
                    os.kill(house.pid("worker"), signal.SIGKILL)
        assert kinds.count("restarted") >= 1
        assert (kinds[-1], kinds.count("completed")) == ("completed", 1)
        assert said == f"You said: {text}" == event.data["message"]["text"]
        messages = (await ada.get(f"{conversation}/messages"))["messages"]
        assert [message["role"] for message in messages] == ["user", "assistant"]


async def test_a_second_one_in_the_same_home_is_refused(house: RunningMesh) -> None:
    code, words = refused(house.home, house.port)
    assert code == 1
    assert words == f"parley: Parley already runs in {house.home} (pid {house.launcher.pid})\n"
    async with edge_of(house.url) as edge:
        assert (await edge.http.get("/health")).status_code == 200


async def test_a_busy_port_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        code, words = refused(tmp_path / "home", port)
    assert code == 1
    assert words.count("\n") == 1
    assert f"port {port} on 127.0.0.1 is busy" in words
    assert "PARLEY_EDGE_PORT" in words


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"edge_port": "many"}, "PARLEY_EDGE_PORT"),
        ({"environment": "production", "identity_admin_password": "password123"}, "PARLEY_IDENTITY_ADMIN_PASSWORD"),
        ({"inference_provider": "oracle"}, "PARLEY_INFERENCE_PROVIDER"),
    ],
)
async def test_a_setting_that_cannot_be_is_named(tmp_path: Path, settings: dict[str, str], named: str) -> None:
    code, words = refused(tmp_path / "home", _free_port(), **settings)
    assert code == 1
    assert words.count("\n") == 1, words
    assert named in words


async def test_what_was_said_is_found_again_after_a_stop(house: RunningMesh) -> None:
    async with edge_of(house.url) as edge:
        ada = await edge.register()
        conversation = await ada.open_conversation(title="Kept")
        await ada.answer(conversation, "remember this")
        before: Json = await ada.get(f"{conversation}/messages")
    house.stop()
    assert json.loads((house.home / "run" / "state.json").read_text())["parts"] == {}
    house.start()
    async with edge_of(house.url) as edge:
        # The token from before the stop is still good: keys and sessions are kept.
        again = Person(edge, ada.user, ada.tokens)
        assert await again.get(f"{conversation}/messages") == before
        assert await again.answer(conversation, "still there?") == "You said: still there?"
        await _signs_in(edge, ada)


async def _is_told_to_try_again(ada: Person, conversation: str) -> None:
    """Check that reading answers 503 for as long as PostgreSQL is away, and never an internal error."""

    async def is_refused() -> bool:
        response = await ada.ask("GET", conversation)
        if response.status_code == 200:
            return False  # a server process of PostgreSQL lives on for a moment
        refusal(response, 503, 14, reason="STORE_UNAVAILABLE")
        return True

    await eventually(is_refused, seconds=5, what="the end of PostgreSQL")


async def _signs_in(edge: Edge, ada: Person) -> None:
    assert (await edge.person(ada.user["username"])).user == ada.user
    assert (await edge.person(ADMIN_EMAIL, ADMIN_PASSWORD)).user["roles"] == ["admin", "user"]
    refreshed = await edge.http.post("/api/v1/auth/refresh", json={"refreshToken": ada.tokens["refreshToken"]})
    assert refreshed.status_code == 200


async def _works(ada: Person, conversation: str) -> bool:
    try:
        health = await ada.ask("GET", "/health")
        sent = await ada.ask("POST", f"{conversation}/messages", json={"text": "after"})
        if (health.status_code, sent.status_code) != (200, 200):
            return False
        events = await ada.hear(f"{conversation}/runs/{sent.json()['run']['id']}")
    except (httpx.HTTPError, AssertionError, KeyError):
        return False  # the house is not whole again
    return [event.data["message"]["text"] for event in events[-1:]] == ["You said: after"]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
