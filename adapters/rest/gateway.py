"""The gateway: an ASGI application made from descriptors."""

import asyncio
import logging
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor

from adapters.rest.annotations import Binding, http_bindings
from adapters.rest.asgi import ClientGone, Receive, Scope, Send, read_body, respond
from adapters.rest.binding import RequestBinder, ResponseShaper
from adapters.rest.codec import Codec
from adapters.rest.descriptors import DescriptorSet
from adapters.rest.dialect import PARLEY, Dialect
from adapters.rest.endpoint import JSON_TYPE, Incoming, Route, Stubs
from adapters.rest.errors import ErrorAnswer, ErrorWriter
from adapters.rest.failures import Failure
from adapters.rest.metadata import read_headers
from adapters.rest.open_streams import OpenStreams
from adapters.rest.path_template import parse_template
from adapters.rest.routing import MethodNotAllowed, PathNotFound, Router
from adapters.rest.streaming import StreamEndpoint
from adapters.rest.unary import UnaryEndpoint

_log = logging.getLogger(__name__)
Endpoint = UnaryEndpoint | StreamEndpoint


class Gateway:
    """Answers every HTTP request that a google.api.http rule of the descriptor set binds to an RPC."""

    def __init__(
        self,
        descriptors: DescriptorSet,
        *,
        max_body_bytes: int = 10 * 1024 * 1024,
        default_timeout_seconds: float = 30.0,
        heartbeat_seconds: float = 15.0,
        dialect: Dialect = PARLEY,
    ) -> None:
        """Compile all routes.

        Raises:
            TemplateInvalid: a path breaks the grammar.
            BindingInvalid: a rule names a field that does not exist.
        """
        self._max_body_bytes = max_body_bytes
        self._default_timeout = default_timeout_seconds
        self._heartbeat = heartbeat_seconds
        self._codec = Codec(descriptors, dialect)
        self._errors = ErrorWriter(self._codec, descriptors.pool, dialect)
        self.streams = OpenStreams()
        self._endpoints: list[Endpoint] = []
        self.router: Router[Endpoint] = Router()
        for method in descriptors.methods():
            if method.client_streaming:
                # An upload stream has no JSON form that browsers can send; see the README.
                continue
            for binding in http_bindings(method):
                self._register(method, binding)

    def connect(self, channel: grpc.aio.Channel) -> None:
        """Send the calls over a channel from now on; the caller closes it."""
        stubs = Stubs(channel)
        for endpoint in self._endpoints:
            endpoint.connect(stubs)

    def serves(self, http_method: str, path: str) -> bool:
        """Return whether a request would reach an RPC."""
        try:
            self.router.find(http_method, path)
        except (PathNotFound, MethodNotAllowed):
            return False
        return True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one HTTP request."""
        request_id = ""
        sending = _Sending(send)
        try:
            caller = read_headers(scope["headers"], _peer(scope))
            request_id = caller.request_id
            endpoint, values = self.router.find(scope["method"], scope["path"])
            if caller.content_length > self._max_body_bytes or endpoint.binder.reads_body:
                body = await read_body(receive, caller.content_length, self._max_body_bytes)
            else:
                body = b""
            await endpoint.answer(Incoming(values, scope["query_string"], body, caller, receive, sending))
        except ClientGone:
            _log.debug("request %s: the client left", request_id)
        except (Failure, PathNotFound, MethodNotAllowed, grpc.aio.AioRpcError) as error:
            await self._refuse(sending, self._answer_to(error), request_id)
        except asyncio.CancelledError:
            raise
        except Exception:
            await self._refuse(sending, self._errors.internal(request_id), request_id)

    def _answer_to(self, error: Exception) -> ErrorAnswer:
        if isinstance(error, grpc.aio.AioRpcError):
            return self._errors.from_call(error)
        if isinstance(error, Failure):
            return self._errors.from_failure(error)
        if isinstance(error, PathNotFound):
            return self._errors.from_failure(Failure(grpc.StatusCode.NOT_FOUND, "Not Found"))
        return self._errors.from_failure(Failure(grpc.StatusCode.UNIMPLEMENTED, "Method Not Allowed"))

    async def _refuse(self, sending: "_Sending", answer: ErrorAnswer, request_id: str) -> None:
        if sending.started:
            # The status line is out: ending the connection is the only way left to say that it went wrong.
            raise ConnectionAbortedError("an answer broke off")
        headers = [JSON_TYPE, *answer.headers]
        if request_id:
            headers.append((b"x-request-id", request_id.encode()))
        await respond(sending, answer.http_status, headers, answer.body)

    def _register(self, method: MethodDescriptor, binding: Binding) -> None:
        template = parse_template(binding.template)
        route = Route(
            method,
            RequestBinder(method.input_type, binding, template, self._codec),
            ResponseShaper(method.output_type, binding, self._codec),
            self._errors,
        )
        if method.server_streaming:
            endpoint: Endpoint = StreamEndpoint(route, self._heartbeat, self.streams)
        else:
            endpoint = UnaryEndpoint(route, self._default_timeout)
        self._endpoints.append(endpoint)
        self.router.add(binding.http_method, template, endpoint)


class _Sending:
    """Remembers whether the answer has started."""

    __slots__ = ("_send", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False

    async def __call__(self, message: Any) -> None:
        await self._send(message)
        self.started = True


def _peer(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""
