"""Bodies of a provider, which is a stranger: the SDK reads refusals whole, decompressed and in any codec."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from httpx2 import Response

_MOST_REFUSAL_BYTES = 64 * 1024
_MOST_COMPRESSED_REFUSAL_BYTES = 8 * 1024
_STEP_BYTES = 4 * 1024
_PLAIN = ("", "identity")
_ENCODINGS = (*_PLAIN, "gzip", "deflate")


async def bound_body(response: "Response") -> None:
    """Let of a refusal only the beginning be read, as UTF-8, and let no step of decompression take much memory.

    Raises DecodingError for encodings that we did not ask for and whose results have no bound: several at once.
    """
    import httpx2

    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding not in _ENCODINGS:
        raise httpx2.DecodingError("an encoding that nobody asked for", request=response.request)
    if response.is_success and encoding in _PLAIN:
        return
    response.encoding = "utf-8"
    most = None
    if not response.is_success:
        most = _MOST_REFUSAL_BYTES if encoding in _PLAIN else _MOST_COMPRESSED_REFUSAL_BYTES
    body = response.stream

    class Beginning(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            left = most
            async for piece in body:  # type: ignore[union-attr]
                told = piece if left is None else piece[:left]
                for at in range(0, len(told), _STEP_BYTES):
                    yield told[at : at + _STEP_BYTES]
                if left is not None:
                    left -= len(told)
                    if not left:
                        return

        async def aclose(self) -> None:
            await body.aclose()  # type: ignore[union-attr]

    response.stream = Beginning()
