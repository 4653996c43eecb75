"""Messages through a whole house over RabbitMQ while its parts are killed, paused and emptied."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from parley.conversations.v1.conversation_service_pb2 import (
    CreateConversationRequest,
    GetConversationRequest,
    ListConversationsRequest,
)
from parley.conversations.v1.conversation_service_pb2_grpc import ConversationServiceStub
from parley.conversations.v1.message_service_pb2 import ListMessagesRequest, SendMessageRequest
from parley.conversations.v1.message_service_pb2_grpc import MessageServiceStub
from parley.conversations.v1.run_pb2 import RunState
from parley.conversations.v1.run_service_pb2 import GetRunRequest
from parley.conversations.v1.run_service_pb2_grpc import RunServiceStub

from deploy.local.folders import make_folders
from deploy.local.plan import environment
from deploy.local.postgres import database_url
from deploy.local.secrets import HOUSE_SECRET, secret
from deploy.local.settings import LocalSettings
from deploy.local.valkey import valkey_url
from tests.faults.history import History
from tests.faults.workers import Worker, start_worker
from tests.support.brokers import RunningBroker, running_rabbitmq
from tests.support.callers import edge_of, eventually
from tests.support.running_mesh import RunningMesh, running_mesh
from tests.support.toxiproxy import Toxiproxy

_CHANNELS = 4
_PAGE = 1000
_AT_ONCE = 64
_PATIENCE_SECONDS = 600.0
# With a worker dies what it is answering, and the model is asked again for each: a tenant has half of these at most.
_ANSWERS_AT_ONCE = 40
# What the logs say of a call of the model that has ended, and of a worker whose fence was no longer the highest.
_GENERATE = '"method": "/parley.inference.v1.GenerationService/Generate"'
STALE = "lease lost, another worker goes on"
# What a client tries again: the request id makes that safe.
_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
# No part that dies may be answered like this: it is tried again, and held against the house.
_ERRORS = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is sent, and how many seconds lie between faults of a kind; 0 leaves a kind out."""

    conversations: int
    messages: int
    """To each conversation."""
    pace: float
    """Seconds between the messages of a conversation."""
    kill_worker: float = 0
    kill_broker: float = 0
    pause_worker: float = 0
    pause_services: float = 0
    kill_postgres: float = 0
    flush_valkey: float = 0
    pause_seconds: float = 10.0
    """How long what is paused sleeps; longer than a lease."""
    doubled: float = 0.1
    """The share of nudges that are delivered once more."""
    workers: int = 3


