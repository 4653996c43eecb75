"""Signing in, refreshing and signing out."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from unicodedata import normalize

import pytest

from services.chassis.errors import SessionCheckUnavailable
from services.identity.errors import InvalidCredentials, InvalidRefreshToken, RefreshTokenReused
from tests.services.identity.house import ACCESS, PASSWORD, REFRESH, House


async def test_the_access_token_says_who_it_is(house: House) -> None:
    user = await house.ann()
    pair = await house.sign_in()
    claims = house.signer.claims[pair.access_token]
    assert claims["sub"] == str(user.user_id)
    assert claims["realm_access"] == {"roles": ["user"]}
    assert (claims["iss"], claims["aud"], claims["typ"]) == ("https://issuer", "parley", "Bearer")
    assert (claims["preferred_username"], claims["email"]) == ("Ann", "Ann@Example.com")
    assert claims["exp"] == int((house.clock.now + ACCESS).timestamp())
    assert "organization" not in claims
    assert pair.expires_in == ACCESS.total_seconds()


@pytest.mark.parametrize("login", ["ann", "ANN", "ann@example.com", "  ANN@EXAMPLE.COM "])
async def test_address_and_username_sign_in_without_regard_to_case(house: House, login: str) -> None:
    await house.ann()
    assert (await house.sign_in(login)).access_token


async def test_every_refused_login_is_refused_alike_after_the_same_work(house: House) -> None:
    user = await house.ann()
    refusals = []
    for login, password, is_active in (("nobody", PASSWORD, True), ("ann", "wrong", True), ("ann", PASSWORD, False)):
        house.transactions.change_user(user.user_id, is_active=is_active)
        with pytest.raises(InvalidCredentials) as caught:
            await house.sign_in(login, password)
        refusals.append((str(caught.value), caught.value.fields))
    assert refusals[0] == refusals[1] == refusals[2]
    assert house.hasher.checks == [None, f"new:{PASSWORD}", f"new:{PASSWORD}"]
    assert house.transactions.state.sessions == {}


async def test_a_password_counts_however_its_accents_are_spelled(house: House) -> None:
    composed, decomposed = (normalize(form, "tiếng Việt nhé") for form in ("NFC", "NFD"))
    await house.registering.register("a@example.com", "tieng", composed, "")
    assert composed != decomposed
    assert await house.sign_in("tieng", decomposed)


async def test_an_outdated_hash_is_made_anew_at_a_successful_login_only(house: House) -> None:
    user = await house.ann()
    stored = house.transactions.state.users
    stored[user.user_id] = replace(stored[user.user_id], password_hash=f"old:{PASSWORD}")
    with pytest.raises(InvalidCredentials):
        await house.sign_in(password="wrong")
    assert house.transactions.state.users[user.user_id].password_hash == f"old:{PASSWORD}"
    await house.sign_in()
    assert house.transactions.state.users[user.user_id].password_hash == f"new:{PASSWORD}"


async def test_refresh_tokens_are_kept_as_their_hash_only(house: House) -> None:
    await house.ann()
    pair = await house.sign_in()
    assert len(pair.refresh_token) >= 43
    assert pair.refresh_token not in repr(house.transactions.state)
    assert pair.refresh_token not in repr(pair)


async def test_a_refresh_stays_in_its_session_and_lengthens_it(house: House) -> None:
    await house.ann()
    first = await house.sign_in()
    house.clock.advance(days=6)
    second = await house.refreshing.refresh(first.refresh_token)
    house.clock.advance(days=6)
    third = await house.refreshing.refresh(second.refresh_token)
    assert house.session_of(first) == house.session_of(second) == house.session_of(third)
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3


async def test_reuse_ends_the_session_although_it_fails(house: House) -> None:
    await house.ann()
    first = await house.sign_in()
    other = await house.sign_in()
    second = await house.refreshing.refresh(first.refresh_token)
    with pytest.raises(RefreshTokenReused):
        await house.refreshing.refresh(first.refresh_token)
    assert house.ended.announced == [house.session_of(first)]
    with pytest.raises(InvalidRefreshToken):
        await house.refreshing.refresh(second.refresh_token)
    assert await house.refreshing.refresh(other.refresh_token)


async def test_of_two_refreshes_at_once_one_wins(house: House) -> None:
    await house.ann()
    pair = await house.sign_in()
    results = await asyncio.gather(
        *(house.refreshing.refresh(pair.refresh_token) for _ in range(2)), return_exceptions=True
    )
    assert sorted(type(one).__name__ for one in results) == ["RefreshTokenReused", "TokenPair"]


async def test_unknown_expired_and_disabled_get_nothing(house: House) -> None:
    user = await house.ann()
    pair = await house.sign_in()
    with pytest.raises(InvalidRefreshToken):
        await house.refreshing.refresh("unknown")
    house.transactions.change_user(user.user_id, is_active=False)
    with pytest.raises(InvalidRefreshToken):
        await house.refreshing.refresh(pair.refresh_token)
    house.transactions.change_user(user.user_id, is_active=True)
    house.clock.now += REFRESH
    with pytest.raises(InvalidRefreshToken):
        await house.refreshing.refresh(pair.refresh_token)


async def test_signing_out_ends_the_session(house: House) -> None:
    await house.ann()
    pair = await house.sign_in()
    await house.sign_out(house.session_of(pair))
    assert house.ended.announced == [house.session_of(pair)]
    with pytest.raises(InvalidRefreshToken):
        await house.refreshing.refresh(pair.refresh_token)


async def test_signing_out_without_valkey_fails_and_can_be_tried_again(house: House) -> None:
    await house.ann()
    pair = await house.sign_in()
    house.ended.away = True
    with pytest.raises(SessionCheckUnavailable):
        await house.sign_out(house.session_of(pair))
    with pytest.raises(SessionCheckUnavailable):
        await house.refreshing.refresh(pair.refresh_token)
    house.ended.away = False
    await house.sign_out(house.session_of(pair))
    assert house.ended.announced == [house.session_of(pair)]


async def test_reuse_without_valkey_still_ends_the_session(house: House) -> None:
    await house.ann()
    first = await house.sign_in()
    second = await house.refreshing.refresh(first.refresh_token)
    house.ended.away = True
    with pytest.raises(SessionCheckUnavailable):
        await house.refreshing.refresh(first.refresh_token)
    house.ended.away = False
    with pytest.raises(InvalidRefreshToken):
        await house.refreshing.refresh(second.refresh_token)
    assert house.ended.announced == [house.session_of(first)]


async def test_the_session_of_another_issuer_can_be_ended(house: House) -> None:
    await house.ann()
    await house.sign_out("not-a-uuid")
    assert house.ended.announced == ["not-a-uuid"]


async def test_tidying_announces_again_and_forgets(house: House) -> None:
    await house.ann()
    pair = await house.sign_in()
    await house.sign_out(house.session_of(pair))
    await house.ending.tidy()
    assert house.ended.announced == [house.session_of(pair)] * 2
    house.clock.now += ACCESS + timedelta(seconds=1)
    await house.ending.tidy()
    assert len(house.ended.announced) == 2
    house.clock.now += REFRESH + timedelta(days=3)
    await house.ending.tidy()
    assert house.transactions.state.sessions == {}
    assert house.transactions.state.tokens == {}


async def test_a_password_that_was_replaced_while_it_was_checked_opens_no_session(house: House) -> None:
    """Whoever knows the old password may sign in again and again while the account is recovered."""
    user = await house.ann()
    check = house.hasher.matches

    async def checked_slowly(password: str, password_hash: str | None) -> bool:
        matches = await check(password, password_hash)
        await house.directory_users.set_password(user.user_id, "staple battery correct")
        await house.sessions.end_all(user.user_id)
        return matches

    house.hasher.matches = checked_slowly  # type: ignore[method-assign]
    with pytest.raises(InvalidCredentials):
        await house.sign_in()
    assert await house.sessions.of_user(user.user_id) == []
