"""Parts fail while people do things: no log holds what they said, and nobody else can read the folder."""

import asyncio
import json
import os
import signal
import stat
from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import grpc
import pytest
from parley.identity.v1 import auth_service_pb2, auth_service_pb2_grpc
from websockets.asyncio.client import connect

from tests.support.callers import Edge, Person, edge_of, eventually
from tests.support.model_server import Request, providing
from tests.support.model_server.answers import chunk, refusing, streaming
from tests.support.running_mesh import RunningMesh, running_mesh
from tests.support.stores import free_port

REFUSED, SAID, STORED_NOT = "refuse ", "say ", "forbidden "


def planted(kind: str) -> str:
    """Return something that must be in no log."""
    return f"marker-{kind}-4f1d09"


async def answer(request: Request, writer: asyncio.StreamWriter) -> None:
    """Answer with the question, or refuse it and repeat it in the refusal."""
    text = request.question
    answering = refusing(500, text) if text.startswith(REFUSED) else streaming(chunk(text), chunk("", "stop"), "[DONE]")
    await answering(request, writer)


@pytest.fixture(scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningMesh]:
    """A house whose mail server is away, and whose provider repeats what it was told."""
    async with providing(answer) as provider:
        settings: dict[str, object] = {
            "inference_provider": "openai",
            "inference_openai_base_url": provider.base_url,
            "inference_openai_api_key": planted("secret"),
            "inference_openai_model": "m",
            "identity_smtp_host": "127.0.0.1",
            "identity_smtp_port": free_port(),
            "identity_smtp_security": "none",
            "tools_egress_exceptions": json.dumps(["127.0.0.1:9"]),
        }
        with running_mesh(tmp_path_factory.mktemp("logs"), **settings) as mesh:
            yield mesh


async def _forbid(mesh: RunningMesh) -> None:
    """Make PostgreSQL refuse rows of some kind: its DETAIL then shows the whole row."""
    password = (mesh.home / "secrets" / "postgres-password").read_text().strip()
    connection = await asyncpg.connect(
        host="127.0.0.1", port=mesh.port_of("postgres"), user="parley", database="parley", password=password
    )
    await connection.execute(f"ALTER TABLE conversations.message ADD CHECK (text NOT LIKE '{STORED_NOT}%') NOT VALID")
    await connection.execute("ALTER TABLE identity.users ADD CHECK (display_name NOT LIKE 'forbidden%') NOT VALID")
    await connection.execute("ALTER TABLE tools.tool ADD CHECK (name NOT LIKE 'forbidden%') NOT VALID")
    await connection.close()


async def _sign_in_and_fail(edge: Edge) -> Person:
    person = await edge.register(
        email=f"{planted('email')}@example.org", username=planted("name"), password=planted("password")
    )
    email, password = person.user["email"], planted("password")
    wanted = {"email": email, "username": planted("other"), "password": password, "displayName": "Ada"}
    assert (await edge.http.post("/api/v1/auth/register", json=wanted)).status_code == 409
    forbidden = {"email": f"{planted('second')}@example.org", "displayName": f"forbidden {planted('display')}"}
    assert (await edge.http.post("/api/v1/auth/register", json=wanted | forbidden)).status_code == 500
    wrong = {"login": email, "password": planted("wrong")}
    assert (await edge.http.post("/api/v1/auth/login", json=wrong)).status_code == 401
    await edge.http.post("/api/v1/auth/forgot-password", json={"email": email})
    for token in (planted("token"), f"pk_{planted('key')}"):
        assert (await edge.http.get("/api/v1/auth/me", headers={"authorization": f"Bearer {token}"})).status_code == 401
        stub = auth_service_pb2_grpc.AuthServiceStub(edge.channel)
        with pytest.raises(grpc.aio.AioRpcError):
            await stub.GetMe(auth_service_pb2.GetMeRequest(), metadata=(("authorization", f"Bearer {token}"),))
    await edge.http.get(f"/api/v1/auth/me?access_token={planted('query')}")
    return person


