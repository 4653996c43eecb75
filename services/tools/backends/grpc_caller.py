"""Calls tools that are unary gRPC methods, known by their descriptors only."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import grpc

from services.chassis.sandbox.running import LimitExceeded, Limits, Refused, Sandbox, SandboxBusy
from services.tools.backends.egress_guard import EgressGuard, host_and_port
from services.tools.backends.foreign import grpc_messages as foreign
from services.tools.ports import CallFailed
from services.tools.rules import Answer, GrpcSource, Source

_CONNECT_SECONDS = 5.0
_LIMITS = Limits(cpu_seconds=2, output_bytes=4_000_000)
_REQUEST = f"{foreign.__name__}:{foreign.request_of.__name__}"
_ANSWER = f"{foreign.__name__}:{foreign.answer_of.__name__}"
# The server refused it, or says that it went wrong: it has answered, and knows.
_ANSWERED = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.UNIMPLEMENTED,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
}
_PASSING = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
}


class GrpcCaller:
    """Implements the port Caller for GrpcSource."""

    def __init__(self, guard: EgressGuard, max_answer_bytes: int, sandbox: Sandbox) -> None:
        self._guard = guard
        self._sandbox = sandbox
        self._max_answer_bytes = max_answer_bytes

    async def call(
        self, source: Source, arguments: Mapping[str, Any], headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """See the port. The answer is the message as JSON."""
        assert isinstance(source, GrpcSource)  # noqa: S101 - chosen by the type of the source
        request = await self._request(source, arguments)
        metadata = tuple((name.lower(), value) for name, value in headers.items())
        async with await self._channel(source) as channel:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await channel.channel_ready()
            except TimeoutError:
                raise CallFailed("UNREACHABLE", "the server cannot be reached", done=False, passing=True) from None
            # Bytes in, bytes out: what they mean only a stranger's descriptors say.
            call: Any = channel.unary_unary(source.method)
            try:
                answer = await call(request, metadata=metadata, timeout=seconds)
            except grpc.aio.AioRpcError as error:
                raise self._failure(error) from None
        return Answer(await self._answer(source, answer))

    async def _request(self, source: GrpcSource, arguments: Mapping[str, Any]) -> bytes:
        content = json.dumps(dict(arguments)).encode()
        try:
            return await self._run(_REQUEST, source, content)
        except (Refused, LimitExceeded) as wrong:
            raise CallFailed("ARGUMENTS_INVALID", f"the request cannot be made: {wrong}"[:500], done=False) from None
        except SandboxBusy as busy:
            raise CallFailed("INTERNAL", busy.message, done=False, passing=True) from None

    async def _answer(self, source: GrpcSource, answer: bytes) -> str:
        try:
            text = await self._run(_ANSWER, source, answer)
        except (Refused, LimitExceeded, SandboxBusy) as wrong:
            raise CallFailed("ANSWER_INVALID", f"the answer cannot be read: {wrong}"[:500], done=True) from None
        if len(text) > self._max_answer_bytes:
            told = f"the answer has more than {self._max_answer_bytes} bytes as JSON"
            raise CallFailed("ANSWER_TOO_LARGE", told, done=True)
        return text.decode()

    async def _run(self, function: str, source: GrpcSource, content: bytes) -> bytes:
        payload = foreign.packed(source.descriptor_set, source.method, content)
        return await self._sandbox.run(function, payload, source.target, _LIMITS)

    async def _channel(self, source: GrpcSource) -> grpc.aio.Channel:
        host, port = host_and_port(source.target)
        address = (await self._guard.addresses(host, port))[0]
        # gRPC would resolve a name by itself; an address it takes as it is. The name stays in :authority and SNI.
        target = f"ipv6:[{address}]:{port}" if ":" in address else f"ipv4:{address}:{port}"
        options: list[tuple[str, Any]] = [
            ("grpc.default_authority", f"{host}:{port}"),
            ("grpc.enable_http_proxy", 0),
            ("grpc.enable_retries", 0),
            ("grpc.max_receive_message_length", self._max_answer_bytes),
            ("grpc.use_local_subchannel_pool", 1),
        ]
        if source.plaintext:
            return grpc.aio.insecure_channel(target, options=options)
        options.append(("grpc.ssl_target_name_override", host))
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(), options=options)

    def _failure(self, error: grpc.aio.AioRpcError) -> CallFailed:
        code = error.code()
        details = (error.details() or "")[:500]
        if code is grpc.StatusCode.RESOURCE_EXHAUSTED and "larger than max" in details:
            return CallFailed("ANSWER_TOO_LARGE", f"the answer has more than {self._max_answer_bytes} bytes", done=True)
        reason = "TIMEOUT" if code is grpc.StatusCode.DEADLINE_EXCEEDED else "STATUS"
        done = True if code in _ANSWERED else None
        return CallFailed(reason, f"the server answered {code.name}: {details}", done=done, passing=code in _PASSING)
