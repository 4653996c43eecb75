"""Upload streams that are answered once."""

from typing import Any

from adapters.rest.asgi import ClientGone
from adapters.rest.endpoint import Incoming, Route, raw_body, send_answer
from adapters.rest.message_sources import UploadLimits, source_of
from adapters.rest.uploading import Upload
from adapters.rest.upstream import CallFailed, Upstream


class ClientStreamEndpoint:
    """Answers the requests of one binding of a client-streaming RPC."""

    def __init__(self, route: Route, limits: UploadLimits) -> None:
        """Take the compiled binding and how much a body may bring."""
        self.binder = route.binder
        self.streams_in = True
        self.marks = route.answer.marks
        self._route = route
        self._limits = limits
        self._raw = raw_body(route.method, route.shaper)
        self._method: Any = None

    def connect(self, upstream: Upstream) -> None:
        """Take what calls the RPC."""
        self._method = upstream.method(self._route.method)

    async def answer(self, incoming: Incoming) -> None:
        """Send the body's messages to the upstream, and its answer or its error to the client, as soon as it comes.

        Raises:
            Failure: a value does not fit the RPC.
            CallFailed: the upstream refused.
            ClientGone: the client left; the call is cancelled.
        """
        caller = incoming.caller
        source = source_of(incoming, self.binder, self._limits)
        call = self._method.stream(caller.metadata, caller.timeout)
        upload = Upload(incoming.receive, call, source, reports=True)
        try:
            response = await call.answer()
            headers, trailers = await call.headers(), await call.trailers()
        except CallFailed:
            if upload.failure is not None:
                raise upload.failure from None
            if upload.gone:
                raise ClientGone from None
            raise
        finally:
            upload.stop()
            call.cancel()
        await send_answer(self._route, incoming, response, self._raw, headers, trailers)
