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


@pytest.mark.parametrize(
    "spelled",
    [
        "Ann",
        "ANN ",
        "ａｎｎ",
        "a\u00adnn",
        "ann@example.com",
        "ANN@Example.COM",
        "ann@ｅxample．com",
        "ann@example.com.",
    ],
)
async def test_an_account_has_one_count_however_it_is_spelled(house: House, spelled: str) -> None:
    await house.ann()
    for login in ("ann", spelled, "ann@example.com", "ANN", "\tAnn@Example.com"):
        with pytest.raises(InvalidCredentials):
            await house.sign_in(login, "wrong")
    for login in (spelled, "ann"):
        with pytest.raises(TooManyAttempts):
            await house.sign_in(login, PASSWORD)


@pytest.mark.parametrize("spelled", ["Ann", "ａｎｎ", "ann@example.com"])
async def test_a_right_password_begins_the_count_of_the_account_anew(house: House, spelled: str) -> None:
    await house.ann()
    for _ in range(3):
        for _ in range(4):
            with pytest.raises(InvalidCredentials):
                await house.sign_in("ann", "wrong")
        await house.sign_in(spelled)


async def test_an_address_has_one_count_of_mails_however_it_is_spelled(house: House) -> None:
    for spelled in ("a@bücher.test", "A@xn--bcher-kva.test", "a@bu\u0308cher.test"):
        await house.limits.of_mails(spelled)
    with pytest.raises(TooManyAttempts):
        await house.limits.of_mails("ａ@BÜCHER.test")


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
    passwords = KeepPasswords(
        nobody,
        cast("Codes", None),
        house.mails,
        house.ending,
        house.ending_keys,
        house.taking_over,
        house.limits,
        house.journal,
    )
    emails = VerifyEmail(cast("UserDirectory", None), cast("Codes", None), house.mails, house.limits, house.journal)
    await passwords.forget("a@example.com")
    await emails.resend("b@example.com")
    assert house.mails.asked == [("reset-password", "a@example.com"), ("verify-email", "b@example.com")]
    assert house.hasher.checks == []
