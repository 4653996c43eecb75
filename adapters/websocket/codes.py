"""The codes of the protocol, as Centrifugo uses them, and the exceptions that carry them."""

from typing import NamedTuple


class Refusal(Exception):
    """A command fails; the connection lives on. The client sees the code, the message and whether to try again."""

    def __init__(self, code: int, message: str, *, temporary: bool = False) -> None:
        """Take what the client sees."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.temporary = temporary


class Disconnect(NamedTuple):
    """Why the server ends a connection. Clients come back after 3000-3499, and stay away after 3500-3999."""

    code: int
    reason: str


class Disconnected(Exception):
    """The connection must end."""

    def __init__(self, why: Disconnect) -> None:
        """Take the reason."""
        super().__init__(why.reason)
        self.why = why


class Unsubscribe(NamedTuple):
    """Why the server ends a subscription. Clients subscribe again after 2500 and more."""

    code: int
    reason: str


SHUTDOWN = Disconnect(3001, "shutdown")
SERVER_ERROR = Disconnect(3004, "internal server error")
EXPIRED = Disconnect(3005, "connection expired")
SLOW = Disconnect(3008, "slow")
NO_PONG = Disconnect(3012, "no pong")
INVALID_TOKEN = Disconnect(3500, "invalid token")
BAD_REQUEST = Disconnect(3501, "bad request")
STALE = Disconnect(3502, "stale")
CONNECTION_LIMIT = Disconnect(3504, "connection limit")

RUN_ENDED = Unsubscribe(2000, "the run has ended")
NO_LONGER_PERMITTED = Unsubscribe(2001, "permission denied")
BROKEN_OFF = Unsubscribe(2500, "insufficient state")


def internal() -> Refusal:
    """Return the refusal of what went wrong on our side; the client tries again."""
    return Refusal(100, "internal server error", temporary=True)


def unknown_channel() -> Refusal:
    """Return the refusal of a channel whose name means nothing."""
    return Refusal(102, "unknown channel")


def permission_denied() -> Refusal:
    """Return the refusal of a channel that does not exist for this caller."""
    return Refusal(103, "permission denied")


def method_not_found() -> Refusal:
    """Return the refusal of an RPC that cannot be called here."""
    return Refusal(104, "method not found")


def already_subscribed() -> Refusal:
    """Return the refusal of a second subscription to a channel."""
    return Refusal(105, "already subscribed")


def limit_exceeded() -> Refusal:
    """Return the refusal of one subscription too many."""
    return Refusal(106, "limit exceeded")


def not_available() -> Refusal:
    """Return the refusal of a command that this server does not know."""
    return Refusal(108, "not available")


def token_expired() -> Refusal:
    """Return the refusal of a token whose time is over; the client gets a new one."""
    return Refusal(109, "token expired")


def too_many_requests() -> Refusal:
    """Return the refusal of a call while too many are under way."""
    return Refusal(111, "too many requests", temporary=True)


def too_large(limit: int) -> Refusal:
    """Return the refusal of a request that takes more bytes than its RPC allows, with gRPC's code for it."""
    return Refusal(8, f"the request is larger than {limit} bytes")
