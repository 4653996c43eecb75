"""Who is calling: known to every operation without being handed down by hand."""

from contextvars import ContextVar
from dataclasses import dataclass

SERVICE_PREFIX = "service:"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is calling, as the token says.

    `user_id` is empty for anonymous callers; `service` names the calling service when one of ours calls. An API key
    acts for its user, without the user's roles, where `scopes` let it; `session_id` is then the key's id.
    """

    user_id: str = ""
    session_id: str = ""
    organization_id: str = ""
    roles: frozenset[str] = frozenset()
    service: str = ""
    expires_at: int = 0
    api_key_id: str = ""
    scopes: frozenset[str] = frozenset()


ANONYMOUS = Caller()

_current: ContextVar[Caller] = ContextVar("caller", default=ANONYMOUS)


def current() -> Caller:
    """Return who called the RPC that runs now; ANONYMOUS outside of one."""
    return _current.get()


def enter(caller: Caller) -> None:
    """Make `caller` the current one for the rest of this RPC's task."""
    _current.set(caller)
