"""Identity as it is wired, on a bus of choice, with a real worker that sends its mails."""

import asyncio
import os
import signal
import sys
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import grpc
import pytest
from parley.identity.v1 import api_key_service_pb2 as keys_pb
from parley.identity.v1 import api_key_service_pb2_grpc as keys_grpc
from parley.identity.v1 import auth_service_pb2 as auth_pb
from parley.identity.v1 import auth_service_pb2_grpc as auth_grpc
from parley.identity.v1 import discovery_service_pb2 as discovery_pb
from parley.identity.v1 import discovery_service_pb2_grpc as discovery_grpc
from parley.identity.v1 import user_admin_service_pb2_grpc as admin_grpc
from pydantic import SecretStr
from redis.asyncio import Redis

from services.chassis.database import Database
from services.chassis.events.bus import EventBus
from services.chassis.events.opening import open_bus
from services.chassis.events.subscriptions import Subscriptions
from services.chassis.events.topics import LOG_EVENT, NOTIFY_USER
from services.chassis.identifiers import new_id
from services.chassis.jobs import publisher_to
from services.chassis.outbox import Event
from services.chassis.pagination import PageTokens
from services.chassis.resources import Resources
from services.chassis.serving import build_server
from services.chassis.settings import ChassisSettings
from services.chassis.supervision import keep_running
from services.identity.wiring import assemble
from tests.acceptance.identity.key_set_server import serving_key_set
from tests.support.mailbox import Mailbox

PASSWORD = "correct horse battery"
ADMIN = "root@example.org"
_SECRET = "s" * 32
_SECONDS = 120


@dataclass
class Someone:
    """A user who is signed in."""

    user_id: str
    email: str
    token: str

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What shows who it is."""
        return (("authorization", f"Bearer {self.token}"),)


@dataclass
class EventHouse:
    """The service, its bus, its mails and what it told."""

    channel: grpc.aio.Channel
    bus: EventBus
    mailbox: Mailbox
    told: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))

    @property
    def auth(self) -> "auth_grpc.AuthServiceAsyncStub":
        """The typed client for passwords and sessions."""
        return auth_grpc.AuthServiceStub(self.channel)

    @property
    def admin(self) -> "admin_grpc.UserAdminServiceAsyncStub":
        """The typed client for administrators."""
        return admin_grpc.UserAdminServiceStub(self.channel)

    async def register(self) -> Someone:
        """Make somebody and sign in."""
        name = f"ann-{new_id().hex}"
        email = f"{name}@example.com"
        await self.auth.Register(auth_pb.RegisterRequest(email=email, username=name, password=PASSWORD))
        return await self.sign_in(email)

    async def sign_in(self, email: str) -> Someone:
        """Sign in."""
        tokens = await self.auth.Login(auth_pb.LoginRequest(login=email, password=PASSWORD))
        shown = (("authorization", f"Bearer {tokens.access_token}"),)
        me = await self.auth.GetMe(auth_pb.GetMeRequest(), metadata=shown)
        return Someone(me.user.id, email, tokens.access_token)

    async def make_api_key(self, who: Someone) -> str:
        """Verify the address, make an API key and return it."""
        async with asyncio.timeout(_SECONDS):
            while not (code := self.mailbox.codes(who.email)):
                await asyncio.sleep(0.05)
        await self.auth.VerifyEmail(auth_pb.VerifyEmailRequest(email=who.email, code=code[0]))
        request = keys_pb.CreateApiKeyRequest(name="script", scopes=["conversations.read"])
        stub = keys_grpc.ApiKeyServiceStub(self.channel)
        return (await stub.CreateApiKey(request, metadata=who.metadata)).secret

    async def mails(self, who: Someone, containing: str) -> list[str]:
        """Return the mails to somebody with these words, once there is one."""
        async with asyncio.timeout(_SECONDS):
            while True:
                found = [mail for mail in self.mailbox.texts(who.email) if containing in mail]
                if found:
                    return found
                await asyncio.sleep(0.05)

    async def event(self, topic: str, **wanted: str) -> Event:
        """Return the first event of a topic that says this, once it was told."""
        async with asyncio.timeout(_SECONDS):
            while True:
                for event in self.told[topic]:
                    if wanted.items() <= event.payload.items():
                        return event
                await asyncio.sleep(0.05)


@asynccontextmanager
async def event_house(
    database: Database, postgres_url: str, valkey: Redis, valkey_url: str, home: Path, events_url: str, **identity: str
) -> AsyncIterator[EventHouse]:
    """Serve identity with its background loops, listen beside it, and have a worker; `identity` are its settings."""
    many = {"ATTEMPTS_PER_ADDRESS": "1000000", "MAILS_PER_CLIENT_PER_HOUR": "1000000"}
    given = {**many, "ADMIN_EMAIL": ADMIN, "ADMIN_PASSWORD": PASSWORD, **identity}
    chosen = {f"PARLEY_IDENTITY_{name}": value for name, value in given.items()}
    published = b""
    with serving_key_set(lambda: published) as jwks_url:
        settings = ChassisSettings(
            home=home, secret=SecretStr(_SECRET), jwks_url=jwks_url, valkey_url=SecretStr(valkey_url)
        )
        subscriptions = Subscriptions(publisher_to(valkey_url))
        bus = open_bus(events_url, subscriptions)
        mesh = cast("grpc.aio.Channel", SimpleNamespace())
        resources = Resources(settings, database, valkey, mesh, PageTokens(_SECRET), bus, subscriptions)
        with pytest.MonkeyPatch.context() as environment:
            for name, value in chosen.items():
                environment.setenv(name, value)
            module = await assemble(resources)
        house = EventHouse(cast("grpc.aio.Channel", None), bus, Mailbox(home))

        async def note(event: Event) -> None:
            house.told[event.topic].append(event)

        loops = [*module.background, *(bus.subscribe(topic, "tests", note) for topic in (LOG_EVENT, NOTIFY_USER))]
        await module.prepare()
        server, _, _ = build_server([module], resources)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        tasks = [asyncio.create_task(keep_running("identity", loop)) for loop in loops]
        ours = {"HOME": str(home), "SECRET": _SECRET, "DATABASE_URL": postgres_url, "VALKEY_URL": valkey_url}
        env = {**os.environ, **{f"PARLEY_{name}": value for name, value in ours.items()}, **chosen}
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as house.channel, _worker(env, home):
            discovery = discovery_grpc.DiscoveryServiceStub(house.channel)
            published = (await discovery.GetJsonWebKeySet(discovery_pb.GetJsonWebKeySetRequest())).data
            yield house
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.stop(None)
        await module.close()
        await bus.close()
        await subscriptions.close()


@asynccontextmanager
async def _worker(env: dict[str, str], home: Path) -> AsyncIterator[None]:
    with (home / "worker.log").open("wb") as log:
        command = [sys.executable, "-m", "services", "work", "identity"]
        process = await asyncio.create_subprocess_exec(*command, env=env, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(30):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
