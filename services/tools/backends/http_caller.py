"""Calls tools that are HTTP requests."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx2

from services.tools.backends.egress_guard import EgressGuard
from services.tools.backends.guarded_http import AnswerEncoded, AnswerTooLarge, guarded_client
from services.tools.backends.http_content import body_of, in_headers
from services.tools.ports import CallFailed
from services.tools.rules import HttpSource, Source, filled_url, path_arguments

_WITHOUT_BODY = ("GET", "DELETE")
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
    ) -> str:
        """See the port. An answer other than 2xx fails; a redirect is an answer other than 2xx."""
        assert isinstance(source, HttpSource)  # noqa: S101 - chosen by the type of the source
        in_header, others = in_headers(source, arguments)
        url, query, left = _placed(source, others)
        body, kind = body_of(source, left)
        # Looked at here too, although the connection is guarded: it says more, and secrets are kept off plain HTTP.
        secret = any(name.lower() != "idempotency-key" for name in headers)
        await self._guard.check_url(url, has_secrets=secret)
        # What stands later wins: no argument takes the place of a secret.
        sent = httpx2.Headers({**kind, **in_header})
        sent.update(dict(source.headers))
        sent.update(headers)
        async with guarded_client(self._guard, self._max_answer_bytes, sent, seconds) as client:
            try:
                response = await client.request(source.method, url, params=query or None, content=body)
            except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout):
                raise CallFailed("UNREACHABLE", "the server cannot be reached", done=False, passing=True) from None
            except AnswerTooLarge:
                text = f"the answer has more than {self._max_answer_bytes} bytes"
                raise CallFailed("ANSWER_TOO_LARGE", text, done=True) from None
            except AnswerEncoded:
                raise CallFailed("ANSWER_INVALID", "the answer is compressed", done=True) from None
            except httpx2.TimeoutException:
                raise CallFailed("TIMEOUT", "the answer did not come in time", done=None, passing=True) from None
            except (httpx2.HTTPError, httpx2.InvalidURL):
                raise CallFailed("UNREACHABLE", "the connection broke off", done=None, passing=True) from None
        if not response.is_success:
            raise _refused(response)
        return response.text


def _placed(source: HttpSource, arguments: Mapping[str, Any]) -> tuple[str, dict[str, str], dict[str, Any] | None]:
    """Return the URL, the query and the JSON body of a request, or no body where there is none."""
    left = dict(arguments)
    in_path = {name: quote(_text(left.pop(name, "")), safe="") for name in path_arguments(source.url)}
    if any(value in ("", ".", "..") for value in in_path.values()):
        # Else an argument would choose another path than the one that the owner wrote.
        raise CallFailed("ARGUMENTS_INVALID", "an argument in the path is empty or made of dots", done=False)
    names = list(left) if source.method in _WITHOUT_BODY else [name for name in source.query if name in left]
    query = {name: _text(left.pop(name)) for name in names}
    return filled_url(source.url, in_path), query, None if source.method in _WITHOUT_BODY else left


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _refused(response: httpx2.Response) -> CallFailed:
    status = response.status_code
    text = f"the server answered {status}: {response.text[:_SHOWN_CHARACTERS]}"
    done = None if status in _GATEWAYS else status not in _REFUSED
    return CallFailed("STATUS", text, done=done, passing=status in _PASSING)
