"""Where an OpenAI-compatible server is, and the client for it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from services.inference.backends.bounded_body import bound_body

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_CONNECT_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server: its URL up to and with `/v1`, the key for it, and whether it is a process of ours on this machine."""

    base_url: str
    api_key: str
    is_ours: bool = False

    def __repr__(self) -> str:
        return f"Endpoint({self.base_url})"


class OpenAIConnection:
    """Keeps one pooled client for as long as the endpoint stays the same.

    `find_endpoint` may start the server; it raises ModelUnavailable. The SDK is imported with the first request: it
    takes most of a second and about 20 MB, which a process with the scripted model does not pay. `look_again` makes
    the next endpoint's key a fresh one.
    """

    def __init__(
        self,
        find_endpoint: Callable[[], Awaitable[Endpoint]],
        look_again: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._find_endpoint = find_endpoint
        self._look_again = look_again
        self._endpoint: Endpoint | None = None
        self._client: AsyncOpenAI | None = None

    async def client(self) -> "AsyncOpenAI":
        """Return the client, made anew when the server has moved."""
        endpoint = await self._find_endpoint()
        await asyncio.to_thread(import_module, "openai.resources.chat.completions")
        if self._client is None or endpoint != self._endpoint:
            # The client before it is not closed: answers may still be streaming on it. They hold it until they end.
            self._endpoint, self._client = endpoint, _new_client(endpoint)
        return self._client

    async def client_after_refusal(self) -> "AsyncOpenAI | None":
        """Return a client with a key that was set since; None when the key is still the one that was refused."""
        if self._look_again is None:
            return None
        refused = self._endpoint
        await self._look_again()
        client = await self.client()
        return client if self._endpoint != refused else None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()
            self._client = None


def _new_client(endpoint: Endpoint) -> "AsyncOpenAI":
    import httpx2
    import openai

    # A redirect would take the prompt, and its answer, to somebody who was not named.
    options: dict[str, Any] = {
        "trust_env": True,
        "follow_redirects": False,
        "event_hooks": {"response": [bound_body]},
        "headers": {"accept-encoding": "identity"},
    }
    if endpoint.is_ours:
        # A proxy of the environment must not come between us and a process on this machine. That closes connections
        # after a few idle seconds, which a request on one of them would not outlive; a new one costs nothing here.
        options |= {"trust_env": False, "limits": httpx2.Limits(max_keepalive_connections=0)}
    return openai.AsyncOpenAI(
        base_url=endpoint.base_url,
        # The SDK insists on a key; servers without keys take any.
        api_key=endpoint.api_key or "none",
        # How long an answer may take is not the transport's business; see OpenAIChatModel.
        timeout=httpx2.Timeout(None, connect=_CONNECT_SECONDS),
        # Whoever asks for an answer tries again: tries would multiply, and each may be paid.
        max_retries=0,
        http_client=openai.DefaultAsyncHttpxClient(**options),
    )
