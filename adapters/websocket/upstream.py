"""The mesh, as a connection sees it: who holds a token, the RPCs by name, the events of a run."""

import time
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

import grpc
from google.protobuf.descriptor import MethodDescriptor
from parley.access.v1 import access_pb2

from adapters.rest.annotations import access_rule, http_bindings, max_request_bytes
from adapters.rest.codec import Codec
from adapters.rest.descriptors import DescriptorSet, message_class
from adapters.rest.dialect import PARLEY
from adapters.rest.failures import ValueInvalid
from adapters.rest.scalars import ToJson
from adapters.websocket.codes import (
    EXPIRED,
    INVALID_TOKEN,
    Disconnected,
    Refusal,
    internal,
    method_not_found,
    too_large,
)
from adapters.websocket.tokens import Token

Metadata = tuple[tuple[str, str], ...]

WHO_AM_I = "parley.identity.v1.AuthService/GetMe"
WATCH_SESSION = "parley.identity.v1.AuthService/WatchSession"
STREAM_RUN = "parley.conversations.v1.RunService/StreamRun"

_CHECK_SECONDS = 5.0
# The mesh ends every stream after an hour.
_WATCH_SECONDS = 3000
_OPEN_LEVELS = (access_pb2.LEVEL_PUBLIC, access_pb2.LEVEL_SIGNED_IN, access_pb2.LEVEL_ROLES)
_TEMPORARY = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED)


class Upstream:
    """Calls the mesh with the tokens of users; it has none of its own."""

    def __init__(self, channel: grpc.aio.Channel, descriptors: DescriptorSet, call_seconds: float) -> None:
        """Take the channel, the types, and the deadline of calls."""
        self._codec = Codec(descriptors, PARLEY)
        self._call_seconds = call_seconds
        self._methods = {
            f"{method.containing_service.full_name}/{method.name}": method
            for method in descriptors.methods()
            if not method.client_streaming
        }
        self._open = {name: max_request_bytes(method) for name, method in self._methods.items() if _is_open(method)}
        self._stubs = {name: _stub(channel, name, method) for name, method in self._methods.items()}
        run_event = self._methods[STREAM_RUN].output_type
        self.event_to_json: ToJson = self._codec.encoder(run_event)
        """Makes what REST shows of an event of a run."""

    async def user_of(self, token: Token, headers: Mapping[str, str]) -> str:
        """Return the id of the user who holds the token.

        Raises:
            Disconnected: identity does not accept it.
            Refusal: identity cannot be asked.
        """
        request = message_class(self._methods[WHO_AM_I].input_type)()
        try:
            answer = await self._stubs[WHO_AM_I](request, metadata=_metadata(token, headers), timeout=_CHECK_SECONDS)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED):
                raise Disconnected(INVALID_TOKEN) from None
            raise internal() from None
        return str(answer.user.id)

    def check(self, name: str, size: int) -> None:
        """Raise Refusal when there is no such RPC for users, or a request to it may not have so many bytes."""
        if name not in self._open:
            raise method_not_found()
        limit = self._open[name]
        if limit is not None and size > limit:
            raise too_large(limit)

    async def call(self, name: str, data: Any, token: Token, headers: Mapping[str, str]) -> Any:
        """Call a unary RPC that was checked, with JSON and for JSON.

        Raises:
            Refusal: the JSON does not fit it, or it failed: then with its gRPC code.
        """
        method = self._methods[name]
        request = message_class(method.input_type)()
        try:
            self._codec.decoder(method.input_type)(request, {} if data is None else data)
        except ValueInvalid as error:
            where = f"{error.path}: " if error.path else ""
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT.value[0], where + error.problem) from None
        except RecursionError:
            raise Refusal(grpc.StatusCode.INVALID_ARGUMENT.value[0], "nested too deeply") from None
        try:
            answer = await self._stubs[name](request, metadata=_metadata(token, headers), timeout=self._call_seconds)
        except grpc.aio.AioRpcError as error:
            raise refusal_of(error) from None
        return self._codec.encoder(method.output_type)(answer)

    async def watch_session(self, token: Token, headers: Mapping[str, str]) -> None:
        """Return when the stream that watches the token's session breaks off; then it may be watched again.

        Raises:
            Disconnected: the session has ended, or the token counts no more.
        """
        request = message_class(self._methods[WATCH_SESSION].input_type)(max_seconds=_WATCH_SECONDS)
        call = self._stubs[WATCH_SESSION](request, metadata=_metadata(token, headers))
        try:
            while await call.read() is not grpc.aio.EOF:
                pass
        except grpc.aio.AioRpcError as error:
            if error.code() is grpc.StatusCode.UNAUTHENTICATED:
                raise refused(token) from None
        finally:
            call.cancel()

    def stream_run(
        self, conversation_id: str, run_id: str, after: int, token: Token, headers: Mapping[str, str]
    ) -> Any:
        """Return the call that reads the events of a run after a number."""
        request = message_class(self._methods[STREAM_RUN].input_type)(
            conversation_id=conversation_id, run_id=run_id, after=after
        )
        return self._stubs[STREAM_RUN](request, metadata=_metadata(token, headers))


def refused(token: Token) -> Disconnected:
    """Return how a connection ends whose token is accepted no more: by its time, or because its session has ended."""
    return Disconnected(EXPIRED if token.expires_at <= time.time() else INVALID_TOKEN)


def refusal_of(error: grpc.aio.AioRpcError) -> Refusal:
    """Return a gRPC status as the client sees it: its code and message."""
    return Refusal(error.code().value[0], error.details() or "", temporary=error.code() in _TEMPORARY)


def _is_open(method: MethodDescriptor) -> bool:
    # Without a rule, nobody outside may call; what has no route outside is for services.
    rule = access_rule(method)
    is_for_users = rule is not None and rule.level in _OPEN_LEVELS and any(True for _ in http_bindings(method))
    return is_for_users and not method.server_streaming


def _stub(channel: grpc.aio.Channel, name: str, method: MethodDescriptor) -> Any:
    make = channel.unary_stream if method.server_streaming else channel.unary_unary
    return make(
        f"/{name}",
        request_serializer=message_class(method.input_type).SerializeToString,
        response_deserializer=message_class(method.output_type).FromString,
    )


def _metadata(token: Token, headers: Mapping[str, str]) -> Metadata:
    return (("authorization", f"Bearer {token.text}"), ("x-request-id", uuid4().hex), *headers.items())
