"""A service with every call shape, made at test time, behind the chassis's interceptors."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.api import field_behavior_pb2
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from parley.access.v1 import access_pb2
from parley.validation.v1 import validation_pb2

from services.chassis import caller as callers
from services.chassis.caller import Caller
from services.chassis.errors import Kind, ServiceError, Unauthenticated
from services.chassis.interceptors import request_id
from services.chassis.interceptors.call import InterceptorChain
from services.chassis.interceptors.chain import interceptors
from services.chassis.method_options import access_rules
from services.chassis.open_sessions import OpenSessions

SERVICE = "chassis.trial.v1.Trial"
_NOT_WRITTEN = "Internal error from Core"
SHAPES = {"Unary": (False, False), "Down": (False, True), "Up": (True, False), "Both": (True, True)}
TOKENS = {
    "ann": Caller(user_id="ann", session_id="s"),
    "root": Caller(user_id="root", session_id="s", roles=frozenset({"admin"})),
    "worker": Caller(service="worker"),
    "olga": Caller(user_id="olga", session_id="s", organization_id="school"),
    "adam": Caller(user_id="adam", session_id="s", organization_id="school"),
    "mia": Caller(user_id="mia", session_id="s", organization_id="school"),
}
SIGNED_IN = "ann"
_LEVELS = {
    "Open": access_pb2.AccessRule(level=access_pb2.LEVEL_PUBLIC),
    "Desk": access_pb2.AccessRule(level=access_pb2.LEVEL_ROLES, roles=["admin", "owner"]),
    "Inside": access_pb2.AccessRule(level=access_pb2.LEVEL_SERVICE),
    "Keep": access_pb2.AccessRule(
        level=access_pb2.LEVEL_SIGNED_IN, organization_role=access_pb2.ORGANIZATION_ROLE_ADMIN
    ),
    "Close": access_pb2.AccessRule(
        level=access_pb2.LEVEL_SIGNED_IN, organization_role=access_pb2.ORGANIZATION_ROLE_OWNER
    ),
}


def _declare() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="chassis_trial.proto", package="chassis.trial.v1", syntax="proto3")
    order = file.message_type.add(name="Order")
    item = order.field.add(name="item", number=1, type=9, label=1)
    item.options.Extensions[field_behavior_pb2.field_behavior].append(field_behavior_pb2.REQUIRED)
    item.options.Extensions[validation_pb2.limits].max_length = 10
    for number, name in enumerate(("caller", "request_id"), start=2):
        order.field.add(name=name, number=number, type=9, label=1)
    service = file.service.add(name="Trial")
    for name in (*SHAPES, *_LEVELS):
        up, down = SHAPES.get(name, (False, False))
        method = service.method.add(
            name=name,
            input_type=".chassis.trial.v1.Order",
            output_type=".chassis.trial.v1.Order",
            client_streaming=up,
            server_streaming=down,
        )
        rule = _LEVELS.get(name, access_pb2.AccessRule(level=access_pb2.LEVEL_SIGNED_IN))
        method.options.Extensions[access_pb2.access].CopyFrom(rule)
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("chassis.trial.v1.Order"))


Order: Any = _declare()


class SoldOut(ServiceError):
    """The expected failure of the trial."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SOLD_OUT"
    domain = "trial.parley"
    template = "there is no {item} left"


async def verify(token: str) -> Caller:
    """Return the caller of a known token."""
    if token not in TOKENS:
        raise Unauthenticated(cause="the token is not valid")
    return TOKENS[token]


async def role_of(caller: Caller) -> int:
    """Return what a caller is in the organisation of the token."""
    return {"olga": access_pb2.ORGANIZATION_ROLE_OWNER, "adam": access_pb2.ORGANIZATION_ROLE_ADMIN}.get(
        caller.user_id, access_pb2.ORGANIZATION_ROLE_MEMBER
    )


