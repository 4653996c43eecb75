"""Of what users are told by mail, and in which words."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from uuid import UUID

from services.identity.rules.accounts import AuditEvent

PASSWORD_CHANGED = "password_changed"  # noqa: S105 - no password
PASSWORD_RESET = "password_reset"  # noqa: S105 - no password
API_KEY_CREATED = "api_key_created"
SESSIONS_ENDED = "sessions_ended"
PAYMENT_RECEIVED = "payment_received"
_OK = "OK"
_REASONS = {"user.disable": "disabled", "role.revoke": "role_revoked"}
_OF_SUBJECT = {
    "password.change": PASSWORD_CHANGED,
    "password.reset": PASSWORD_RESET,
    **dict.fromkeys(_REASONS, SESSIONS_ENDED),
}
_OF_ACTOR = {"api_key.create": API_KEY_CREATED, "api_key.rotate": API_KEY_CREATED}
_ENDED = {
    "": "You have been signed out everywhere.",
    "disabled": "An administrator has disabled your account. You have been signed out everywhere.",
    "role_revoked": "An administrator has changed your roles. You have been signed out everywhere; sign in again.",
}
_NOT_YOU = "If this was not you, set a new password at once and tell us."
_NOT_YOUR_KEY = "If this was not you, revoke it at once and set a new password."
_WAS_RESET = "A new password was set with a code that was sent to this address. You have been signed out everywhere."
# Currencies whose smallest unit is not a hundredth (ISO 4217).
_DECIMALS = {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something to tell a user: what kind of thing, and what its words need. It holds no secret."""

    user_id: UUID
    kind: str
    data: Mapping[str, str] = field(default_factory=dict)


def notice_of(event: AuditEvent) -> Notice | None:
    """Return what the user is told of something that was done; None when there is nothing to tell."""
    if event.outcome != _OK:
        return None
    if kind := _OF_SUBJECT.get(event.action):
        return _notice(event.subject_id, kind, reason=_REASONS.get(event.action))
    if kind := _OF_ACTOR.get(event.action):
        return _notice(event.actor_id, kind, key_prefix=event.details.get("prefix"))
    return None


def _notice(user_id: str, kind: str, **data: str | None) -> Notice | None:
    try:
        return Notice(UUID(user_id), kind, {name: value for name, value in data.items() if value})
    except ValueError:  # done by no user
        return None


def words_of(notice: Notice) -> tuple[str, str] | None:
    """Return the subject and the text of the mail about a notice; None when there are no words for its kind."""
    data = notice.data
    key = f", {data['key_prefix']}…," if data.get("key_prefix") else ""
    words = {
        PASSWORD_CHANGED: ("Your password was changed", f"Your password was changed.\n\n{_NOT_YOU}"),
        PASSWORD_RESET: ("Your password was reset", f"{_WAS_RESET}\n\n{_NOT_YOU}"),
        API_KEY_CREATED: (
            "An API key was made",
            f"An API key{key} was made. With it a program can act in your name.\n\n{_NOT_YOUR_KEY}",
        ),
        SESSIONS_ENDED: ("You have been signed out", _ENDED.get(data.get("reason", ""), _ENDED[""])),
        PAYMENT_RECEIVED: ("We have received your payment", f"We have received {_money(data)}. Thank you."),
    }
    return words.get(notice.kind)


def _money(data: Mapping[str, str]) -> str:
    amount, currency = data.get("amount", ""), data.get("currency", "")
    if not amount.isdigit() or not currency:
        return "your payment"
    decimals = _DECIMALS.get(currency, 2)
    whole, part = divmod(int(amount), 10**decimals)
    return f"{whole}.{part:0{decimals}d} {currency}" if decimals else f"{whole} {currency}"
