"""Calls tools that are HTTP requests."""

from collections.abc import Mapping
from typing import Any

import httpx2

from services.tools.backends.egress_guard import EgressGuard
from services.tools.backends.guarded_http import AnswerEncoded, AnswerTooLarge, guarded_client
from services.tools.backends.http_content import body_of, in_headers
from services.tools.errors import ArgumentsInvalid
from services.tools.ports import CallFailed
from services.tools.rules import Answer, HttpSource, Source
from services.tools.rules.placing import placed

_PASSING = (408, 425, 429, 500, 502, 503, 504)
# Whoever answers these does not know whether somebody behind them has done it.
_GATEWAYS = (502, 504)
# Certainly refused before anything was done.
_REFUSED = (425, 429)
_SHOWN_CHARACTERS = 500


class HttpCaller:
    """Implements the port Caller for HttpSource."""

    def __init__(self, guard: EgressGuard, max_answer_bytes: int) -> None:
        self._guard = guard
        self._max_answer_bytes = max_answer_bytes

    async def call(
        self, source: Source, arguments: Mapping[str, Any], headers: Mapping[str, str], seconds: float
    ) -> Answer:
        """See the port. An answer other than 2xx fails; a redirect is an answer other than 2xx."""
        assert isinstance(source, HttpSource)  # noqa: S101 - chosen by the type of the source
        in_header, others = in_headers(source, arguments)
        try:
            url, left = placed(source, others)
        except ArgumentsInvalid as wrong:
            raise CallFailed("ARGUMENTS_INVALID", wrong.message, done=False) from None
        body, kind = body_of(source, left)
        # Looked at here too, although the connection is guarded: it says more, and secrets are kept off plain HTTP.
        secret = any(name.lower() != "idempotency-key" for name in headers)
        await self._guard.check_url(url, has_secrets=secret)
        # What stands later wins: no argument takes the place of a secret.
        sent = httpx2.Headers(kind)
        for later in (in_header, dict(source.headers), headers):
            sent.update(later)
        async with guarded_client(self._guard, self._max_answer_bytes, sent, seconds) as client:
            try:
                request = client.build_request(source.method, url, content=body)
            except (httpx2.InvalidURL, ValueError, TypeError):
                raise CallFailed("ARGUMENTS_INVALID", "the request cannot be made", done=False) from None
            response = await self._sent(client, request)
        if not response.is_success:
            raise _refused(response)
        return Answer(response.text)

    async def _sent(self, client: httpx2.AsyncClient, request: httpx2.Request) -> httpx2.Response:
        try:
            return await client.send(request)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
            raise CallFailed("UNREACHABLE", "the server cannot be reached", done=False, passing=True) from None
        except (httpx2.LocalProtocolError, httpx2.UnsupportedProtocol):
            raise CallFailed("ARGUMENTS_INVALID", "the request cannot be made", done=False) from None
        except AnswerTooLarge:
            text = f"the answer has more than {self._max_answer_bytes} bytes"
            raise CallFailed("ANSWER_TOO_LARGE", text, done=True) from None
        except AnswerEncoded:
            raise CallFailed("ANSWER_INVALID", "the answer is compressed", done=True) from None
        except httpx2.TimeoutException:
            raise CallFailed("TIMEOUT", "the answer did not come in time", done=None, passing=True) from None
        except (httpx2.HTTPError, httpx2.InvalidURL):
            raise CallFailed("UNREACHABLE", "the connection broke off", done=None, passing=True) from None


def _refused(response: httpx2.Response) -> CallFailed:
    status = response.status_code
    text = f"the server answered {status}: {response.text[:_SHOWN_CHARACTERS]}"
    done = None if status in _GATEWAYS else status not in _REFUSED
    return CallFailed("STATUS", text, done=done, passing=status in _PASSING)