@dataclass
class Servicer:
    """Does what the item of the first order says."""

    seen: list[str] = field(default_factory=list)
    hanging: asyncio.Event = field(default_factory=asyncio.Event)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    ended: list[str] = field(default_factory=list)

    async def ended_among(self, session_ids: list[str]) -> list[str]:
        """Return those of the sessions that have ended."""
        return [one for one in session_ids if one in self.ended]

    async def one(self, request: Any, _context: Any) -> Any:
        """Answer one order."""
        return await self._serve(request)

    async def down(self, request: Any, _context: Any) -> AsyncIterator[Any]:
        """Answer one order twice; `half` fails in between."""
        yield await self._serve(request)
        if request.item == "flood":
            while True:
                yield Order(item="x" * 10_000)
        if request.item == "wait":
            yield await self._serve(Order(item="hang"))
        if request.item == "half":
            raise SoldOut(item="half")
        yield await self._serve(request)

    async def up(self, requests: AsyncIterator[Any], _context: Any) -> Any:
        """Answer the last of many orders."""
        answer = Order()
        async for request in requests:
            answer = await self._serve(request)
        return answer

    async def both(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        """Answer each of many orders."""
        async for request in requests:
            yield await self._serve(request)

    async def _serve(self, request: Any) -> Any:
        self.seen.append(request.item)
        if request.item == "expected":
            raise SoldOut(item="bread")
        if request.item == "bug":
            raise RuntimeError("secret database password")
        if request.item == "hang":
            self.hanging.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.released.set()
        return Order(item=request.item, caller=callers.current().user_id, request_id=request_id.current.get())


@dataclass(frozen=True)
class Trial:
    """A running server and a channel to it."""

    servicer: Servicer
    channel: grpc.aio.Channel
    sessions: OpenSessions

    async def announce(self, *session_ids: str | None) -> None:
        """Say which sessions have ended."""

        async def said() -> AsyncGenerator[str | None, None]:
            for session_id in session_ids:
                yield session_id

        await self.sessions.follow(said())

    def start(
        self,
        name: str,
        *items: str | bytes,
        token: str = SIGNED_IN,
        metadata: tuple[tuple[str, str], ...] = (),
        **options: Any,
    ) -> Any:
        """Start a call and return it. Bytes are sent as they are."""
        up, down = SHAPES.get(name, (False, False))
        opener = getattr(self.channel, f"{'stream' if up else 'unary'}_{'stream' if down else 'unary'}")
        call = opener(f"/{SERVICE}/{name}", request_serializer=None, response_deserializer=Order.FromString)
        orders = [item if isinstance(item, bytes) else Order(item=item).SerializeToString() for item in items]
        headers = (*((("authorization", f"Bearer {token}"),) if token else ()), *metadata)
        return call(_each(orders) if up else orders[0], metadata=headers, **options)

    async def call(self, name: str, *items: str | bytes, **options: Any) -> list[Any]:
        """Call and return the answers. Raises grpc.aio.AioRpcError."""
        call = self.start(name, *items, **options)
        if SHAPES.get(name, (False, False))[1]:
            return [answer async for answer in call]
        return [await call]

    async def failure(self, name: str, *items: str | bytes, **options: Any) -> grpc.aio.AioRpcError:
        """Call and return how it failed."""
        while True:
            try:
                answers = await self.call(name, *items, **options)
            except grpc.aio.AioRpcError as error:
                # grpc.aio loses the status of a call that was refused before its request could be written.
                if error.details() == _NOT_WRITTEN:
                    continue
                return error
            raise AssertionError(f"{name} answered {answers}")


async def _each(orders: list[Any]) -> AsyncIterator[Any]:
    for order in orders:
        yield order


@asynccontextmanager
async def running_trial() -> AsyncIterator[Trial]:
    """Serve the trial on a free port."""
    servicer = Servicer()
    behaviours = {"Down": servicer.down, "Up": servicer.up, "Both": servicer.both}
    makers = {
        (False, False): grpc.unary_unary_rpc_method_handler,
        (False, True): grpc.unary_stream_rpc_method_handler,
        (True, False): grpc.stream_unary_rpc_method_handler,
        (True, True): grpc.stream_stream_rpc_method_handler,
    }
    handlers = {
        name: makers[SHAPES.get(name, (False, False))](
            behaviours.get(name, servicer.one), Order.FromString, Order.SerializeToString
        )
        for name in (*SHAPES, *_LEVELS)
    }
    sessions = OpenSessions(servicer.ended_among)
    chain = InterceptorChain(interceptors(verify, role_of, sessions), access_rules([SERVICE]))
    server = grpc.aio.server(interceptors=[chain])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Trial(servicer, channel, sessions)
    await server.stop(None)
