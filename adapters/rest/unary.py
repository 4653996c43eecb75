"""Calls that answer once."""

import asyncio
from typing import Any

import grpc

from adapters.rest.asgi import ClientGone, DisconnectWatch, respond
from adapters.rest.endpoint import Incoming, Route, Stubs, content_of, own_headers, raw_body
from adapters.rest.metadata import response_headers, trailer_headers


class UnaryEndpoint:
    """Answers the requests of one binding of a unary RPC."""

    def __init__(self, route: Route, default_timeout: float | None) -> None:
        """Take the compiled binding and the deadline of calls that bring none."""
        self.binder = route.binder
        self.streams_in = False
        self._route = route
        self._default_timeout = default_timeout
        self._raw = raw_body(route.method, route.shaper)
        self._call: Any = None

    def connect(self, stubs: Stubs) -> None:
        """Take the channel's callables."""
        self._call = stubs.of(self._route.method)

    async def answer(self, incoming: Incoming) -> None:
        """Call the upstream and send its answer, or its error.

        Raises:
            Failure: the request does not fit the RPC.
            AioRpcError: the upstream refused.
            ClientGone: the client left; the call is cancelled.
        """
        request = self.binder.bind(incoming.values, incoming.query, incoming.body, incoming.form)
        caller = incoming.caller
        timeout = self._default_timeout if caller.timeout is None else caller.timeout
        call = self._call(request, metadata=caller.metadata, timeout=timeout)
        watch = DisconnectWatch(incoming.receive, call.cancel)
        try:
            response = await call
            metadata = await call.initial_metadata()
        except asyncio.CancelledError:
            if watch.gone:
                raise ClientGone from None
            raise
        except grpc.aio.AioRpcError:
            if watch.gone:
                raise ClientGone from None
            raise
        finally:
            watch.stop()
        headers, body = content_of(response, self._raw, self._route.shaper)
        headers += [*response_headers(metadata), *own_headers(caller)]
        trailers = trailer_headers(await call.trailing_metadata()) if incoming.with_trailers else None
        await respond(incoming.send, 200, headers, body, trailers)