async def _use_tools(person: Person) -> None:
    source = {"method": "GET", "url": "http://127.0.0.1:9/closed"}
    schema = json.dumps({"type": "object", "properties": {"q": {"type": "string"}}})
    tool = {"name": "closed", "argumentsSchema": schema, "http": source}
    made = await person.post("/api/v1/tools", tool=tool)
    said = json.dumps({"q": planted("argument")})
    await person.ask("POST", f"/api/v1/tools/{made['id']}:invoke", json={"arguments": said})
    description = planted("tool")
    tool |= {"name": "forbidden", "description": description}
    assert (await person.ask("POST", "/api/v1/tools", json={"tool": tool})).is_error


async def _talk_over_a_socket(edge: Edge, person: Person, conversation_id: str) -> None:
    url = edge.url.replace("http://", "ws://") + "/connection/websocket"
    send = "parley.conversations.v1.MessageService/SendMessage"
    data = {"conversationId": conversation_id, "text": STORED_NOT + planted("socket")}
    async with connect(url, proxy=None) as socket, asyncio.timeout(20):
        await socket.send(json.dumps({"id": 1, "connect": {"token": person.token}}))
        await socket.recv()
        await socket.send(json.dumps({"id": 2, "rpc": {"method": send, "data": data}}))
        assert json.loads(await socket.recv())["error"]["code"] == 13
        await socket.send('{"id":3,"rpc":{"' + planted("frame"))
        await socket.wait_closed()


async def _talk(edge: Edge, person: Person, mesh: RunningMesh) -> None:
    conversation = await person.open_conversation()
    refused = await person.ask("POST", f"{conversation}/messages", json={"text": STORED_NOT + planted("row")})
    assert refused.status_code == 500
    await _talk_over_a_socket(edge, person, conversation.rpartition("/")[2])
    # The provider repeats the text in its refusal.
    await person.say(conversation, REFUSED + planted("refused"))
    for part in ("postgres", "valkey", "worker"):
        sending = [
            asyncio.create_task(person.ask("POST", f"{conversation}/messages", json={"text": planted("killed")}))
            for _ in range(10)
        ]
        os.kill(mesh.pid(part), signal.SIGKILL)
        await asyncio.gather(*sending, return_exceptions=True)
        await eventually(lambda: _works(person), seconds=60, what=f"the return of {part}")


async def _works(person: Person) -> bool:
    return (await person.ask("GET", "/api/v1/chat/conversations")).status_code == 200


async def test_what_people_say_is_in_no_log(house: RunningMesh) -> None:
    await _forbid(house)
    async with edge_of(house.url) as edge:
        person = await _sign_in_and_fail(edge)
        await _use_tools(person)
        await _talk(edge, person, house)
        conversation = await person.open_conversation()
        # The answer cannot be stored; the worker says so.
        run = await person.say(conversation, f"{STORED_NOT.strip()}, but only as an answer: {uuid4()}")
        await eventually(lambda: _has_ended(person, run), seconds=60, what="the end of the run")
    logs = sorted((house.home / "logs").iterdir())
    assert {"services.log", "worker.log", "postgres.log", "access.log"} <= {log.name for log in logs}
    written = {log.name: log.read_text(errors="replace") for log in logs} | {"terminal": house.text}
    found = {name: [line[:300] for line in text.splitlines() if "marker-" in line] for name, text in written.items()}
    assert {name: lines for name, lines in found.items() if lines} == {}
    secrets = [path.read_text().strip() for path in (house.home / "secrets").iterdir() if path.suffix != ".conf"]
    leaked = [name for name, text in written.items() if any(one in text for one in [person.token, *secrets])]
    assert leaked == []
    # What operators need is there all the same.
    assert "Traceback" in written["services.log"]
    assert "SQLSTATE 23514" in written["services.log"]


async def _has_ended(person: Person, run: str) -> bool:
    return (await person.get(run))["state"] in ("RUN_STATE_SUCCEEDED", "RUN_STATE_FAILED")


def test_nobody_else_can_read_the_folder(house: RunningMesh) -> None:
    # PostgreSQL's own group may pass through it, where the launcher runs as root.
    assert stat.S_IMODE(house.home.stat().st_mode) & 0o767 == 0o700
    below = [path for path in house.home.rglob("*") if not path.is_symlink() and not path.is_socket()]
    assert len(below) > 20
    # What the test itself wrote there.
    ours = {house.home / "terminal", house.home / "edge-port.json"}
    assert [str(path) for path in below if path not in ours and stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    logs = list((house.home / "logs").iterdir())
    assert {stat.S_IMODE(log.stat().st_mode) for log in logs} == {0o600}
