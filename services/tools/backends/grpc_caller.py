"""Calls tools that are unary gRPC methods, known by their descriptors only."""

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import DecodeError

from services.tools.backends.egress_guard import EgressGuard, host_and_port
from services.tools.ports import CallFailed
from services.tools.rules import Answer, GrpcSource, Source

_CONNECT_SECONDS = 5.0
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

    def __init__(self, guard: EgressGuard, max_answer_bytes: int) -> None:
        self._guard = guard
        self._max_answer_bytes = max_answer_bytes

    async def call(
        self, source: Source, arguments: Mapping[str, Any], headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """See the port. The answer is the message as JSON."""
        assert isinstance(source, GrpcSource)  # noqa: S101 - chosen by the type of the source
        try:
            method = _method(source.descriptor_set, source.method)
            request = message_factory.GetMessageClass(method.input_type)()
            json_format.ParseDict(dict(arguments), request)
        except (KeyError, TypeError, ValueError, DecodeError, json_format.ParseError) as error:
            raise CallFailed("ARGUMENTS_INVALID", f"the request cannot be made: {error}"[:500], done=False) from None
        answer_class = message_factory.GetMessageClass(method.output_type)
        metadata = tuple((name.lower(), value) for name, value in headers.items())
        async with await self._channel(source) as channel:
            try:
                async with asyncio.timeout(_CONNECT_SECONDS):
                    await channel.channel_ready()
            except TimeoutError:
                raise CallFailed("UNREACHABLE", "the server cannot be reached", done=False, passing=True) from None
            call: Any = channel.unary_unary(
                source.method,
                request_serializer=lambda message: message.SerializeToString(),
                response_deserializer=answer_class.FromString,
            )
            try:
                answer = await call(request, metadata=metadata, timeout=seconds)
            except grpc.aio.AioRpcError as error:
                raise self._failure(error) from None
        return Answer(json_format.MessageToJson(answer, indent=None, ensure_ascii=False))

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


@lru_cache(maxsize=64)
def _method(descriptor_set: bytes, path: str) -> MethodDescriptor:
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(descriptor_set).file:
        pool.Add(file)
    service, _, name = path.lstrip("/").partition("/")
    method: MethodDescriptor = pool.FindServiceByName(service).methods_by_name[name]
    if method.client_streaming or method.server_streaming:
        raise ValueError("only unary methods can be called")
    return method
