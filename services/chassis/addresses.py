"""URLs of stores and brokers whose password may change while a process runs: each new connection has the one of now."""

from typing import Any
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from pydantic import SecretStr
from redis.credentials import CredentialProvider

from services.chassis.secrets import LiveSecret

Url = str | SecretStr
"""A URL with its password; a LiveUrl has another one when that changes."""


class LiveUrl(SecretStr):
    """A URL that names a user, and a secret that is the user's password."""

    def __init__(self, bare: str, password: LiveSecret) -> None:
        super().__init__(bare)
        self._password = password

    def get_secret_value(self) -> str:
        """Return the URL with the password as it is now."""
        return with_password(super().get_secret_value(), self._password.now())


class ValkeyLogin(CredentialProvider):
    """Tells redis-py the user and the password of a URL for each new connection."""

    def __init__(self, url: Url) -> None:
        self._url = url

    def get_credentials(self) -> tuple[str, str]:
        """See CredentialProvider."""
        return login(self._url)

    async def get_credentials_async(self) -> tuple[str, str]:
        """See CredentialProvider."""
        return login(self._url)


def current(url: Url) -> str:
    """Return the URL with its password as it is now."""
    return url if isinstance(url, str) else url.get_secret_value()


def login(url: Url) -> tuple[str, str]:
    """Return the user and the password as they are now, empty where the URL has none."""
    parts = urlsplit(current(url))
    return unquote(parts.username or ""), unquote(parts.password or "")


def without_login(url: Url) -> str:
    """Return the URL without user and password."""
    parts = urlsplit(current(url))
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def with_password(url: str, password: str) -> str:
    """Return the URL with a password for the user whom it names, quoted."""
    parts = urlsplit(url)
    user, _, place = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{user.partition(':')[0]}:{quote(password, safe='')}@{place}"))


def lacks_password(url: str) -> bool:
    """Whether the URL names a user and no password."""
    parts = urlsplit(url)
    return bool(parts.username) and not parts.password


def valkey_options(url: Url) -> dict[str, Any]:
    """Return `url` and, for one that may change, `credential_provider`, as redis-py's pools take them."""
    if isinstance(url, LiveUrl):
        return {"url": without_login(url), "credential_provider": ValkeyLogin(url)}
    return {"url": current(url)}
