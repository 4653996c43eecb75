"""Pages of a list (AIP-158): keyset, with opaque signed tokens."""

from itsdangerous import BadSignature, URLSafeSerializer

from services.chassis.errors import InvalidFields

DEFAULT_PAGE_SIZE = 50
MAX_PAGE_SIZE = 1000


def page_size(requested: int) -> int:
    """Return how many rows a page has: 0 means the default, too many means the most. Negative sizes never get here."""
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


class PageTokens:
    """Signs and reads page tokens. A token says where a list goes on; it gives no right to read it."""

    def __init__(self, secret: str) -> None:
        self._serializer = URLSafeSerializer(secret, salt="page-token")

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
