"""What an access token says about itself. It is not checked here: identity does that, and every service again."""

import base64
import binascii
import re
from dataclasses import dataclass

import orjson

_MAX_CHARACTERS = 8192
_SHAPE = re.compile(r"[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+")


class TokenMalformed(ValueError):
    """The text is no JSON Web Token that ends at a known time."""


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it was shown, when it ends in seconds since 1970, and of which session it is."""

    text: str
    expires_at: float
    session_id: str = ""

    def ttl(self, now: float) -> int:
        """Return for how many whole seconds it is good, at least one."""
        return max(1, int(self.expires_at - now))


def read_token(text: str) -> Token:
    """Return what a token says about itself.

    Raises:
        TokenMalformed: it is no token.
    """
    match = _SHAPE.fullmatch(text) if len(text) <= _MAX_CHARACTERS else None
    if match is None:
        raise TokenMalformed("no JSON Web Token")
    try:
        claims = orjson.loads(base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)))
    except (binascii.Error, orjson.JSONDecodeError):
        raise TokenMalformed("its claims cannot be read") from None
    expires_at = claims.get("exp") if isinstance(claims, dict) else None
    if isinstance(expires_at, bool) or not isinstance(expires_at, int | float):
        raise TokenMalformed("it has no end")
    return Token(text, float(expires_at), str(claims.get("sid", "")))
