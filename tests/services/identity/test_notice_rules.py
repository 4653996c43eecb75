"""Of what users are told, and how it is said."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from services.identity.rules.accounts import AuditEvent
from services.identity.rules.notices import Notice, notice_of, words_of

USER, OTHER = uuid4(), uuid4()


def done(action: str, outcome: str = "OK", actor: str = str(USER), **details: str) -> AuditEvent:
    return AuditEvent(uuid4(), datetime.now(UTC), actor, action, str(OTHER), "", "", outcome, details)


@pytest.mark.parametrize(
    ("event", "notice"),
    [
        (done("password.change"), Notice(OTHER, "password_changed")),
        (done("password.reset"), Notice(OTHER, "password_reset")),
        (done("api_key.create", prefix="pk_1", name="mine"), Notice(USER, "api_key_created", {"key_prefix": "pk_1"})),
        (done("api_key.rotate"), Notice(USER, "api_key_created")),
        (done("user.disable"), Notice(OTHER, "sessions_ended", {"reason": "disabled"})),
        (done("role.revoke", role="admin"), Notice(OTHER, "sessions_ended", {"reason": "role_revoked"})),
        (done("password.change", "INVALID_CREDENTIALS"), None),
        (done("user.login"), None),
        (done("api_key.create", actor=""), None),
    ],
    ids=lambda value: value.action if isinstance(value, AuditEvent) else "",
)
def test_users_are_told_of_what_was_done_to_their_accounts(event: AuditEvent, notice: Notice | None) -> None:
    assert notice_of(event) == notice


@pytest.mark.parametrize(
    ("amount", "currency", "said"),
    [
        ("1999", "EUR", "19.99 EUR"),
        ("5", "USD", "0.05 USD"),
        ("250000", "VND", "250000 VND"),
        ("1234", "KWD", "1.234 KWD"),
        ("much", "EUR", "your payment"),
        ("5", "", "your payment"),
    ],
)
def test_an_amount_is_said_in_its_currency(amount: str, currency: str, said: str) -> None:
    words = words_of(Notice(USER, "payment_received", {"amount": amount, "currency": currency}))
    assert words is not None
    assert f"received {said}." in words[1]


def test_a_kind_that_is_not_known_has_no_words() -> None:
    assert words_of(Notice(UUID(int=0), "lesson_due")) is None
