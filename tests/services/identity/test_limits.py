"""Trying passwords too often, what a refused try costs, and asking for codes."""

from typing import cast

import pytest

from services.identity.errors import InvalidCredentials, TooManyAttempts
from services.identity.operations.keep_passwords import KeepPasswords
from services.identity.operations.verify_email import VerifyEmail
from services.identity.ports.accounts import Codes
from services.identity.ports.directory import Directory, UserDirectory
from tests.services.identity.house import PASSWORD, House


async def test_beyond_the_limit_no_password_is_looked_at(house: House) -> None:
    await house.ann()
    for login in ("ann", "nobody"):
        for _ in range(5):
            with pytest.raises(InvalidCredentials):
                await house.sign_in(login, "wrong")
        with pytest.raises(TooManyAttempts) as refused:
            await house.sign_in(login, PASSWORD)
        assert refused.value.retry_after_seconds == 900
    # Known or not: each try within the limit cost one look at a hash, each one beyond it none.
    assert len(house.hasher.checks) == 10


async def test_a_refused_login_is_recorded_without_what_was_typed(house: House) -> None:
    user = await house.ann()
    for login in ("ann", "nobody"):
        with pytest.raises(InvalidCredentials):
            await house.sign_in(login, "a password typed wrong")
    known, unknown = house.audit.events[-2:]
    assert (known.subject_id, known.outcome) == (str(user.user_id), "INVALID_CREDENTIALS")
    assert (unknown.subject_id, unknown.outcome) == ("", "INVALID_CREDENTIALS")
    assert "nobody" not in repr(house.audit.events)
    assert "typed wrong" not in repr(house.audit.events)


async def test_asking_for_a_code_looks_nobody_up(house: House) -> None:
    # There is no directory to look into: so the work is the same whoever is asked for, and cannot be timed.
    nobody = cast("Directory", None)
    passwords = KeepPasswords(nobody, cast("Codes", None), house.mails, house.ending, house.limits, house.journal)
    emails = VerifyEmail(cast("UserDirectory", None), cast("Codes", None), house.mails, house.limits, house.journal)
    await passwords.forget("a@example.com")
    await emails.resend("b@example.com")
    assert house.mails.asked == [("reset-password", "a@example.com"), ("verify-email", "b@example.com")]
    assert house.hasher.checks == []
