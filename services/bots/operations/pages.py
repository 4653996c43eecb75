"""Pages of what an owner has, the last made first."""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar
from uuid import UUID

from services.chassis.pagination import PageTokens, page_size

T = TypeVar("T")


async def page_by_id(
    tokens: PageTokens,
    name: str,
    size: int,
    token: str,
    load: Callable[[UUID | None, int], Awaitable[list[T]]],
    id_of: Callable[[T], UUID],
) -> tuple[Sequence[T], str]:
    """Return a page and the token of the next one. `load` takes the id to go on from and how many are wanted.

    Raises InvalidFields when the token is not of the list `name`.
    """
    last = tokens.read(name, token)
    size = page_size(size)
    found = await load(UUID(last) if last else None, size + 1)
    page = found[:size]
    return page, tokens.sign(name, str(id_of(page[-1]))) if len(found) > size else ""
