"""FastAPI as the host of the gateway: it keeps the docs and the health pages, everything else goes past it."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi import FastAPI, Request, Response

from adapters.rest.asgi import Receive, Scope, Send
from adapters.rest.gateway import Gateway

_PAGE_METHODS = ("GET", "HEAD")
Page = Callable[[Request], Awaitable[Response]]


class RestApplication(FastAPI):
    """FastAPI with the gateway before its router, so that a call costs none of FastAPI's per-request work."""

    def __init__(self, gateway: Gateway, pages: Mapping[str, Page], **options: Any) -> None:
        """Take the gateway, the pages by path, and FastAPI's options. An RPC that has a page's path wins."""
        super().__init__(openapi_url=None, docs_url=None, redoc_url=None, **options)
        self.gateway = gateway
        hosted = {path: page for path, page in pages.items() if not gateway.serves("GET", path)}
        for path, page in hosted.items():
            self.add_route(path, page, methods=["GET"], include_in_schema=False)
        self._hosted = frozenset(hosted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "http" and (scope["path"] not in self._hosted or scope["method"] not in _PAGE_METHODS):
            await self.gateway(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
