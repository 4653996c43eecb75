"""The gateway: an ASGI application made from descriptors."""

import asyncio
import logging
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor

from adapters.rest.annotations import Binding
from adapters.rest.asgi import ClientGone, Receive, Scope, Send, read_body, respond
from adapters.rest.binding import BindingInvalid, RequestBinder, ResponseShaper
from adapters.rest.client_stream import ClientStreamEndpoint
from adapters.rest.codec import Codec
from adapters.rest.descriptors import DescriptorSet
from adapters.rest.dialect import PARLEY, Dialect
from adapters.rest.endpoint import JSON_TYPE, Incoming, Route, Stubs
from adapters.rest.errors import ErrorAnswer, ErrorWriter
from adapters.rest.external_rules import ExternalRules
from adapters.rest.failures import Failure
from adapters.rest.forms import has_form, is_plain_form_post
from adapters.rest.metadata import Caller, read_headers
from adapters.rest.open_streams import OpenStreams
from adapters.rest.path_template import TemplateInvalid, parse_template
from adapters.rest.problem_details import PROBLEM_TYPE, problem_of
from adapters.rest.routing import Match, MethodNotAllowed, PathMalformed, PathNotFound, Router
from adapters.rest.rules import RuleInvalid, read_rules_of
from adapters.rest.streaming import StreamEndpoint
from adapters.rest.trailers import EXTENSION
from adapters.rest.unary import UnaryEndpoint
from adapters.rest.unescaping import has_bad_escape

