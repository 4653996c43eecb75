"""A page that is too large for a client with gRPC's default limit ends early, and loses nothing."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from parley.conversations.v1 import message_service_pb2 as pb
from parley.conversations.v1.message_pb2 import Message

from services.chassis.interceptors.page_limit import MAX_PAGE_BYTES, limited_page

_CLIENT_BYTES = 4 * 1024 * 1024


class _Listing:
    """Serves ListMessages over rows of given sizes; a token is the number of the next row."""

    def __init__(self, sizes: list[int]) -> None:
        self.texts = ["x" * size for size in sizes]
        self.served: list[int] = []

    async def serve(self, request: Any, _context: Any) -> pb.ListMessagesResponse:
        self.served.append(request.page_size)
        first = int(request.page_token or 0)
        last = first + request.page_size
        rows = [Message(id=str(first + index), text=text) for index, text in enumerate(self.texts[first:last])]
        return pb.ListMessagesResponse(messages=rows, next_page_token=str(last) if last < len(self.texts) else "")


async def _pages(listing: _Listing, size: int) -> list[pb.ListMessagesResponse]:
    pages, token = [], ""
    for _ in range(len(listing.texts) + 1):
        request = pb.ListMessagesRequest(page_size=size, page_token=token)
        pages.append(await limited_page(listing.serve, request, None))
        token = pages[-1].next_page_token
        if not token:
            break
    return pages


@given(
    st.lists(st.sampled_from([0, 10, 32 * 1024, 400_000, MAX_PAGE_BYTES // 2, MAX_PAGE_BYTES - 200]), max_size=40),
    st.sampled_from([1, 7, 1000]),
)
@settings(max_examples=40)
async def test_pages_are_readable_and_hold_every_row_once(sizes: list[int], size: int) -> None:
    pages = await _pages(_Listing(sizes), size)
    assert [message.id for page in pages for message in page.messages] == [str(index) for index in range(len(sizes))]
    assert all(page.ByteSize() < _CLIENT_BYTES for page in pages)
    assert all(page.messages for page in pages[:-1])


async def test_a_page_is_as_long_as_fits() -> None:
    listing = _Listing([32 * 1024] * 600)
    pages = await _pages(listing, 1000)
    assert len(pages) == 5
    assert listing.served[:2] == [1000, len(pages[0].messages)]


async def test_a_row_that_is_larger_than_a_page_is_returned_alone() -> None:
    pages = await _pages(_Listing([10, MAX_PAGE_BYTES + 1, 10]), 1000)
    assert [len(page.messages) for page in pages] == [1, 1, 1]


@pytest.mark.parametrize("size", [1, MAX_PAGE_BYTES * 2])
async def test_what_is_no_list_is_served_once(size: int) -> None:
    served = []

    async def serve(request: Any, _context: Any) -> Any:
        served.append(request)
        return pb.SendMessageResponse(message=Message(text=request.text))

    await limited_page(serve, pb.SendMessageRequest(text="x" * size), None)
    assert len(served) == 1
