"""People who use Parley through its edge: over HTTP with httpx, over gRPC with the generated stubs."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
import httpx

PASSWORD = "correct horse battery"
TIMEOUT = 30.0
ENDS = {"completed", "failed", "cancelled"}

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a run. `kind` is the set member of its oneof, `data` what stands in it."""

    sequence: int
    kind: str
    data: Json

    @property
    def delta(self) -> str:
        """What the model said in it."""
        return str(self.data["text"]) if self.kind == "delta" else ""


@dataclass(slots=True)
class Person:
    """Somebody signed in. The verbs answer the JSON body and fail when the edge refuses."""

    edge: "Edge"
    user: Json
    tokens: Json

    @property
    def id(self) -> str:
        """The user's id."""
        return str(self.user["id"])

    @property
    def token(self) -> str:
        """The access token."""
        return str(self.tokens["accessToken"])

    @property
    def headers(self) -> dict[str, str]:
        """What shows over HTTP who it is."""
        return bearer(self.token)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What shows over gRPC who it is."""
        return grpc_bearer(self.token)

    async def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request and return the answer, whatever it is."""
        headers = self.headers | options.pop("headers", {})
        return await self.edge.http.request(method, path, headers=headers, **options)

    async def get(self, path: str, **params: object) -> Any:
        """GET and return the body."""
        return _body(await self.ask("GET", path, params={name: str(value) for name, value in params.items()}))

    async def post(self, path: str, **fields: object) -> Any:
        """POST the fields and return the body."""
        return _body(await self.ask("POST", path, json=fields))

    async def delete(self, path: str) -> Any:
        """DELETE and return the body."""
        return _body(await self.ask("DELETE", path))

    async def open_conversation(self, **fields: object) -> str:
        """Open a conversation and return its path."""
        conversation = await self.post("/api/v1/chat/conversations", **fields)
        return f"/api/v1/chat/conversations/{conversation['id']}"

    async def say(self, conversation: str, text: str) -> str:
        """Say something and return the path of the run that answers."""
        sent = await self.post(f"{conversation}/messages", text=text)
        return f"{conversation}/runs/{sent['run']['id']}"

    @asynccontextmanager
    async def listening(self, run: str, *, sse: bool = False, **options: Any) -> AsyncIterator[AsyncIterator[Event]]:
        """Follow a run: yields its events as they come, as lines of JSON or as server-sent events."""
        headers = self.headers | options.pop("headers", {}) | ({"accept": "text/event-stream"} if sse else {})
        async with self.edge.http.stream("GET", f"{run}:stream", headers=headers, **options) as response:
            assert response.status_code == 200, await response.aread()
            assert response.headers["content-type"].startswith("text/event-stream" if sse else "application/json")
            yield _sse_events(response) if sse else _line_events(response)

    async def hear(self, run: str, *, sse: bool = False, **options: Any) -> list[Event]:
        """Follow a run to its end and return all of its events."""
        async with self.listening(run, sse=sse, **options) as events:
            return [event async for event in events]

    async def answer(self, conversation: str, text: str) -> str:
        """Say something and return the whole answer."""
        last = (await self.hear(await self.say(conversation, text)))[-1]
        assert last.kind == "completed", last
        return str(last.data["message"]["text"])


@dataclass(slots=True)
class Edge:
    """The edge of a running house, for somebody who is nobody yet."""

    url: str
    http: httpx.AsyncClient
    channel: grpc.aio.Channel

    async def register(self, **changes: object) -> Person:
        """Make a new user and sign in."""
        name = f"ada-{uuid4().hex[:12]}"
        wanted = {"email": f"{name}@example.org", "username": name, "password": PASSWORD, "displayName": "Ada"}
        user = _body(await self.http.post("/api/v1/auth/register", json=wanted | changes))
        return Person(self, user, await self.sign_in(user["email"], str((wanted | changes)["password"])))

    async def sign_in(self, login: str, password: str = PASSWORD) -> Json:
        """Sign in and return the tokens."""
        tokens: Json = _body(await self.http.post("/api/v1/auth/login", json={"login": login, "password": password}))
        return tokens

    async def person(self, login: str, password: str = PASSWORD) -> Person:
        """Sign in and return who that is."""
        person = Person(self, {}, await self.sign_in(login, password))
        person.user = await person.get("/api/v1/auth/me")
        return person


@asynccontextmanager
async def edge_of(url: str) -> AsyncIterator[Edge]:
    """Open the clients of an edge."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=TIMEOUT) as http,
        grpc.aio.insecure_channel(url.removeprefix("http://")) as channel,
    ):
        yield Edge(url, http, channel)


def bearer(token: str) -> dict[str, str]:
    """Return the HTTP header that shows a token."""
    return {"authorization": f"Bearer {token}"}


def grpc_bearer(token: str) -> tuple[tuple[str, str], ...]:
    """Return the gRPC metadata that shows a token."""
    return (("authorization", f"Bearer {token}"),)


def refusal(response: httpx.Response, status: int, code: int, *, field: str = "", reason: str = "") -> Json:
    """Check that it is an error in the one shape that errors have, and return its body.

    `field` must stand in the message and in a BadRequest (400 only), `reason` in the ErrorInfo.
    """
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/json")
    body: Json = response.json()
    assert set(body) == {"code", "message", "details"}, body
    assert body["code"] == code, body
    assert body["message"], body
    details = {detail["@type"].rpartition(".")[2]: detail for detail in body["details"]}
    if field:
        assert field in body["message"], body
        if status == 400:
            assert field in [violation["field"] for violation in details["BadRequest"]["fieldViolations"]], body
    if reason:
        assert details["ErrorInfo"]["reason"] == reason, body
    return body


async def eventually(condition: Callable[[], Awaitable[bool]], *, seconds: float, what: str) -> None:
    """Return as soon as `condition` holds; fail after `seconds`, naming `what` was waited for."""
    deadline = asyncio.get_running_loop().time() + seconds
    while not await condition():
        assert asyncio.get_running_loop().time() < deadline, f"{what} was not there after {seconds} s"
        await asyncio.sleep(0.05)


def _body(response: httpx.Response) -> Any:
    assert response.status_code == 200, f"{response.request.method} {response.url}: {response.text}"
    return response.json()


async def _line_events(response: httpx.Response) -> AsyncIterator[Event]:
    async for line in response.aiter_lines():
        if line:
            yield _event(json.loads(line)["result"])


async def _sse_events(response: httpx.Response) -> AsyncIterator[Event]:
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            event = _event(json.loads(fields["data"]))
            assert (fields["id"], fields["event"]) == (str(event.sequence), event.kind)
            yield event
            fields = {}


def _event(result: Json) -> Event:
    ((kind, data),) = ((name, value) for name, value in result.items() if name != "sequence")
    return Event(result["sequence"], kind, data)