@dataclass
class Storm:
    """A running house with workers of its own, which the launcher does not count the deaths of."""

    plan: Plan
    history: History
    mesh: RunningMesh
    broker: RunningBroker
    logs: Path
    metadata: tuple[tuple[str, str], ...] = ()
    channels: list[grpc.aio.Channel] = field(default_factory=list)
    workers: list[Worker] = field(default_factory=list)
    started: int = 0
    runs: list[tuple[str, str]] = field(default_factory=list)
    refusals: int = 0
    """How often a call had to be made again."""
    enough: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to send no more."""

    def __post_init__(self) -> None:
        # What the launcher tells its workers.
        ports = json.loads((self.mesh.home / "run" / "ports.json").read_text())
        at = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        settings = LocalSettings(home=self.mesh.home, edge_port=self.mesh.port)
        folders = make_folders(self.mesh.home)
        stores = {
            "PARLEY_DATABASE_URL": database_url(folders, at["postgres"]),
            "PARLEY_VALKEY_URL": valkey_url(folders, at["valkey"]),
            "PARLEY_SECRET": secret(folders.secrets, HOUSE_SECRET),
        }
        told = environment(settings, folders, at, stores)
        self.env = told | self.mesh.settings | {"PARLEY_HOME": str(self.mesh.home)}

    def start_worker(self) -> Worker:
        """Start a worker with a log of its own."""
        self.started += 1
        return start_worker(self.env, self.logs / f"worker-{self.started}.log")

    async def supervise(self) -> None:
        """Start another worker for each that ends, such as one that found no database."""
        while True:
            for worker in list(self.workers):
                if not worker.lives:
                    self.workers.remove(worker)
                    self.workers.append(self.start_worker())
            await asyncio.sleep(0.1)

    async def all_started(self) -> bool:
        """Whether every worker takes jobs."""
        return all(worker.has_started for worker in self.workers)

    async def call(self, number: int, stub: type, method: str, request: object) -> Any:
        """Call until it is answered, as a patient client does."""
        while True:
            try:
                rpc = getattr(stub(self.channels[number % _CHANNELS]), method)
                return await rpc(request, metadata=self.metadata, timeout=15)
            except grpc.aio.AioRpcError as error:
                if error.code() in _ERRORS:
                    code, details = error.code().name, error.details()
                    self.history.write("error", method=method, code=code, details=details)
                elif error.code() not in _PASSING:
                    raise
                self.refusals += 1
                await asyncio.sleep(0.2)

    async def open(self, number: int) -> str:
        """Open a conversation and return its id."""
        request = CreateConversationRequest(request_id=str(uuid4()))
        made = await self.call(number, ConversationServiceStub, "CreateConversation", request)
        self.history.write("opened", conversation=made.conversation.id)
        return str(made.conversation.id)

    async def send(self, number: int, conversation: str, text: str, request_id: str = "") -> None:
        """Send a message; no two of a conversation may say the same."""
        send = SendMessageRequest(conversation_id=conversation, text=text, request_id=request_id or str(uuid4()))
        self.history.write("sending", conversation=conversation, text=text)
        sent = await self.call(number, MessageServiceStub, "SendMessage", send)
        self.history.write("accepted", conversation=conversation, text=text, run=sent.run.id)
        self.runs.append((conversation, sent.run.id))

    async def send_all(self) -> None:
        """Send every message: the conversations beside each other, the messages of each one after the other."""
        slots = asyncio.Semaphore(_AT_ONCE)

        async def talk(number: int) -> None:
            await asyncio.sleep(self.plan.pace * number / self.plan.conversations)
            async with slots:
                conversation = await self.open(number)
            for message in range(self.plan.messages):
                if self.enough.is_set():
                    return
                async with slots:
                    await self.send(number, conversation, f"message {message} to {number}")
                await asyncio.sleep(self.plan.pace)

        await asyncio.gather(*[talk(number) for number in range(self.plan.conversations)])

    async def attempts(self, run_ids: list[str]) -> int:
        """Return how often runs have been taken up, altogether."""
        of = {run_id: conversation for conversation, run_id in self.runs}
        requests = [GetRunRequest(conversation_id=of[run_id], run_id=run_id) for run_id in run_ids]
        found = [await self.call(0, RunServiceStub, "GetRun", request) for request in requests]
        return sum(one.run.attempt for one in found)

    async def wait_for_answers(self) -> None:
        """Return once every conversation has all of its answers, or patience ends: the checker tells what lacks."""
        sent = Counter(conversation for conversation, _ in self.runs)
        waiting = set(sent)
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while waiting:
                    for conversation in list(waiting):
                        get = GetConversationRequest(conversation_id=conversation)
                        found = await self.call(0, ConversationServiceStub, "GetConversation", get)
                        if found.conversation.message_count < 2 * sent[conversation]:
                            await asyncio.sleep(0.2)
                            break
                        waiting.discard(conversation)

    async def record(self) -> None:
        """Write down what is stored: every conversation that there is, whether anybody opened it or not."""
        listing = ListConversationsRequest(page_size=_PAGE)
        async for page in self._pages(ConversationServiceStub, "ListConversations", listing):
            for one in page.conversations:
                self.history.write("stored", conversation=one.id, messages=await self._messages(one.id))
        for number, (conversation, run_id) in enumerate(self.runs):
            request = GetRunRequest(conversation_id=conversation, run_id=run_id)
            run = (await self.call(number, RunServiceStub, "GetRun", request)).run
            self.history.write(
                "run",
                run=run.id,
                conversation=run.conversation_id,
                state=RunState.Name(run.state).removeprefix("RUN_STATE_").lower(),
                reason=run.error.reason,
                attempt=run.attempt,
                created=run.create_time.ToMilliseconds() / 1000,
                ended=run.end_time.ToMilliseconds() / 1000,
            )
        self.history.write("asked", count=self.mesh.log("services").count(_GENERATE))
        refused = sum(path.read_text().count(STALE) for path in self.logs.glob("worker-*.log"))
        self.history.write("refused", count=refused)

    async def _messages(self, conversation: str) -> list[dict[str, object]]:
        listing = ListMessagesRequest(conversation_id=conversation, page_size=_PAGE)
        return [
            {"sequence": message.sequence, "role": message.role, "text": message.text, "run": message.run_id}
            async for page in self._pages(MessageServiceStub, "ListMessages", listing)
            for message in page.messages
        ]

    async def _pages(self, stub: type, method: str, listing: Any) -> AsyncIterator[Any]:
        while True:
            page = await self.call(0, stub, method, listing)
            yield page
            if not page.next_page_token:
                return
            listing.page_token = page.next_page_token


@asynccontextmanager
async def storm(
    folder: Path, plan: Plan, toxiproxy: Toxiproxy | None = None, **settings: object
) -> AsyncIterator[Storm]:
    """Start the house, its broker and its workers; end all of it afterwards.

    Through `toxiproxy` go the relay and the workers to the broker (`rabbitmq`), and the workers to the database
    (`postgres`).
    """
    history = History(folder / "history.jsonl")
    with ExitStack() as stack:
        stack.callback(history.close)
        broker = stack.enter_context(running_rabbitmq(folder / "broker"))
        broker_url = broker.url if toxiproxy is None else toxiproxy.url("rabbitmq", broker.url)
        told = {
            "workers": 0,
            "broker_url": broker_url,
            "inference_scripted_delay_ms": 50,
            "conversations_answers_at_once": _ANSWERS_AT_ONCE,
        }
        mesh = stack.enter_context(running_mesh(folder / "house", **(told | settings)))
        running = Storm(plan, history, mesh, broker, folder)
        if toxiproxy is not None:
            running.env["PARLEY_DATABASE_URL"] = toxiproxy.url("postgres", running.env["PARLEY_DATABASE_URL"])
        async with edge_of(mesh.url) as edge:
            running.metadata = (await edge.register()).metadata
        options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_reconnect_backoff_ms", 1000)]
        running.channels = [grpc.aio.insecure_channel(mesh.address, options=options) for _ in range(_CHANNELS)]
        running.workers = [running.start_worker() for _ in range(plan.workers)]
        supervising = asyncio.create_task(running.supervise())
        try:
            await eventually(running.all_started, seconds=120, what="the workers")
            yield running
        finally:
            supervising.cancel()
            await asyncio.gather(supervising, return_exceptions=True)
            for worker in running.workers:
                worker.kill()
            for channel in running.channels:
                await channel.close()
