"""What the sessions of every Directory do."""

import asyncio
from typing import Any
from uuid import uuid4

import jwt
import pytest

from services.identity.errors import InvalidCredentials, InvalidRefreshToken, RefreshTokenReused
from services.identity.ports.directory import Directory
from services.identity.rules.sessions import TokenPair
from services.identity.rules.users import User
from tests.acceptance.identity.conftest import PASSWORD, newcomer


def claims_of(pair: TokenPair) -> dict[str, Any]:
    """Return what an access token says."""
    claims: dict[str, Any] = jwt.decode(pair.access_token, options={"verify_signature": False})
    return claims


@pytest.fixture
async def ann(directory: Directory) -> User:
    """Somebody who has registered."""
    return await directory.users.create(newcomer())


async def test_tokens_say_who_it_is_and_which_session(directory: Directory, ann: User) -> None:
    for login in (ann.username, ann.username.upper(), ann.email, ann.email.upper(), f" {ann.email} "):
        pair = await directory.sessions.sign_in(login, PASSWORD)
        claims = claims_of(pair)
        assert claims["sub"] == str(ann.user_id)
        assert claims["sid"]
        assert claims["typ"] == "Bearer"
        assert "user" in claims["realm_access"]["roles"]
        assert (claims["preferred_username"], claims["email"]) == (ann.username, ann.email)
        assert claims["aud"] == "parley" or "parley" in claims["aud"]
        assert abs(claims["exp"] - claims["iat"] - pair.expires_in) <= 1


async def test_every_refused_login_is_refused_alike(directory: Directory, ann: User) -> None:
    other = await directory.users.create(newcomer())
    await directory.users.set_active(other.user_id, is_active=False)
    refusals = []
    for login, password in ((f"nobody-{uuid4().hex}", PASSWORD), (ann.username, "wrong"), (other.username, PASSWORD)):
        with pytest.raises(InvalidCredentials) as refused:
            await directory.sessions.sign_in(login, password)
        refusals.append((str(refused.value), refused.value.fields))
    assert refusals[0] == refusals[1] == refusals[2]
    assert await directory.sessions.of_user(other.user_id) == []


async def test_a_refresh_stays_in_its_session_and_shows_new_roles(directory: Directory, ann: User) -> None:
    first = await directory.sessions.sign_in(ann.username, PASSWORD)
    await directory.users.grant_role(ann.user_id, "teacher")
    second = await directory.sessions.refresh(first.refresh_token)
    third = await directory.sessions.refresh(second.refresh_token)
    assert claims_of(first)["sid"] == claims_of(second)["sid"] == claims_of(third)["sid"]
    assert len({first.refresh_token, second.refresh_token, third.refresh_token}) == 3
    assert "teacher" in claims_of(second)["realm_access"]["roles"]


async def test_a_spent_refresh_token_ends_its_session(directory: Directory, ann: User) -> None:
    other = await directory.sessions.sign_in(ann.username, PASSWORD)
    first = await directory.sessions.sign_in(ann.username, PASSWORD)
    second = await directory.sessions.refresh(first.refresh_token)
    with pytest.raises(RefreshTokenReused) as reused:
        await directory.sessions.refresh(first.refresh_token)
    assert reused.value.session_id == claims_of(first)["sid"]
    assert reused.value.fields == {}
    with pytest.raises(InvalidRefreshToken):
        await directory.sessions.refresh(second.refresh_token)
    assert [one.session_id for one in await directory.sessions.of_user(ann.user_id)] == [claims_of(other)["sid"]]
    assert await directory.sessions.refresh(other.refresh_token)


async def test_of_refreshes_at_once_one_wins_at_most(directory: Directory, ann: User) -> None:
    pair = await directory.sessions.sign_in(ann.username, PASSWORD)
    racing = (directory.sessions.refresh(pair.refresh_token) for _ in range(4))
    results = await asyncio.gather(*racing, return_exceptions=True)
    winners = [one for one in results if isinstance(one, TokenPair)]
    assert len(winners) <= 1
    assert all(isinstance(one, TokenPair | RefreshTokenReused | InvalidRefreshToken) for one in results), results
    for winner in winners:
        with pytest.raises(InvalidRefreshToken):
            await directory.sessions.refresh(winner.refresh_token)


