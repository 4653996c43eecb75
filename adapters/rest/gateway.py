"""The gateway: an ASGI application made from descriptors."""

import asyncio
import logging
from typing import Any

import grpc
from google.protobuf.descriptor import MethodDescriptor

from adapters.rest.annotations import Binding, max_request_bytes
from adapters.rest.answer_options import AnswerOptionsInvalid, read_answer_options
from adapters.rest.asgi import ClientGone, Receive, Scope, Send, read_body, respond
from adapters.rest.binding import BindingInvalid, RequestBinder, ResponseShaper
from adapters.rest.client_stream import ClientStreamEndpoint
from adapters.rest.codec import Codec
from adapters.rest.decompression import decoded
from adapters.rest.descriptors import DescriptorSet
from adapters.rest.dialect import PARLEY, Dialect
from adapters.rest.endpoint import JSON_TYPE, Incoming, Route
from adapters.rest.errors import ErrorAnswer, ErrorWriter
from adapters.rest.external_rules import ExternalRules
from adapters.rest.failures import Failure
from adapters.rest.forms import has_form, is_plain_form_post
from adapters.rest.http_protocol import LEAVING
from adapters.rest.message_sources import UploadLimits
from adapters.rest.metadata import Caller, Headers, passed_on, read_headers
from adapters.rest.open_streams import OpenStreams
from adapters.rest.outgoing import Outgoing
from adapters.rest.path_template import TemplateInvalid, parse_template
from adapters.rest.problem_details import PROBLEM_TYPE, problem_of
from adapters.rest.routing import Match, MethodNotAllowed, PathMalformed, PathNotFound, Router
from adapters.rest.rules import RuleInvalid, read_rules_of
from adapters.rest.streaming import StreamEndpoint
from adapters.rest.trailers import EXTENSION
from adapters.rest.unary import UnaryEndpoint
from adapters.rest.unescaping import has_bad_escape, is_utf8
from adapters.rest.upstream import CallFailed, Upstream

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
        max_upload_bytes: int = 1024 * 1024 * 1024,
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
        self._max_upload_bytes = max_upload_bytes
        self._default_timeout = default_timeout_seconds
        self._heartbeat = heartbeat_seconds
        self._dialect = dialect
        self._codec = Codec(descriptors, dialect)
        self._passed_on = passed_on(dialect.incoming_headers, traces=dialect.traces)
        self._outgoing = Outgoing(dialect)
        self._errors = ErrorWriter(self._codec, descriptors.pool, dialect, self._outgoing)
        self.streams = OpenStreams()
        self.raw_uploads = dialect.raw_uploads
        self._endpoints: dict[Endpoint, int] = {}
        """Each with the most bytes of a body that it reads."""
        self._bindings: dict[str, list[Binding]] = {}
        self.router: Router[Endpoint] = Router(dialect.unescape)
        for rule in read_rules_of(descriptors, external or ExternalRules(), dialect):
            try:
                self._register(rule.method, rule.binding)
            except (TemplateInvalid, BindingInvalid, AnswerOptionsInvalid) as error:
                raise RuleInvalid(rule, str(error)) from error
            self._bindings.setdefault(rule.method.full_name, []).append(rule.binding)

    def connect(self, channel: grpc.aio.Channel) -> None:
        """Send the calls over a channel from now on; the caller closes it."""
        upstream = Upstream(channel)
        for endpoint in self._endpoints:
            endpoint.connect(upstream)

    def bindings(self, method: MethodDescriptor) -> list[Binding]:
        """Return the bindings of an RPC that are served, those of a file and those made up for it too."""
        return self._bindings.get(method.full_name, [])

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
        marks: Headers = []
        sending = _Sending(send)
        try:
            caller = read_headers(scope["headers"], _peer(scope), self._passed_on)
            request_id, accept = caller.request_id, caller.accept
            extensions = scope.get("extensions") or {}
            wants_trailers = caller.wants_trailers and EXTENSION in extensions
            wanted = self._wanted_method(scope["method"], caller)
            endpoint, values = self._route(scope, wanted, caller)
            marks = endpoint.marks
            if caller.content_encoding and self._dialect.decodes_bodies and endpoint.binder.reads_body:
                receive = decoded(receive, caller.content_encoding, self._max_upload_bytes)
            body, form = await self._read(endpoint, scope["method"], wanted, caller, receive)
            query = scope["query_string"]
            connection = extensions.get(LEAVING)
            await endpoint.answer(
                Incoming(values, query, body, form, caller, receive, sending, connection, wants_trailers)
            )
        except ClientGone:
            _log.debug("request %s: the client left", request_id)
        except PathMalformed:
            await respond(sending, 400, list(_TEXT_AND_CLOSE), b"400 Bad Request")
        except (Failure, PathNotFound, MethodNotAllowed, CallFailed) as error:
            answer = self._answer_to(error)
            answer.headers += marks
            await self._refuse(sending, answer, request_id, accept, with_trailers=wants_trailers)
        except asyncio.CancelledError:
            raise
        except Exception:
            await self._refuse(sending, self._errors.internal(request_id), request_id)

    def _wanted_method(self, http_method: str, caller: Caller) -> str:
        dialect = self._dialect
        if caller.method_override and dialect.method_override and dialect.form_fallback:
            return caller.method_override.upper() if is_plain_form_post(http_method, caller) else http_method
        return http_method

    def _route(self, scope: Scope, http_method: str, caller: Caller) -> Match[Endpoint]:
        path, raw_path = scope["path"], scope.get("raw_path") or b""
        if b"%" in raw_path and has_bad_escape(raw_path):
            raise PathMalformed
        if not path.startswith("/"):
            raise Failure(grpc.StatusCode.INVALID_ARGUMENT, "Bad Request")
        if "\ufffd" in path and not is_utf8(raw_path):
            raise Failure(grpc.StatusCode.INVALID_ARGUMENT, "the path is not UTF-8")
        try:
            return self.router.find(http_method, path, raw_path.decode("latin-1"))
        except MethodNotAllowed as error:
            falls_back = self._dialect.form_fallback and "GET" in error.allowed
            if falls_back and http_method == scope["method"] and is_plain_form_post(http_method, caller):
                return self.router.find("GET", path, raw_path.decode("latin-1"))
            raise

    async def _read(
        self, endpoint: Endpoint, http_method: str, wanted: str, caller: Caller, receive: Receive
    ) -> tuple[bytes, bytes]:
        """Return as much of the body as the endpoint reads, and the part of it that is a form."""
        binder = endpoint.binder
        takes_form = binder.reads_query and has_form(http_method, caller)
        limit = self._endpoints[endpoint]
        if endpoint.streams_in or not (caller.content_length > limit or binder.reads_body or takes_form):
            return b"", b""
        body = await read_body(receive, caller.content_length, limit)
        if takes_form and (not binder.reads_body or wanted != http_method):
            return b"", body
        return body, b""

    def _answer_to(self, error: Exception) -> ErrorAnswer:
        if isinstance(error, CallFailed):
            return self._errors.from_call(error)
        if isinstance(error, Failure):
            answer = self._errors.from_failure(error)
            answer.headers += error.headers
            return answer
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
            self._outgoing,
            read_answer_options(method),
        )
        limit = min(self._max_body_bytes, max_request_bytes(method) or self._max_body_bytes)
        limits = UploadLimits(limit, self._max_upload_bytes)
        if method.server_streaming:
            endpoint: Endpoint = StreamEndpoint(route, self._heartbeat, self.streams, limits)
        elif method.client_streaming:
            endpoint = ClientStreamEndpoint(route, limits)
        else:
            endpoint = UnaryEndpoint(route, self._default_timeout, self._dialect)
        self._endpoints[endpoint] = limit
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
