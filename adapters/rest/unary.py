"""Calls that answer once."""

from typing import Any

from adapters.rest.asgi import ClientGone, DisconnectWatch
from adapters.rest.dialect import Dialect
from adapters.rest.endpoint import Incoming, Route, raw_body, send_answer
from adapters.rest.failures import invalid_field
from adapters.rest.message_sources import request_of
from adapters.rest.upstream import CallFailed, Upstream

_REQUEST_ID = "request_id"


class UnaryEndpoint:
    """Answers the requests of one binding of a unary RPC."""

    def __init__(self, route: Route, default_timeout: float | None, dialect: Dialect) -> None:
        """Take the compiled binding and the deadline of calls that bring none."""
        field = route.method.input_type.fields_by_name.get(_REQUEST_ID) if dialect.idempotency_keys else None
        self._has_request_id = field is not None and field.type == field.TYPE_STRING and not field.is_repeated
        self.binder = route.binder
        self.streams_in = False
        self.marks = route.answer.marks
        self._route = route
        self._default_timeout = default_timeout
        self._raw = raw_body(route.method, route.shaper)
        self._method: Any = None

    def connect(self, upstream: Upstream) -> None:
        """Take what calls the RPC."""
        self._method = upstream.method(self._route.method)

    async def answer(self, incoming: Incoming) -> None:
        """Call the upstream and send its answer, or its error.

        Raises:
            Failure: the request does not fit the RPC.
            CallFailed: the upstream refused.
            ClientGone: the client left; the call is cancelled.
        """
        request: Any = request_of(incoming, self.binder)
        caller = incoming.caller
        if caller.idempotency_key and self._has_request_id and not getattr(request, _REQUEST_ID):
            _take_key(request, caller.idempotency_key)
        timeout = self._default_timeout if caller.timeout is None else caller.timeout
        call = self._method.call(request, caller.metadata, timeout)
        watch = DisconnectWatch(incoming.receive, incoming.connection, call.cancel)
        try:
            response = await call.answer()
        except CallFailed:
            if watch.gone:
                raise ClientGone from None
            raise
        finally:
            watch.stop()
            call.cancel()
        await send_answer(self._route, incoming, response, self._raw, call.headers, call.trailers)


def _take_key(request: Any, key: str) -> None:
    if not key.isascii() or not key.isprintable():
        raise invalid_field("Idempotency-Key", "Idempotency-Key: expected printable ASCII")
    setattr(request, _REQUEST_ID, key.strip('"'))  # the draft standard has it in quotes