_log = logging.getLogger(__name__)
_TEXT_AND_CLOSE = ((b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close"))
Endpoint = UnaryEndpoint | StreamEndpoint | ClientStreamEndpoint


class Gateway:
    """Answers every HTTP request that an HTTP rule of the descriptor set or of a file binds to an RPC."""

    def __init__(
        self,
        descriptors: DescriptorSet,
        *,
        max_body_bytes: int = 10 * 1024 * 1024,
        default_timeout_seconds: float | None = 30.0,
        heartbeat_seconds: float = 15.0,
        dialect: Dialect = PARLEY,
        external: ExternalRules | None = None,
    ) -> None:
        """Compile all routes.

        Raises:
            RulesInvalid, RuleInvalid: an HTTP rule is wrong or for no RPC; the text names it.
        """
        self._max_body_bytes = max_body_bytes
        self._default_timeout = default_timeout_seconds
        self._heartbeat = heartbeat_seconds
        self._dialect = dialect
        self._codec = Codec(descriptors, dialect)
        self._errors = ErrorWriter(self._codec, descriptors.pool, dialect)
        self.streams = OpenStreams()
        self._endpoints: list[Endpoint] = []
        self.router: Router[Endpoint] = Router(dialect.unescape)
        for rule in read_rules_of(descriptors, external or ExternalRules(), dialect):
            try:
                self._register(rule.method, rule.binding)
            except (TemplateInvalid, BindingInvalid) as error:
                raise RuleInvalid(rule, str(error)) from error

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
        request_id = accept = ""
        wants_trailers = False
        sending = _Sending(send)
        try:
            caller = read_headers(scope["headers"], _peer(scope), traces=self._dialect.traces)
            request_id, accept = caller.request_id, caller.accept
            wants_trailers = caller.wants_trailers and EXTENSION in scope.get("extensions", ())
            endpoint, incoming = await self._find(scope, caller, receive, sending, with_trailers=wants_trailers)
            await endpoint.answer(incoming)
        except ClientGone:
            _log.debug("request %s: the client left", request_id)
        except PathMalformed:
            await respond(sending, 400, list(_TEXT_AND_CLOSE), b"400 Bad Request")
        except (Failure, PathNotFound, MethodNotAllowed, grpc.aio.AioRpcError) as error:
            await self._refuse(sending, self._answer_to(error), request_id, accept, with_trailers=wants_trailers)
        except asyncio.CancelledError:
            raise
        except Exception:
            await self._refuse(sending, self._errors.internal(request_id), request_id)

    async def _find(
        self, scope: Scope, caller: Caller, receive: Receive, sending: "_Sending", *, with_trailers: bool
    ) -> tuple[Endpoint, Incoming]:
        """Return who answers a request, and the request with as much of its body as that one reads."""
        http_method: str = scope["method"]
        body, form = b"", b""
        wanted = http_method
        plain_form = is_plain_form_post(http_method, caller)
        if plain_form and caller.method_override and self._dialect.method_override and self._dialect.form_fallback:
            wanted = caller.method_override.upper()
        endpoint, values = self._route(scope, wanted, falls_back=plain_form and wanted == http_method)
        binder = endpoint.binder
        takes_form = binder.reads_query and has_form(http_method, caller)
        if not endpoint.streams_in and (
            caller.content_length > self._max_body_bytes or binder.reads_body or takes_form
        ):
            body = await read_body(receive, caller.content_length, self._max_body_bytes)
            if takes_form and (not binder.reads_body or wanted != http_method):
                body, form = b"", body
        query = scope["query_string"]
        return endpoint, Incoming(values, query, body, form, caller, receive, sending, with_trailers)

    def _route(self, scope: Scope, http_method: str, *, falls_back: bool) -> Match[Endpoint]:
        path, raw_path = scope["path"], scope.get("raw_path") or b""
        if b"%" in raw_path and has_bad_escape(raw_path):
            raise PathMalformed
        if not path.startswith("/"):
            raise Failure(grpc.StatusCode.INVALID_ARGUMENT, "Bad Request")
        try:
            return self.router.find(http_method, path, raw_path.decode("latin-1"))
        except MethodNotAllowed as error:
            if falls_back and self._dialect.form_fallback and "GET" in error.allowed:
                return self.router.find("GET", path, raw_path.decode("latin-1"))
            raise

    def _answer_to(self, error: Exception) -> ErrorAnswer:
        if isinstance(error, grpc.aio.AioRpcError):
            return self._errors.from_call(error)
        if isinstance(error, Failure):
            return self._errors.from_failure(error)
        if isinstance(error, PathNotFound):
            return self._errors.from_failure(Failure(grpc.StatusCode.NOT_FOUND, "Not Found"))
        if isinstance(error, MethodNotAllowed) and self._dialect.real_405:
            failure = Failure(grpc.StatusCode.UNIMPLEMENTED, str(error), http_status=405)
            answer = self._errors.from_failure(failure)
            answer.headers.append((b"allow", ", ".join(error.allowed).encode()))
            return answer
        return self._errors.from_failure(Failure(grpc.StatusCode.UNIMPLEMENTED, "Method Not Allowed"))

    async def _refuse(
        self,
        sending: "_Sending",
        answer: ErrorAnswer,
        request_id: str,
        accept: str = "",
        *,
        with_trailers: bool = False,
    ) -> None:
        if sending.started:
            # The status line is out: ending the connection is the only way left to say that it went wrong.
            raise ConnectionAbortedError("an answer broke off")
        as_problem = PROBLEM_TYPE in accept
        headers = [(b"content-type", PROBLEM_TYPE.encode()) if as_problem else JSON_TYPE, *answer.headers]
        body = problem_of(answer.content, answer.http_status) if as_problem else answer.body
        if request_id:
            headers.append((b"x-request-id", request_id.encode()))
        trailers = answer.trailers if with_trailers else None
        await respond(sending, answer.http_status, headers, body, trailers)

    def _register(self, method: MethodDescriptor, binding: Binding) -> None:
        template = parse_template(binding.template)
        route = Route(
            method,
            RequestBinder(method.input_type, binding, template, self._codec, self._dialect),
            ResponseShaper(method.output_type, binding, self._codec),
            self._errors,
        )
        if method.server_streaming:
            endpoint: Endpoint = StreamEndpoint(
                route, self._heartbeat, self.streams, self._max_body_bytes, self._dialect
            )
        elif method.client_streaming:
            endpoint = ClientStreamEndpoint(route, self._max_body_bytes)
        else:
            endpoint = UnaryEndpoint(route, self._default_timeout, self._dialect)
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