@pytest.mark.parametrize("what", ["nonsense", "", "a.b.c"])
async def test_what_is_no_refresh_token_refreshes_nothing(directory: Directory, what: str) -> None:
    with pytest.raises(InvalidRefreshToken):
        await directory.sessions.refresh(what)


async def test_an_access_token_refreshes_nothing(directory: Directory, ann: User) -> None:
    pair = await directory.sessions.sign_in(ann.username, PASSWORD)
    with pytest.raises(InvalidRefreshToken):
        await directory.sessions.refresh(pair.access_token)
    assert await directory.sessions.refresh(pair.refresh_token)


async def test_a_disabled_user_refreshes_no_more(directory: Directory, ann: User) -> None:
    pair = await directory.sessions.sign_in(ann.username, PASSWORD)
    disabled = await directory.users.set_active(ann.user_id, is_active=False)
    assert disabled is not None
    assert not disabled.is_active
    with pytest.raises(InvalidRefreshToken):
        await directory.sessions.refresh(pair.refresh_token)
    enabled = await directory.users.set_active(ann.user_id, is_active=True)
    assert enabled is not None
    assert enabled.is_active
    assert await directory.sessions.sign_in(ann.username, PASSWORD)


async def test_sessions_are_listed_the_last_begun_first(directory: Directory, ann: User) -> None:
    pairs = [await directory.sessions.sign_in(ann.username, PASSWORD) for _ in range(3)]
    listed = await directory.sessions.of_user(ann.user_id)
    assert {one.session_id for one in listed} == {claims_of(pair)["sid"] for pair in pairs}
    assert [one.created_at for one in listed] == sorted((one.created_at for one in listed), reverse=True)
    assert all(one.created_at <= one.used_at <= one.expires_at for one in listed)


async def test_one_session_ends_and_the_others_go_on(directory: Directory, ann: User) -> None:
    one, other = [await directory.sessions.sign_in(ann.username, PASSWORD) for _ in range(2)]
    assert await directory.sessions.end(ann.user_id, claims_of(one)["sid"])
    assert not await directory.sessions.end(ann.user_id, claims_of(one)["sid"])
    with pytest.raises(InvalidRefreshToken):
        await directory.sessions.refresh(one.refresh_token)
    assert [session.session_id for session in await directory.sessions.of_user(ann.user_id)] == [
        claims_of(other)["sid"]
    ]
    assert await directory.sessions.refresh(other.refresh_token)


@pytest.mark.parametrize("session_id", ["nonsense", "0198b6d4-0000-7000-8000-000000000000"])
async def test_a_session_that_is_not_there_does_not_end(directory: Directory, ann: User, session_id: str) -> None:
    assert not await directory.sessions.end(ann.user_id, session_id)


async def test_nobody_ends_somebody_elses_session(directory: Directory, ann: User) -> None:
    eve = await directory.users.create(newcomer())
    pair = await directory.sessions.sign_in(ann.username, PASSWORD)
    assert not await directory.sessions.end(eve.user_id, claims_of(pair)["sid"])
    assert await directory.sessions.refresh(pair.refresh_token)


async def test_what_ended_lately_is_told_again(directory: Directory, ann: User) -> None:
    gone, stays = [await directory.sessions.sign_in(ann.username, PASSWORD) for _ in range(2)]
    assert claims_of(gone)["sid"] not in await directory.sessions.tidy()
    assert await directory.sessions.end(ann.user_id, claims_of(gone)["sid"])
    told = await directory.sessions.tidy()
    assert claims_of(gone)["sid"] in told
    assert claims_of(stays)["sid"] not in told


async def test_all_sessions_end_and_are_named(directory: Directory, ann: User) -> None:
    pairs = [await directory.sessions.sign_in(ann.username, PASSWORD) for _ in range(2)]
    eve = await directory.users.create(newcomer())
    hers = await directory.sessions.sign_in(eve.username, PASSWORD)
    ended = await directory.sessions.end_all(ann.user_id)
    assert sorted(ended) == sorted(claims_of(pair)["sid"] for pair in pairs)
    assert await directory.sessions.end_all(ann.user_id) == []
    assert await directory.sessions.of_user(ann.user_id) == []
    for pair in pairs:
        with pytest.raises(InvalidRefreshToken):
            await directory.sessions.refresh(pair.refresh_token)
    assert await directory.sessions.refresh(hers.refresh_token)
