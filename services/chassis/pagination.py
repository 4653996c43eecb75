"""Pages of a list (AIP-158): keyset, with opaque signed tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer

from services.chassis.errors import InvalidFields

T = TypeVar("T")
DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000
HEAVY_PAGE_SIZE = 200
"""The most rows of a list whose rows may hold hundreds of kilobytes: a page of them has to fit into memory."""


def page_size(requested: int, most: int = MAX_PAGE_SIZE) -> int:
    """Return how many rows a page has: 0 means the default, too many means the most. Negative sizes never get here."""
    return min(requested or DEFAULT_PAGE_SIZE, most)


class PageTokens:
    """Signs and reads page tokens. A token says where a list goes on; it gives no right to read it."""

    def __init__(self, secret: str) -> None:
        self._serializer = URLSafeSerializer(secret, salt="page-token")

    def asked(self, list_name: str, size: int, token: str, most: int = MAX_PAGE_SIZE) -> "AskedPage":
        """Return the page that a request asks for, with `most` rows at most. Raises InvalidFields as `read`."""
        return AskedPage(self, list_name, self.read(list_name, token), page_size(size, most))

    def sign(self, list_name: str, last_key: str) -> str:
        """Return the token for the page after `last_key`. `list_name` names the list with its filters."""
        token = self._serializer.dumps([list_name, last_key])
        return token if isinstance(token, str) else token.decode()

    def read(self, list_name: str, token: str) -> str:
        """Return the last key of the page before, empty for the first page.

        Raises:
            InvalidFields: the token is not ours, or is of another list.
        """
        if not token:
            return ""
        try:
            name, last_key = self._serializer.loads(token)
        except (BadSignature, ValueError, TypeError):
            name, last_key = "", ""
        if name != list_name:
            raise InvalidFields([("page_token", "is not a token of this list")])
        return str(last_key)


@dataclass(frozen=True, slots=True)
class AskedPage:
    """A page that a request asks for: load `count` rows after `last`, then `of` makes the page of them."""

    tokens: PageTokens
    list_name: str
    last: str
    """The key of the last row before; empty for the first page."""
    size: int

    @property
    def last_id(self) -> UUID | None:
        """The last row before, in a list whose keys are ids."""
        return UUID(self.last) if self.last else None

    @property
    def count(self) -> int:
        """How many rows to load: one more than are shown, which tells whether there is a next page."""
        return self.size + 1

    def of(self, found: Sequence[T], key_of: Callable[[T], object]) -> tuple[Sequence[T], str]:
        """Return the page and the token of the next one, which is empty on the last."""
        page = found[: self.size]
        more = len(found) > self.size
        return page, self.tokens.sign(self.list_name, str(key_of(page[-1]))) if more else ""
